//! `deviceManagement/reports`: reports of devices, all of them as the file of a job, or a part in the response of an
//! interactive report.
//!
//! A job writes its file in the background, some thousand devices at a time, so its memory is flat. Files have no name in
//! the file system and end with the process. Bounded: jobs in `jobs.rs`; those that scan are as many as there are permits
//! for scans.

mod file;
mod interactive;
mod reports;

use std::fs::File;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{AccessText, Action, Export, Properties};
use serde_json::{Map, Value, json};

use self::file::Order;
pub use self::file::cell;
pub(super) use self::interactive::{noncompliant_devices, without_policy};
pub(super) use self::reports::columns;
use self::reports::{Columns, Report};
use super::auth::Principal;
use super::body;
use super::call::Call;
use super::collection::{self, Collection, entity, no_expansion};
use super::error::GraphError;
use super::jobs::{Format, Job, Localization, Status};
use super::recording;
use crate::odata::{Filter, Kind, Property, Schema};
use crate::times;

const CONTEXT: &str = "deviceManagement/reports/exportJobs";

/// The document of a job.
fn shown(job: &Job, call: &Call) -> Result<Map<String, Value>, GraphError> {
    let (status, url) = match &job.status {
        Status::InProgress => ("inProgress", None),
        Status::Failed => ("failed", None),
        Status::Completed(_) => ("completed", Some(url(job, call)?)),
    };
    let document = json!({
        "id": job.id,
        "reportName": job.report_name,
        "filter": job.filter,
        "select": job.select,
        "format": job.format.name(),
        "snapshotId": null,
        "localizationType": job.localization.name(),
        "status": status,
        "url": url,
        "requestDateTime": time(job.requested_at),
        "expirationDateTime": time(job.expires_at()),
    });
    match document {
        Value::Object(document) => Ok(document),
        _ => Ok(Map::new()),
    }
}

/// The URL of the file, which needs no header: scripts send none.
fn url(job: &Job, call: &Call) -> Result<String, GraphError> {
    let signature = call.api.tokens.seal(&job.scope(), job.expires_at(), &[])?;
    Ok(format!(
        "{}/exports/{}.zip?sig={signature}",
        call.origin, job.id
    ))
}

fn time(seconds: u64) -> Option<String> {
    times::seconds(u32::try_from(seconds).ok()?)
}

pub(super) const JOB: Schema = Schema {
    name: "microsoft.graph.deviceManagementExportJob",
    properties: &[
        Property::new("id", Kind::Text).filterable().orderable(),
        Property::new("reportName", Kind::Text)
            .filterable()
            .orderable(),
        Property::new("filter", Kind::Text),
        Property::new("select", Kind::Collection(&Kind::Text)),
        Property::new("format", Kind::Text).filterable().orderable(),
        Property::new("snapshotId", Kind::Text),
        Property::new("localizationType", Kind::Text),
        Property::new("status", Kind::Text).filterable().orderable(),
        Property::new("url", Kind::Text),
        Property::new("requestDateTime", Kind::Date)
            .filterable()
            .orderable(),
        Property::new("expirationDateTime", Kind::Date)
            .filterable()
            .orderable(),
    ],
    subtypes: &[],
};

const COLLECTION: Collection = Collection {
    schema: &JOB,
    context: CONTEXT,
    order: "requestDateTime desc",
};

fn now(call: &Call) -> u64 {
    call.api.backend.clock().time.as_millis() / 1_000
}

/// A report lists devices, so the right to read their counts is not enough.
pub(super) const NEEDS: [Action; 2] = [Action::ReadDeviceReports, Action::ReadDevices];

fn require(call: &Call) -> Result<(), GraphError> {
    NEEDS.iter().try_for_each(|action| call.require(*action))
}

/// A text property of a document; an empty one if it is missing or null.
fn text<'a>(sent: &'a Properties, name: &str) -> Result<&'a str, GraphError> {
    match sent.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(GraphError::bad_request(format!(
            "{name}: a text is expected."
        ))),
    }
}

/// The names in `select`; none means all columns.
fn selected(sent: &Properties) -> Result<Vec<String>, GraphError> {
    let bad = || GraphError::bad_request("select: a list of names of columns is expected.");
    match sent.get("select") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<_>>().ok_or_else(bad)
        }
        Some(_) => Err(bad()),
    }
}

