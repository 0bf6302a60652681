//! Tools for a data directory that no server uses: recount, listing, restore.
//!
//! The directory is only read: opened by the store, rebuilt by the server's recovery, and read again by the engine's
//! oracle.

pub mod audit;
pub mod listing;
pub mod recount;
pub mod restore;
pub mod token;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use muster_engine::{ShardId, TenantIndex};
use muster_ingest::recount::RecountError;
use muster_ingest::recovery::RecoverError;
use muster_ingest::server::{ReplayError, objects};
use muster_store::{OpenError, ReadError, ReadOnlyStore, Store, StoreConfig, StoreView};
use muster_wire::DeviceId;

/// Why a data directory cannot be recounted or listed. The operator restores a backup, or names another directory.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be rebuilt.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its control log cannot be read.
    #[error("{0}: restore a backup")]
    Control(#[from] ReplayError),
    /// A shard of it cannot be counted.
    #[error(transparent)]
    Recount(#[from] RecountError),
    /// The revision of a stored inventory differs from that in the record of its device.
    #[error(
        "shard {shard}: the stored inventory of device {device} does not match its record: restore a backup"
    )]
    Inventory {
        /// The shard.
        shard: ShardId,
        /// The device.
        device: DeviceId,
    },
}

/// Opens a directory that no server uses, and prints the store's notices to standard error.
fn open_read_only(directory: &Path) -> Result<ReadOnlyStore, OpenError> {
    let store = Store::open_read_only(&StoreConfig::new(directory))?;
    let mut out = std::io::stderr().lock();
    for notice in store.notices() {
        // A failed write to standard error does not affect the result.
        let _ = writeln!(out, "muster: warning: {}: {notice}", directory.display());
    }
    Ok(store)
}

/// The names of the tenants that exist, by index.
///
/// # Errors
/// The control log is damaged.
pub fn tenant_names(view: &StoreView<'_>) -> Result<BTreeMap<TenantIndex, String>, ReplayError> {
    let objects = objects(view)?;
    let tenants = objects.tenants();
    Ok(tenants
        .map(|(index, tenant)| (index, tenant.name.to_string()))
        .collect())
}

/// The name of a tenant; its index for one that was deleted.
fn name_of(names: &BTreeMap<TenantIndex, String>, index: TenantIndex) -> String {
    let name = names.get(&index).cloned();
    name.unwrap_or_else(|| format!("tenant-{index}"))
}
