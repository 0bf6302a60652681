//! What goes wrong for a request: one closed table of codes, each with its status.
//!
//! The body of every error is `{"code", "message"}`; scripts branch on the code, people read the message.

use std::sync::LazyLock;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Codes of failures that the log keeps apart; there are fewer.
const LOGGED_CODES_MAX: usize = 16;

/// Logs each code once a minute: a scraper or script asks again and again.
static LOG: LazyLock<OncePerCause<&'static str>> =
    LazyLock::new(|| OncePerCause::new(LOGGED_CODES_MAX));

/// Why a request has no answer. Errors below 500 are for whoever asks, the others for whoever runs the
/// server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The path is none of ours.
    #[error("there is no such route; GET / lists them")]
    UnknownRoute,
    /// The path is ours, the method is not.
    #[error("this route takes another method")]
    MethodNotAllowed,
    /// A parameter is missing, unknown or malformed.
    #[error("{0}")]
    BadRequest(String),
    /// The request names a host that is not this one: a web page may be behind it.
    #[error("the request is not for a loopback address of this machine")]
    HostRefused,
    /// A web page of another origin gives an order.
    #[error("a page of another origin may not give orders")]
    OriginRefused,
    /// No tenant has that name.
    #[error("the server has no tenant of that name")]
    UnknownTenant,
    /// The tenant has no such device.
    #[error("the tenant has no device with that id")]
    UnknownDevice,
    /// A recount runs already.
    #[error("a recount is running; ask again when it is done")]
    RecountRunning,
    /// A backup runs already.
    #[error("a backup is being made; ask again when it is done")]
    BackupRunning,
    /// The configuration names no directory for backups.
    #[error("this server makes no backups: its configuration does not set store.backup_directory")]
    BackupsOff,
    /// The directory asked for is not one that a backup may be made in.
    #[error("{0}")]
    BackupRefused(String),
    /// Something has the name already.
    #[error("{0}")]
    BackupExists(String),
    /// The disk or the store failed.
    #[error("no backup was made: {0}")]
    BackupFailed(String),
    /// The control channel of a shard is full: others are asking.
    #[error("shard {shard} has too many questions waiting; ask again")]
    Busy {
        /// Which shard.
        shard: usize,
    },
    /// As many requests are being answered as may be.
    #[error("{max} requests of this kind are being answered; ask again")]
    TooManyRequests {
        /// How many.
        max: usize,
    },
    /// No answer in time: the disk may be stuck.
    #[error("{what} did not answer in time; the disk may be stuck")]
    Timeout {
        /// Who was asked.
        what: String,
    },
    /// A write failed, so the shard cannot say what is durable.
    #[error(
        "the store is poisoned, so there is no durable state to answer from; GET /ready says why"
    )]
    StorePoisoned,
    /// The data directory is being read.
    #[error("the server is starting: it recovers what is stored")]
    Starting,
    /// The shards have stopped.
    #[error("the server is draining")]
    Draining,
    /// The store has the answer and it cannot be read.
    #[error("the store cannot be read: {0}")]
    StoreUnreadable(String),
    /// A fault of the server itself.
    #[error("the server failed to answer: {0}")]
    Internal(String),
}

impl ApiError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "unknownRoute"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "badRequest"),
            Self::HostRefused => (StatusCode::FORBIDDEN, "hostRefused"),
            Self::OriginRefused => (StatusCode::FORBIDDEN, "originRefused"),
            Self::UnknownTenant => (StatusCode::NOT_FOUND, "unknownTenant"),
            Self::UnknownDevice => (StatusCode::NOT_FOUND, "unknownDevice"),
            Self::RecountRunning => (StatusCode::CONFLICT, "recountRunning"),
            Self::BackupRunning => (StatusCode::CONFLICT, "backupRunning"),
            Self::BackupsOff => (StatusCode::FORBIDDEN, "backupsOff"),
            Self::BackupRefused(_) => (StatusCode::FORBIDDEN, "backupRefused"),
            Self::BackupExists(_) => (StatusCode::CONFLICT, "backupExists"),
            Self::BackupFailed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "backupFailed"),
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        if status == StatusCode::INTERNAL_SERVER_ERROR
            && let Some(suppressed) = LOG.permit(code, monotonic_ms())
        {
            tracing::error!(code, suppressed, error = %self, "a request of an operator failed");
        }
        (
            status,
            Json(json!({ "code": code, "message": self.to_string() })),
        )
            .into_response()
    }
}