/// `POST exportJobs`.
pub(super) async fn create(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    require(&call)?;
    let sent = body::object(&headers, body).await?;
    let name = text(&sent, "reportName")?;
    let report = Report::named(name).ok_or_else(|| {
        GraphError::bad_request(format!(
            "reportName: one of {} is expected.",
            Report::names()
        ))
    })?;
    let format = Format::named(text(&sent, "format")?).ok_or_else(|| {
        GraphError::bad_request(format!("format: {} is expected.", Format::NAMES))
    })?;
    let localization = Localization::named(text(&sent, "localizationType")?).ok_or_else(|| {
        GraphError::bad_request(
            "localizationType: localizedValuesAsAdditionalColumn or replaceLocalizableValues is expected.",
        )
    })?;
    let (filter, select) = (text(&sent, "filter")?.to_owned(), selected(&sent)?);
    let chosen = report.columns(&select)?;
    let parsed = match filter.trim() {
        "" => None,
        text => Some(Filter::parse(text, report.schema)?),
    };
    let job = Job {
        id: format!("{}_{}", report.name, call.api.backend.new_object_id()),
        tenant: call.tenant(),
        report_name: report.name,
        filter,
        select,
        format,
        localization,
        principal: call.principal.clone(),
        requested_at: now(&call),
        status: Status::InProgress,
    };
    call.api.jobs.add(job.clone(), job.requested_at)?;
    if let Err(error) = recording::export(&call.api, &call.principal, recorded(&job)).await {
        call.api.jobs.remove(&job.id, now(&call));
        return Err(error.into());
    }
    let document = shown(&job, &call)?;
    let order = Order {
        id: job.id.clone(),
        columns: Columns {
            report,
            chosen,
            localization,
        },
        filter: parsed,
        format,
    };
    let writing = call.clone();
    tokio::spawn(async move {
        let id = order.id.clone();
        let written = file::write(&writing, order).await;
        let status = written.map_or_else(
            |error| {
                tracing::warn!(job = id, %error, "an export job failed");
                Status::Failed
            },
            |file| Status::Completed(Arc::new(file)),
        );
        writing.api.jobs.finish(&id, status, now(&writing));
    });
    let response = entity(&call, CONTEXT, Value::Object(document));
    Ok(collection::created(&call, CONTEXT, &job.id, response))
}

/// What the audit log says of a job.
fn recorded(job: &Job) -> Export {
    Export {
        job: AccessText::cut(&job.id),
        report: AccessText::cut(job.report_name),
        format: AccessText::cut(job.format.name()),
        filter: AccessText::cut(&job.filter),
        select: AccessText::cut(&job.select.join(",")),
    }
}

/// `GET exportJobs`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    require(&call)?;
    let own = call.api.jobs.of(call.tenant(), now(&call));
    let rows = own
        .iter()
        .filter(|job| exists(job, &call))
        .map(|job| shown(job, &call).map(Value::Object));
    let rows = rows.collect::<Result<_, _>>()?;
    collection::list(&call, query.as_deref(), COLLECTION, rows, &no_expansion)
}

/// Whether a job exists for the principal: a file has the devices that the principal that ordered it sees.
fn exists(job: &Job, call: &Call) -> bool {
    let rights = &call.principal.rights;
    job.principal.id == call.principal.id
        || NEEDS.iter().all(|action| rights.tags(*action).is_all())
}

fn find(call: &Call, id: &str) -> Result<Job, GraphError> {
    let job = call.api.jobs.get(Some(call.tenant()), id, now(call));
    job.filter(|job| exists(job, call)).ok_or_else(|| {
        GraphError::not_found(format!("No deviceManagementExportJob has the id '{id}'."))
    })
}

/// `GET exportJobs/{id}`.
pub(super) async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    require(&call)?;
    let document = shown(&find(&call, &id)?, &call)?;
    let document = Value::Object(document);
    collection::single(&call, query.as_deref(), COLLECTION, document, &no_expansion)
}

/// `DELETE exportJobs/{id}`.
pub(super) async fn delete(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    require(&call)?;
    let job = find(&call, &id)?;
    call.api.jobs.remove(&job.id, now(&call));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The file of a job whose download link has this signature, and who ordered it; `None` for any other link.
pub(super) fn file_of(
    api: &super::state::GraphApi,
    id: &str,
    signature: &str,
    now: u64,
) -> Option<(Principal, Arc<File>)> {
    let job = api.jobs.get(None, id, now)?;
    api.tokens.open(&job.scope(), now, signature).ok()?;
    match job.status {
        Status::Completed(file) => Some((job.principal, file)),
        _ => None,
    }
}
