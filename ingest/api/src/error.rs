//! Errors of requests: one table of codes, each with its HTTP status.
//!
//! The body of every error is `{"code", "message"}`; the code is for scripts, the message for people. That of a
//! document with faults has them in `details`, each with its `target`.

use std::sync::LazyLock;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use muster_control::{Fault, Faults, Refusal};
use muster_wire::DeviceId;
use serde_json::{Value, json};

use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Codes that the log distinguishes; fewer can be logged.
const LOGGED_CODES_MAX: usize = 16;

/// Logs each code once a minute, because scrapers and scripts repeat their requests.
static LOG: LazyLock<OncePerCause<&'static str>> =
    LazyLock::new(|| OncePerCause::new(LOGGED_CODES_MAX));

/// Why a request failed. Statuses below 500 concern the client, the others the operator of the server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No route has this path.
    #[error("unknown route; GET / lists all routes")]
    UnknownRoute,
    /// The route does not support this method.
    #[error("method not allowed for this route; GET / lists all routes")]
    MethodNotAllowed,
    /// A parameter is missing, unknown or malformed.
    #[error("{0}")]
    BadRequest(String),
    /// The body is longer than that of any object.
    #[error("the request body is longer than {max} bytes")]
    BodyTooLarge {
        /// The maximum length.
        max: usize,
    },
    /// The configuration does not let this endpoint change objects.
    #[error(
        "changes are off, because this endpoint has no authentication: to let every user of this machine change the \
         rules, set ops.allow_changes in the configuration of the server"
    )]
    ChangesOff,
    /// The change is refused, and nothing has changed.
    #[error(transparent)]
    Refused(Refusal),
    /// The change is durable, but some shard has not applied it in time.
    #[error("the change is durable, but not yet in force in every shard; the disk may be slow")]
    NotInForce,
    /// The Host is not this machine, as in DNS rebinding by a web page.
    #[error("the Host header of the request is not a loopback name or address of this machine")]
    HostRefused,
    /// The Origin of a request that changes state is another one, such as a web page.
    #[error("a web page of another origin may not send requests with this method")]
    OriginRefused,
    /// No tenant has this name.
    #[error("the server has no tenant with this name")]
    UnknownTenant,
    /// The tenant has no device with this ID.
    #[error("the tenant has no device with this id")]
    UnknownDevice,
    /// The tenant has no devices with these ids, which were to become members.
    #[error("the tenant has no devices with the ids in the details")]
    UnknownDevices(Vec<DeviceId>),
    /// The group has no member with this id.
    #[error("the group has no member with this id")]
    UnknownMember,
    /// The tenant cannot be deleted, because it has devices.
    #[error("the tenant has {devices} devices; a tenant can be deleted only without devices")]
    TenantHasDevices {
        /// Their number.
        devices: u64,
    },
    /// A recount is in progress.
    #[error("a recount is in progress; retry when it has completed")]
    RecountRunning,
    /// A backup is in progress.
    #[error("a backup is in progress; retry when it has completed")]
    BackupRunning,
    /// The configuration sets no directory for backups.
    #[error("backups are disabled: set store.backup_directory in the configuration of the server")]
    BackupsOff,
    /// The directory is not allowed for a backup.
    #[error("{0}")]
    BackupRefused(String),
    /// The directory already exists.
    #[error("{0}")]
    BackupExists(String),
    /// The disk or the store failed.
    #[error("the backup failed: {0}")]
    BackupFailed(String),
    /// The service time agrees with the wall clock.
    #[error("no step to confirm: the service time agrees with the wall clock")]
    NoClockStep,
    /// The control channel of a shard thread is full.
    #[error("too many queries are queued for shard thread {thread}; retry later")]
    Busy {
        /// The thread.
        thread: usize,
    },
    /// The limit of concurrent requests is reached.
    #[error("the limit of {max} concurrent requests of this kind is reached; retry later")]
    TooManyRequests {
        /// The limit.
        max: usize,
    },
    /// No answer in time: the disk may be stuck.
    #[error("{what} did not respond in time; the disk may be stuck")]
    Timeout {
        /// The shard thread, or the store.
        what: String,
    },
    /// A write failed, so the shard's state in memory may not be durable.
    #[error("the store is poisoned, so no durable state is available; GET /ready has the reason")]
    StorePoisoned,
    /// The server is recovering.
    #[error("the server is starting: it is recovering the stored state; retry later")]
    Starting,
    /// The shards have stopped.
    #[error("the server is draining")]
    Draining,
    /// A read of the store failed.
    #[error("cannot read the store: {0}")]
    StoreUnreadable(String),
    /// A bug of the server.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ApiError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "unknownRoute"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "badRequest"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "bodyTooLarge"),
            Self::ChangesOff => (StatusCode::FORBIDDEN, "changesOff"),
            Self::Refused(refusal) => refused(refusal),
            Self::NotInForce => (StatusCode::SERVICE_UNAVAILABLE, "notInForce"),
            Self::HostRefused => (StatusCode::FORBIDDEN, "hostRefused"),
            Self::OriginRefused => (StatusCode::FORBIDDEN, "originRefused"),
            Self::UnknownTenant => (StatusCode::NOT_FOUND, "unknownTenant"),
            Self::UnknownDevice => (StatusCode::NOT_FOUND, "unknownDevice"),
            Self::UnknownDevices(_) => (StatusCode::NOT_FOUND, "unknownDevice"),
            Self::UnknownMember => (StatusCode::NOT_FOUND, "unknownMember"),
            Self::TenantHasDevices { .. } => (StatusCode::CONFLICT, "tenantHasDevices"),
            Self::RecountRunning => (StatusCode::CONFLICT, "recountRunning"),
            Self::BackupRunning => (StatusCode::CONFLICT, "backupRunning"),
            Self::BackupsOff => (StatusCode::FORBIDDEN, "backupsOff"),
            Self::BackupRefused(_) => (StatusCode::FORBIDDEN, "backupRefused"),
            Self::BackupExists(_) => (StatusCode::CONFLICT, "backupExists"),
            Self::BackupFailed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "backupFailed"),
            Self::NoClockStep => (StatusCode::CONFLICT, "noClockStep"),
            Self::Busy { .. } | Self::TooManyRequests { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy")
            }
            Self::Timeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::StorePoisoned => (StatusCode::SERVICE_UNAVAILABLE, "storePoisoned"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self::StoreUnreadable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "storeUnreadable"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// The status and code of a refused change.
const fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, "badRequest"),
        Refusal::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        Refusal::UnknownMembers(_) => (StatusCode::NOT_FOUND, "unknownDevice"),
        Refusal::BuiltIn { .. } => (StatusCode::BAD_REQUEST, "builtIn"),
        Refusal::Unchangeable { .. } => (StatusCode::BAD_REQUEST, "unchangeable"),
        Refusal::UnknownTenant => (StatusCode::NOT_FOUND, "unknownTenant"),
        Refusal::Unknown { .. } => (StatusCode::NOT_FOUND, "unknownObject"),
        Refusal::InUse { .. } => (StatusCode::CONFLICT, "objectInUse"),
        Refusal::Exists { .. } => (StatusCode::CONFLICT, "objectExists"),
        Refusal::Limit { .. } => (StatusCode::CONFLICT, "limitReached"),
        // The server answers with the object as it is.
        Refusal::Unchanged => (StatusCode::CONFLICT, "unchanged"),
        Refusal::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "preconditionFailed"),
    }
}

