//! `deviceManagement/auditEvents`: the changes of a tenant, newest first.
//!
//! A principal whose roles have not all scope tags sees the changes of what it sees. Without another order a page reads
//! the log from its end and stops when it is full. Another order, and a count, need all matching events at once: at
//! most [`MATCHES_MAX`], or the filter must be narrower.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, ControlPlane, Effect, Entry, Key, Refusal, Scope};
use muster_engine::Revision;
use muster_wire::DeviceId;
use serde_json::{Value, json};

use super::call::Call;
use super::collection::{
    self, Collection, Links, answer, conditions, finish, no_expansion, options,
};
use super::error::GraphError;
use super::schemas::AUDIT_EVENT;
use crate::documents::{CATEGORIES, event};
use crate::odata::{Filter, JsonRow, Options, Select, TokenError};
use crate::verification::Wanted;

const CONTEXT: &str = "deviceManagement/auditEvents";

/// Events that are read at once.
const CHANGES_LISTED_MAX: usize = 100;

/// Events that a request sorts or counts.
const MATCHES_MAX: usize = 10_000;

/// `GET deviceManagement/auditEvents`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadAudit)?;
    let options = options(query.as_deref())?;
    let filter = conditions(&options, &AUDIT_EVENT)?;
    if options.count || !is_newest_first(&options) {
        let rows = all(&call, filter.as_ref()).await?;
        let collection = Collection {
            schema: &AUDIT_EVENT,
            context: CONTEXT,
            order: "activityDateTime desc",
        };
        return collection::list(&call, query.as_deref(), collection, rows, &no_expansion);
    }
    let select = Select::new(&options.select, &AUDIT_EVENT)?;
    let links = Links::new(&call, &options, CONTEXT);
    let payload = links.payload()?;
    let mut before = None;
    if let Some(payload) = &payload {
        let bytes = payload.as_slice().try_into();
        let bytes = bytes.map_err(|_| TokenError::Invalid)?;
        before = Some(Revision(u32::from_le_bytes(bytes)));
    }
    let mut skip = payload.map_or(options.skip, |_| 0);
    let rows = options.page_rows();
    let mut page = Vec::new();
    let mut last = None;
    let control = call.control();
    'pages: loop {
        let changes =
            call.api
                .backend
                .changes(Scope::Tenant(call.tenant()), before, CHANGES_LISTED_MAX);
        let changes = changes.await?;
        for entry in &changes.listed {
            before = Some(entry.revision);
            let event = event(entry);
            if !exists(&call, &control, entry) || !matches(filter.as_ref(), &event) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if page.len() == rows {
                break 'pages;
            }
            page.push(event);
            last = Some(entry.revision);
        }
        if !changes.has_more {
            last = None;
            break;
        }
    }
    let next = last
        .map(|last| links.next(&last.0.to_le_bytes()))
        .transpose()?;
    for event in &mut page {
        finish(event, &select, &options, &no_expansion)?;
    }
    Ok(answer(&call, CONTEXT, page, None, next, None))
}

/// Whether an entry exists for the principal: its object or its devices do.
fn exists(call: &Call, control: &ControlPlane, entry: &Entry) -> bool {
    let rights = &call.principal.rights;
    let tags = rights.tags(Action::ReadAudit);
    if tags.is_all() {
        return true;
    }
    let is_seen = |device: &DeviceId| tags.has_any(control.device_tags(call.tenant(), device));
    match (&entry.effect, entry.key) {
        // Paths and filters of others name what they see.
        (Effect::Access(_), _) => entry.actor == call.principal.actor,
        (_, Key::Device(device)) => is_seen(&device),
        (Effect::MembersAdded(devices) | Effect::MembersRemoved(devices), _) => {
            devices.iter().all(is_seen)
        }
        _ => {
            let mut objects = [entry.before(), entry.after()].into_iter().flatten();
            let is_seen = |object| rights.sees_by(Action::ReadAudit, entry.key, object);
            objects.clone().next().is_none() || objects.any(is_seen)
        }
    }
}

fn matches(filter: Option<&Filter>, event: &Value) -> bool {
    filter.is_none_or(|filter| filter.matches(&JsonRow::new(&AUDIT_EVENT, event)))
}

/// Whether the order is that of the log.
fn is_newest_first(options: &Options) -> bool {
    options.orderby.as_deref().is_none_or(|order| {
        let order: Vec<_> = order
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        order == ["activitydatetime", "desc"]
    })
}

/// All matching events.
async fn all(call: &Call, filter: Option<&Filter>) -> Result<Vec<Value>, GraphError> {
    let _permit = call.api.scan_permit().await?;
    let (mut found, mut before) = (Vec::new(), None);
    let control = call.control();
    loop {
        let changes =
            call.api
                .backend
                .changes(Scope::Tenant(call.tenant()), before, CHANGES_LISTED_MAX);
        let changes = changes.await?;
        before = changes.listed.last().map(|entry| entry.revision);
        let listed = changes.listed.iter();
        let events = listed
            .filter(|entry| exists(call, &control, entry))
            .map(event);
        found.extend(events.filter(|event| matches(filter, event)));
        if found.len() > MATCHES_MAX {
            return Err(GraphError::bad_request(format!(
                "More than {MATCHES_MAX} events match; narrow the filter, or sort by activityDateTime desc without $count."
            )));
        }
        if !changes.has_more || before.is_none() {
            return Ok(found);
        }
    }
}

/// `GET deviceManagement/auditEvents/{id}`.
pub(super) async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadAudit)?;
    let unknown = || GraphError::not_found(format!("No auditEvent has the id '{id}'."));
    let revision: u32 = id.parse().map_err(|_| unknown())?;
    let before = revision.checked_add(1).map(Revision);
    let changes = call
        .api
        .backend
        .changes(Scope::Tenant(call.tenant()), before, 1)
        .await?;
    let entry = changes.listed.first();
    let entry = entry
        .filter(|entry| entry.revision.0 == revision && exists(&call, &call.control(), entry))
        .ok_or_else(unknown)?;
    let collection = Collection {
        schema: &AUDIT_EVENT,
        context: CONTEXT,
        order: "id",
    };
    collection::single(
        &call,
        query.as_deref(),
        collection,
        event(entry),
        &no_expansion,
    )
}

/// `GET deviceManagement/auditEvents/getAuditCategories`.
pub(super) async fn categories(call: Call) -> Result<Response, GraphError> {
    call.require(Action::ReadAudit)?;
    let context = call.context("Collection(Edm.String)");
    let body = json!({ "@odata.context": context, "value": CATEGORIES });
    Ok(axum::Json(body).into_response())
}

/// \[OWN\] `GET muster/audit/verify`: compares the log of the server with its hash chain, and with a pin.
pub(super) async fn verify(
    call: Call,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, GraphError> {
    call.require(Action::ReadAudit)?;
    // The log is that of the whole server.
    if !call.principal.rights.may_everywhere(Action::ReadAudit) {
        return Err(Refusal::Forbidden {
            action: Action::ReadAudit,
        }
        .into());
    }
    let Query(wanted) = query.map_err(|error| GraphError::bad_request(error.body_text()))?;
    let verification = call.api.backend.verify_audit(wanted.pin()?).await?;
    Ok(axum::Json(verification).into_response())
}
