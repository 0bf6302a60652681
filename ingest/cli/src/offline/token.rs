//! Makes a token in a data directory that no server uses, and its tenant if it does not exist.

use std::path::Path;

use muster_api::{new_secret, token};
use muster_control::{
    Actor, Change, Command, ControlPlane, Handling, Key, Precondition, Refusal, TenantObject,
};
use muster_engine::{TenantIndex, Timestamp};
use muster_ingest::clock;
use muster_ingest::server::{ReplayError, new_object_id, objects};
use muster_store::{OpenError, ReadError, Store, StoreConfig, WriteError};
use muster_wire::TenantName;

/// Why no token was made. Nothing has changed, except that the tenant may have been created.
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

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// The tenant.
    pub tenant: &'a TenantName,
    /// The name of the token.
    pub name: &'a str,
    /// The name of its role.
    pub role: &'a str,
    /// How many days it is valid.
    pub valid_days: u64,
}

/// Makes a token and returns its secret.
///
/// # Errors
/// See [`TokenError`].
pub fn create(directory: &Path, request: &TokenRequest<'_>) -> Result<String, TokenError> {
    let now = clock::wall();
    let secret = new_secret();
    let token = token(request.name, request.role, request.valid_days, &secret, now);
    let token = token.map_err(TokenError::Invalid)?;
    let store = Store::open(&StoreConfig::new(directory))?;
    let mut plane = ControlPlane::clone(&*objects(&store.snapshot())?);
    // Policy sets use revisions too.
    plane.skip_to(store.revision_latest()?);
    let tenant = match plane.tenant_named(request.tenant.as_str()) {
        Some(tenant) => tenant,
        None => create_tenant(&store, &mut plane, request.tenant, now)?,
    };
    let id = new_object_id();
    append(&store, &mut plane, tenant, now, Change::Issue { id, token })?;
    store.close()?;
    Ok(secret)
}

fn create_tenant(
    store: &Store,
    plane: &mut ControlPlane,
    name: &TenantName,
    now: Timestamp,
) -> Result<TenantIndex, TokenError> {
    let (tenant, key) = (plane.next_tenant(), Key::Tenant);
    let properties = TenantObject::properties(name);
    append(
        store,
        plane,
        tenant,
        now,
        Change::Create { key, properties },
    )?;
    Ok(tenant)
}

/// Appends the entry of a change to the control log. The policy set that follows is made at the next start.
fn append(
    store: &Store,
    plane: &mut ControlPlane,
    tenant: TenantIndex,
    at: Timestamp,
    change: Change,
) -> Result<(), TokenError> {
    let entry = plane.decide(&Command {
        actor: Actor::new("local").expect("its length is allowed"),
        at,
        tenant,
        expected: Precondition::Nothing,
        handling: Handling::Strict,
        change,
    })?;
    store.append_control(entry.revision, &entry.encode(), None)?;
    plane
        .apply(&entry)
        .expect("the entry was decided from this state");
    Ok(())
}
