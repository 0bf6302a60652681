//! `deviceManagement/reports/exportJobs`: reports of all devices as a file.
//!
//! A job writes its file in the background, a thousand devices at a time, so its memory is flat. Files have no name in
//! the file system and end with the process. Bounded: [`JOBS_OF_TENANT_MAX`] jobs of a tenant and [`JOBS_MAX`] in all,
//! each for [`KEPT_SECONDS`]; those that scan are as many as there are permits for scans.

mod file;
mod reports;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Properties};
use muster_engine::TenantIndex;
use serde_json::{Map, Value, json};

pub(super) use self::file::cell;
use self::file::{Format, Localization, Order};
use self::reports::Report;
use super::body;
use super::call::Call;
use super::collection::{self, Collection, entity, no_expansion};
use super::error::GraphError;
use crate::odata::{Filter, Kind, Options, Property, Purpose, Schema, TokenScope};
use crate::times;

/// Jobs of a tenant.
const JOBS_OF_TENANT_MAX: usize = 20;

/// Jobs of all tenants.
pub const JOBS_MAX: usize = 64;

/// How long a job and its file are kept, in seconds.
const KEPT_SECONDS: u64 = 6 * 3600;

const CONTEXT: &str = "deviceManagement/reports/exportJobs";

/// A job.
#[derive(Clone, Debug)]
struct Job {
    id: String,
    tenant: TenantIndex,
    /// What was sent.
    report_name: &'static str,
    filter: String,
    select: Vec<String>,
    format: Format,
    localization: Localization,
    requested_at: u64,
    status: Status,
}

/// How far a job is.
#[derive(Clone, Debug)]
enum Status {
    InProgress,
    Completed(Arc<File>),
    Failed,
}

/// All jobs, by their ids in lower case.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<BTreeMap<String, Job>>);

impl Jobs {
    fn all(&self, now: u64) -> std::sync::MutexGuard<'_, BTreeMap<String, Job>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, job| now < job.expires_at());
        all
    }

    fn add(&self, job: Job, now: u64) -> Result<(), GraphError> {
        let mut all = self.all(now);
        let own = all
            .values()
            .filter(|other| other.tenant == job.tenant)
            .count();
        if own >= JOBS_OF_TENANT_MAX || all.len() >= JOBS_MAX {
            let message = format!(
                "There are {own} export jobs of this tenant and {} of all; delete one, or wait until it expires.",
                all.len()
            );
            return Err(GraphError::conflict(message));
        }
        all.insert(job.id.to_ascii_lowercase(), job);
        Ok(())
    }

    fn get(&self, tenant: Option<TenantIndex>, id: &str, now: u64) -> Option<Job> {
        let all = self.all(now);
        let job = all.get(&id.to_ascii_lowercase())?;
        let is_own = tenant.is_none_or(|tenant| tenant == job.tenant);
        is_own.then(|| job.clone())
    }

    fn finish(&self, id: &str, status: Status, now: u64) {
        if let Some(job) = self.all(now).get_mut(&id.to_ascii_lowercase()) {
            job.status = status;
        }
    }
}

impl Job {
    fn expires_at(&self) -> u64 {
        self.requested_at + KEPT_SECONDS
    }

    fn scope(&self) -> TokenScope {
        TokenScope {
            purpose: Purpose::Download,
            tenant: self.tenant.0.into(),
            options: Options::default().hash(&self.id.to_ascii_lowercase()),
        }
    }

    fn document(&self, call: &Call) -> Result<Map<String, Value>, GraphError> {
        let (status, url) = match &self.status {
            Status::InProgress => ("inProgress", None),
            Status::Failed => ("failed", None),
            Status::Completed(_) => ("completed", Some(self.url(call)?)),
        };
        let document = json!({
            "id": self.id,
            "reportName": self.report_name,
            "filter": self.filter,
            "select": self.select,
            "format": self.format.name(),
            "snapshotId": null,
            "localizationType": self.localization.name(),
            "status": status,
            "url": url,
            "requestDateTime": time(self.requested_at),
            "expirationDateTime": time(self.expires_at()),
        });
        match document {
            Value::Object(document) => Ok(document),
            _ => Ok(Map::new()),
        }
    }

