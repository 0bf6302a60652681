//! The recount: every device counted again from what is on disk, compared with the counters.
//!
//! Offline, a stopped or killed server's directory is rebuilt read-only and every record is looked at.
//! Online, each shard in turn stands still at a committed state while a snapshot is taken, goes on, and
//! is rebuilt from that snapshot beside itself; its counters of that moment must equal the recount.
//! Costs the memory of the shard that is being recounted.

use std::collections::BTreeMap;
use std::path::Path;

use muster_engine::{Cohort, Facets, Shard, ShardLimits, TenantIndex};
use muster_store::{OpenError, ReadError, Store, StoreConfig, StoreView};
use serde_json::{Map, Value, json};

use crate::recovery::{RecoverError, RecoverOptions, recover_view};
use crate::shard::CellCount;

/// Differences listed in a report; all are counted.
const DIFFERENCES_LISTED_MAX: usize = 100;

/// A recount limits nothing: what was accepted is counted.
const UNLIMITED: RecoverOptions = RecoverOptions {
    limits: ShardLimits {
        devices_max: u32::MAX,
        cells_max: usize::MAX,
        cohorts_max: usize::MAX,
    },
    hash_seed: 0,
};

/// Why a recount could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// The directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The directory cannot be rebuilt.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The directory cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Numbers of devices by cell.
pub type Cells = BTreeMap<(TenantIndex, Cohort, Facets), u64>;

/// What a recount found.
#[derive(Debug, Default)]
pub struct RecountReport {
    counted: Cells,
    counters: Cells,
    devices: u64,
}

impl RecountReport {
    /// Adds a shard: what was counted on disk, and what its counters said.
    pub fn add(&mut self, counted: Cells, counters: Cells) {
        self.devices += counted.values().sum::<u64>();
        for (into, from) in [(&mut self.counted, counted), (&mut self.counters, counters)] {
            for (cell, count) in from {
                *into.entry(cell).or_default() += count;
            }
        }
    }

    /// Whether every cell has the same number on both sides.
    pub fn is_verified(&self) -> bool {
        self.counted == self.counters
    }

    /// The report as the CLI and the API show it. `tenant` names a tenant by index.
    pub fn to_json(&self, tenant: impl Fn(TenantIndex) -> String) -> Map<String, Value> {
        let cells = self.counted.keys().chain(self.counters.keys());
        let mut differences = Vec::new();
        let mut differing = 0_u64;
        for cell in cells.collect::<std::collections::BTreeSet<_>>() {
            let number = |cells: &Cells| cells.get(cell).copied().unwrap_or(0);
            let (counted, counter) = (number(&self.counted), number(&self.counters));
            if counted == counter {
                continue;
            }
            differing += 1;
            if differences.len() < DIFFERENCES_LISTED_MAX {
                differences.push(json!({
                    "tenant": tenant(cell.0),
                    "facets": cell.2.word().0,
                    "counted_on_disk": counted,
                    "counter": counter,
                }));
            }
        }
        let mut report = Map::new();
        report.insert("verified".into(), self.is_verified().into());
        report.insert("devices".into(), self.devices.into());
        report.insert("cells".into(), self.counted.len().into());
        report.insert("differing_cells".into(), differing.into());
        report.insert("differences".into(), differences.into());
        report
    }
}

/// Counts the records of a shard, device by device.
pub fn count_devices(shard: &Shard) -> Cells {
    let mut cells = Cells::new();
    for (record, key) in shard.iter() {
        if let (Some(cohort), Some(facets)) =
            (shard.cohort(key.cohort), Facets::from_word(key.facets))
        {
            *cells
                .entry((record.tenant, cohort.clone(), facets))
                .or_default() += 1;
        }
    }
    cells
}

/// The counters of a shard.
pub fn counters(shard: &Shard) -> Cells {
    let mut cells = Cells::new();
    for (key, count) in shard.cells().filter(|(_, count)| *count > 0) {
        if let (Some(cohort), Some(facets)) =
            (shard.cohort(key.cohort), Facets::from_word(key.facets))
        {
            *cells
                .entry((key.tenant, cohort.clone(), facets))
                .or_default() += u64::from(count);
        }
    }
    cells
}

/// Counters as a shard hands them out.
pub fn counters_of(cells: Vec<CellCount>) -> Cells {
    let mut by_cell = Cells::new();
    for cell in cells {
        *by_cell
            .entry((cell.tenant, cell.cohort, cell.facets))
            .or_default() += cell.count;
    }
    by_cell
}

/// Recounts a directory that no server uses.
pub fn offline(directory: &Path) -> Result<Map<String, Value>, RecountError> {
    let store = Store::open_read_only(&StoreConfig::new(directory))?;
    let view = store.view();
    let mut names = BTreeMap::new();
    view.tenants(|name, index| {
        names.insert(index, name.to_owned());
        Ok::<(), ReadError>(())
    })?;
    let (shards, _) = recover_view(&view, UNLIMITED)?;
    let mut report = RecountReport::default();
    for shard in &shards {
        report.add(count_devices(shard), counters(shard));
    }
    Ok(report.to_json(|index| names.get(&index).cloned().unwrap_or_default()))
}

/// Rebuilds one shard from a snapshot and counts its devices.
pub fn count_shard(view: &StoreView<'_>, shard: u16) -> Result<Cells, RecoverError> {
    let shards = crate::recovery::recover_one(view, shard, UNLIMITED)?;
    Ok(count_devices(&shards))
}
