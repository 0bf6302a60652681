//! Makes a token in a data directory that no server uses, and its tenant if it does not exist.

use std::path::Path;

use muster_api::{TokenRequest, new_secret};
use muster_control::{
    Actor, Change, Command, ControlPlane, Handling, Key, Precondition, Refusal, Rights,
    TenantObject,
};
use muster_engine::{Revision, TenantIndex, Timestamp};
use muster_ingest::clock;
use muster_ingest::server::{ReplayError, new_object_id, objects};
use muster_store::{OpenError, ReadError, Store, StoreConfig, WriteError};
use muster_wire::TenantName;

/// Why no token was made. Nothing has changed, unless a write failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The directory cannot be opened; a server may use it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its control log cannot be read.
    #[error("{0}: restore a backup")]
    Control(#[from] ReplayError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The name, the role or the number of days is not allowed.
    #[error("{0}")]
    Invalid(String),
    /// The control plane refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Makes a token and returns its secret.
///
/// # Errors
/// See [`TokenError`].
pub fn create(
    directory: &Path,
    tenant: &TenantName,
    request: &TokenRequest<'_>,
) -> Result<String, TokenError> {
    let now = clock::wall();
    let store = Store::open(&StoreConfig::new(directory))?;
    let mut plane = ControlPlane::clone(&*objects(&store.snapshot())?);
    // Policy sets use revisions too.
    plane.skip_to(store.revision_latest()?);
    // Nothing is written before everything is decided.
    let mut entries = Vec::new();
    let tenant = match plane.tenant_named(tenant.as_str()) {
        Some(tenant) => tenant,
        None => {
            let (index, key) = (plane.next_tenant(), Key::Tenant);
            let properties = TenantObject::properties(tenant);
            let create = Change::Create { key, properties };
            entries.push(decide(&mut plane, index, now, create)?);
            index
        }
    };
    let secret = new_secret();
    let token = request.token(&plane, tenant, &secret, now);
    let token = token.map_err(TokenError::Invalid)?;
    let id = new_object_id();
    entries.push(decide(
        &mut plane,
        tenant,
        now,
        Change::Issue { id, token },
    )?);
    for (revision, stored) in entries {
        // The policy set that follows is made at the next start.
        store.append_control(revision, &stored, None)?;
    }
    store.close()?;
    Ok(secret)
}

/// The entry of a change, which is applied: its revision, and its bytes as they are stored.
fn decide(
    plane: &mut ControlPlane,
    tenant: TenantIndex,
    at: Timestamp,
    change: Change,
) -> Result<(Revision, Vec<u8>), TokenError> {
    let entry = plane.decide(&Command {
        actor: Actor::Local,
        address: None,
        at,
        tenant,
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change,
    })?;
    plane
        .apply(&entry)
        .expect("the entry was decided from this state");
    Ok((entry.revision, plane.stored(&entry)))
}