    /// The URL of the file, which needs no header: scripts send none.
    fn url(&self, call: &Call) -> Result<String, GraphError> {
        let signature = call
            .api
            .tokens
            .seal(&self.scope(), self.expires_at(), &[])?;
        Ok(format!(
            "{}/exports/{}.zip?sig={signature}",
            call.origin, self.id
        ))
    }
}

fn time(seconds: u64) -> Option<String> {
    times::seconds(u32::try_from(seconds).ok()?)
}

const JOB: Schema = Schema {
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
    call.require(Action::ReadDeviceReports)?;
    let sent = body::object(&headers, body).await?;
    let name = text(&sent, "reportName")?;
    let report = Report::named(name).ok_or_else(|| {
        GraphError::bad_request(format!(
            "reportName: one of {} is expected.",
            Report::names()
        ))
    })?;
    let format = Format::named(text(&sent, "format")?)
        .ok_or_else(|| GraphError::bad_request("format: csv or json is expected."))?;
    let localization = Localization::named(text(&sent, "localizationType")?).ok_or_else(|| {
        GraphError::bad_request(
            "localizationType: localizedValuesAsAdditionalColumn or replaceLocalizableValues is expected.",
        )
    })?;
    let (filter, select) = (text(&sent, "filter")?.to_owned(), selected(&sent)?);
    let columns = report.columns(&select)?;
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
        requested_at: now(&call),
        status: Status::InProgress,
    };
    call.api.jobs.add(job.clone(), job.requested_at)?;
    let document = job.document(&call)?;
    let order = Order {
        id: job.id.clone(),
        report,
        columns,
        filter: parsed,
        format,
        localization,
    };
    let writing = call.clone();
    tokio::spawn(async move {
        let written = file::write(&writing, &order).await;
        let status = written.map_or_else(
            |error| {
                tracing::warn!(job = order.id, %error, "an export job failed");
                Status::Failed
            },
            |file| Status::Completed(Arc::new(file)),
        );
        writing.api.jobs.finish(&order.id, status, now(&writing));
    });
    let mut response = entity(&call, CONTEXT, Value::Object(document));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `GET exportJobs`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadDeviceReports)?;
    let jobs: Vec<Job> = call.api.jobs.all(now(&call)).values().cloned().collect();
    let own = jobs.iter().filter(|job| job.tenant == call.tenant());
    let rows = own.map(|job| job.document(&call).map(Value::Object));
    let rows = rows.collect::<Result<_, _>>()?;
    collection::list(&call, query.as_deref(), COLLECTION, rows, &no_expansion)
}

fn unknown(id: &str) -> GraphError {
    GraphError::not_found(format!("No deviceManagementExportJob has the id '{id}'."))
}

/// `GET exportJobs/{id}`.
pub(super) async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadDeviceReports)?;
    let job = call.api.jobs.get(Some(call.tenant()), &id, now(&call));
    let document = job.ok_or_else(|| unknown(&id))?.document(&call)?;
    let document = Value::Object(document);
    collection::single(&call, query.as_deref(), COLLECTION, document, &no_expansion)
}

/// `DELETE exportJobs/{id}`.
pub(super) async fn delete(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    call.require(Action::ReadDeviceReports)?;
    let job = call.api.jobs.get(Some(call.tenant()), &id, now(&call));
    let job = job.ok_or_else(|| unknown(&id))?;
    call.api
        .jobs
        .all(now(&call))
        .remove(&job.id.to_ascii_lowercase());
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The file of a job whose download link has this signature; `None` for any other link.
pub(super) fn file_of(
    api: &super::GraphApi,
    id: &str,
    signature: &str,
    now: u64,
) -> Option<Arc<File>> {
    let job = api.jobs.get(None, id, now)?;
    api.tokens.open(&job.scope(), now, signature).ok()?;
    match job.status {
        Status::Completed(file) => Some(file),
        _ => None,
    }
}
