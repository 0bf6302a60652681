//! A change by the principal of a request, and the ids in its path.

use std::sync::Arc;

use axum::http::HeaderMap;
use muster_control::{Change, ControlPlane, ObjectId, Precondition};

use super::body;
use super::call::Call;
use super::error::GraphError;
use crate::backend::Caller;

/// The id in a path, or 404: an id that is malformed is of no object.
pub(super) fn id_of(text: &str, what: &str) -> Result<ObjectId, GraphError> {
    let id = text.parse();
    id.map_err(|_| GraphError::not_found(format!("No {what} has the id '{text}'.")))
}

/// The principal of the call as the sender of a change.
pub(super) fn caller_of(call: &Call, expected: Precondition) -> Caller {
    Caller {
        actor: call.principal.actor.clone(),
        address: call.principal.address,
        rights: call.principal.rights.clone(),
        expected,
        handling: call.handling,
    }
}

/// Carries out a change by the principal of the call. One that changes nothing succeeds.
pub(super) async fn change_by(
    call: &Call,
    headers: &HeaderMap,
    change: Change,
) -> Result<Arc<ControlPlane>, GraphError> {
    let caller = caller_of(call, body::precondition(headers)?);
    let changed = call.api.backend.change(caller, call.tenant(), change);
    Ok(changed.await?.control)
}
