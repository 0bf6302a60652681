//! Records accesses in the audit log: refused requests, sign-ins, exports, downloads.
//!
//! The server writes the records, so the rights of the principal do not matter. An export is recorded before it begins,
//! or refused. The response to another access does not wait; `accesses.rs` bounds how many records there are, and with
//! them the tasks here. Refusals without a principal have no tenant and no record: they are counted, and logged once a
//! minute for each cause.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, Method};
use muster_control::{
    Access, AccessRecord, AccessText, ControlPlane, Export, Handling, Precondition, Rights,
};
use tokio::time::sleep;

use super::accesses::{Seen, Verdict};
use super::auth::{self, Principal};
use super::error::GraphError;
use super::state::GraphApi;
use crate::access_counters::RefusedCause;
use crate::backend::Caller;
use crate::error::ApiError;
use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// How long accesses wait for the record that counts them.
const WAIT: Duration = Duration::from_secs(60);

/// Logs each cause once a minute.
static REFUSED: LazyLock<OncePerCause<RefusedCause>> =
    LazyLock::new(|| OncePerCause::new(RefusedCause::ALL.len()));

/// Where a request comes from; `None` in a test without a socket.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

/// Counts a request without a principal, and logs it once a minute.
pub(super) fn refused_unknown(
    api: &GraphApi,
    headers: &HeaderMap,
    control: &ControlPlane,
    address: Option<IpAddr>,
) {
    refused_with(api, auth::cause_of(headers, control), address);
}

/// The same for a cause that is known.
pub(super) fn refused_with(api: &GraphApi, cause: RefusedCause, address: Option<IpAddr>) {
    api.backend.access_counters().refuse(cause);
    if let Some(suppressed) = REFUSED.permit(cause, monotonic_ms()) {
        let (cause, address) = (cause.name(), address.map(|address| address.to_string()));
        tracing::warn!(
            cause,
            address,
            suppressed,
            "API: refused a request whose sender is not known"
        );
    }
}

/// Records that a request of a principal was refused, if this error says so.
pub(super) fn refused(
    api: &Arc<GraphApi>,
    principal: &Principal,
    method: &Method,
    path: &str,
    error: &GraphError,
) {
    if error.status != axum::http::StatusCode::FORBIDDEN {
        return;
    }
    api.backend
        .access_counters()
        .refuse(RefusedCause::Forbidden);
    let access = Access::Refused {
        method: AccessText::cut(method.as_str()),
        path: AccessText::cut(path),
        reason: AccessText::cut(&error.message),
    };
    note(api, principal, access);
}

/// Records an access, or counts it in a later record.
pub(super) fn note(api: &Arc<GraphApi>, principal: &Principal, access: Access) {
    let seen = Seen {
        tenant: principal.tenant,
        principal: principal.id,
        actor: principal.actor.clone(),
        address: principal.address,
        access,
    };
    let writing = Arc::clone(api);
    match api.accesses.judge(seen, monotonic_ms()) {
        Verdict::Record(due) => drop(tokio::spawn(async move {
            let (seen, record) = *due;
            write(&writing, seen, record).await;
        })),
        Verdict::Later { is_first: true } => drop(tokio::spawn(write_later(writing))),
        Verdict::Later { is_first: false } => (),
        Verdict::Miss => api.backend.access_counters().miss(1),
    }
}

/// Records what waits, until nothing does.
async fn write_later(api: Arc<GraphApi>) {
    loop {
        sleep(WAIT).await;
        let (due, waits) = api.accesses.due(monotonic_ms());
        for (seen, record) in due {
            write(&api, seen, record).await;
        }
        if !waits {
            return;
        }
    }
}

/// A record that cannot be written is counted: the log is full, or the disk fails.
async fn write(api: &GraphApi, seen: Seen, record: AccessRecord) {
    let stands_for = u64::from(record.unrecorded) + 1;
    let caller = Caller {
        actor: seen.actor,
        address: seen.address,
        rights: Rights::local(),
        expected: Precondition::Nothing,
        handling: Handling::Strict,
    };
    if let Err(error) = api.backend.record(caller, seen.tenant, record).await {
        api.backend.access_counters().miss(stands_for);
        tracing::warn!(%error, accesses = stands_for, "accesses are not in the audit log");
    }
}

/// Records an export before it begins.
///
/// # Errors
/// It cannot be recorded, so it must not begin.
pub(super) async fn export(
    api: &GraphApi,
    principal: &Principal,
    export: Export,
) -> Result<(), ApiError> {
    let caller = Caller {
        actor: principal.actor.clone(),
        address: principal.address,
        rights: Rights::local(),
        expected: Precondition::Nothing,
        handling: Handling::Strict,
    };
    let record = AccessRecord {
        access: Access::Exported(export),
        unrecorded: 0,
    };
    api.backend.record(caller, principal.tenant, record).await
}
