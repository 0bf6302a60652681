//! The recount: every device counted again from what is on disk, compared with the counters.
//!
//! What is on disk is read by the oracle ([`ModelDisk`]), which shares no code with the shards but the
//! codecs. Offline, it is compared with the counters that a server would start with on a stopped or
//! killed server's directory, which is only read. Online, each shard in turn stands still at a
//! committed state while a snapshot is taken, and goes on; its counters of that moment must equal the
//! recount of the snapshot. Costs about 300 bytes for each device of the shard that is recounted.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use muster_engine::model::{DiskError, ModelDisk};
use muster_engine::{
    Cohort, Facets, Revision, Shard, ShardId, ShardLimits, TenantIndex, Timestamp,
};
use muster_store::{OpenError, ReadError, ReadOnlyStore, Store, StoreConfig, StoreView};
use muster_wire::DeviceId;
use serde_json::{Map, Value, json};

use crate::clock;
use crate::recovery::{RecoverError, RecoverOptions, policy_set_of, recover_view};
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
    /// The oracle cannot make sense of what is stored.
    #[error("shard {shard}: {source}")]
    Model {
        /// Which shard.
        shard: ShardId,
        /// What it found.
        source: DiskError,
    },
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

/// Opens a directory that no server uses, and says on standard error what was found wrong and left out.
pub(crate) fn open_read_only(directory: &Path) -> Result<ReadOnlyStore, OpenError> {
    let store = Store::open_read_only(&StoreConfig::new(directory))?;
    let mut out = std::io::stderr().lock();
    for notice in store.notices() {
        // Nobody may be reading; the answer is as good.
        let _ = writeln!(out, "muster: warning: {}: {notice}", directory.display());
    }
    Ok(store)
}

/// Recounts a directory that no server uses.
pub fn offline(directory: &Path) -> Result<Map<String, Value>, RecountError> {
    let store = open_read_only(directory)?;
    let view = store.view();
    let names = tenant_names(&view)?;
    let (shards, _) = recover_view(&view, UNLIMITED)?;
    let mut report = RecountReport::default();
    for shard in &shards {
        let counted = count_shard(&view, shard.id(), clock::wall())?;
        report.add(counted, counters(shard));
    }
    Ok(report.to_json(|index| names.get(&index).cloned().unwrap_or_default()))
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

/// Counts the devices of one shard from its pages and its journal, by the oracle's rules alone.
pub fn count_shard(
    view: &StoreView<'_>,
    shard: ShardId,
    now: Timestamp,
) -> Result<Cells, RecountError> {
    Ok(read_shard(view, shard, now)?.cells())
}

/// One shard as the oracle reads it from its tables, its pages and its journal.
pub fn read_shard(
    view: &StoreView<'_>,
    shard: ShardId,
    now: Timestamp,
) -> Result<ModelDisk, RecountError> {
    let fault = |source| RecountError::Model { shard, source };
    let mut model = ModelDisk::default();
    view.cohorts(shard, |_, bytes| model.cohort(bytes).map_err(fault))?;
    view.cells(shard, |_, bytes| model.cell(bytes).map_err(fault))?;
    view.pages(shard, |page, bytes| model.page(page, bytes).map_err(fault))?;
    let mut known = HashMap::new();
    let mut policy_set = |revision: Revision| {
        let entry = known
            .entry(revision)
            .or_insert_with(|| policy_set_of(view, revision));
        entry.clone()
    };
    model.judge_pages(now, &mut policy_set);
    view.journal(|entry| {
        if entry.shard != shard {
            return Ok(());
        }
        model
            .journal(entry.sequence, entry.bytes, &mut policy_set)
            .map_err(fault)
    })?;
    Ok(model)
}