/// The faults of a document, and in the last row how many more there are.
fn details(faults: &Faults) -> Vec<Value> {
    let detail = |fault: &Fault| {
        json!({
            "code": fault.kind.name(),
            "target": fault.target,
            "message": fault.to_string(),
        })
    };
    let mut details: Vec<Value> = faults.listed().iter().map(detail).collect();
    if faults.omitted() > 0 {
        let message = format!("{} more faults", faults.omitted());
        details.push(json!({ "code": "more", "target": null, "message": message }));
    }
    details
}

/// A detail for each device that does not exist; a command has at most a thousand.
fn unknown_devices(ids: &[DeviceId]) -> Vec<Value> {
    let detail = |id: &DeviceId| {
        json!({
            "code": "unknownDevice",
            "target": "members",
            "message": format!("no device has the id {id}"),
        })
    };
    ids.iter().map(detail).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        if status == StatusCode::INTERNAL_SERVER_ERROR
            && let Some(suppressed) = LOG.permit(code, monotonic_ms())
        {
            tracing::error!(code, suppressed, error = %self, "operations endpoint: a request failed");
        }
        let mut body = json!({ "code": code, "message": self.to_string() });
        if let Self::Refused(Refusal::Invalid(faults)) = &self {
            body["message"] = "the document has faults".into();
            body["details"] = details(faults).into();
        }
        if let Self::UnknownDevices(ids) = &self {
            body["details"] = unknown_devices(ids).into();
        }
        (status, Json(body)).into_response()
    }
}
