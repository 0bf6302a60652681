//! Tools for a data directory that no server uses: its recount, its devices, a restore.
//!
//! The directory is only read. Opened through the store, rebuilt by the server's recovery, read once more by the
//! engine's oracle.

pub mod listing;
pub mod recount;
pub mod restore;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use muster_engine::{ShardId, TenantIndex};
use muster_ingest::recount::RecountError;
use muster_ingest::recovery::RecoverError;
use muster_store::{OpenError, ReadError, ReadOnlyStore, Store, StoreConfig, StoreView};
use muster_wire::DeviceId;

/// Why a data directory cannot be recounted or listed. The operator restores a copy, or names another directory.
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
    /// A shard of it cannot be counted.
    #[error(transparent)]
    Recount(#[from] RecountError),
    /// A stored inventory is not the one that its device has counted: its revision, owner or tags differ.
    #[error(
        "shard {shard}: the stored inventory of device {device} is not the one that its record has: restore from a copy"
    )]
    Inventory {
        /// Which shard.
        shard: ShardId,
        /// Whose it is.
        device: DeviceId,
    },
}

/// Opens a directory that no server uses, and says on standard error what was found wrong and left out.
fn open_read_only(directory: &Path) -> Result<ReadOnlyStore, OpenError> {
    let store = Store::open_read_only(&StoreConfig::new(directory))?;
    let mut out = std::io::stderr().lock();
    for notice in store.notices() {
        // Nobody may be reading; the answer is as good.
        let _ = writeln!(out, "muster: warning: {}: {notice}", directory.display());
    }
    Ok(store)
}

/// The tenants of a store by index.
pub fn tenant_names(view: &StoreView<'_>) -> Result<BTreeMap<TenantIndex, String>, ReadError> {
    let mut names = BTreeMap::new();
    view.tenants(|name, index| {
        names.insert(index, name.to_owned());
        Ok::<(), ReadError>(())
    })?;
    Ok(names)
}
