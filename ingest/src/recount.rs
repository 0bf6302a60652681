//! The recount: counts every device on disk again, and compares with the counters.
//!
//! The oracle ([`ModelDisk`]) reads the disk; it shares only the codecs with the shards. Offline, a recount compares
//! the directory of a stopped or killed server, which is only read, with the counters that a server would start with.
//! Online, each shard in turn is paused at a committed state while a snapshot is created; its counters at that point
//! must equal the recount of the snapshot. Memory: about 300 bytes per device of the shard being recounted. It repairs
//! nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use muster_api::{Difference, Recount};
use muster_engine::model::{DiskError, ModelDisk};
use muster_engine::{Facets, Revision, Shard, ShardId, TenantIndex};
use muster_store::{ReadError, StoreView};

use crate::recovery::policy_set_of;
use crate::shard::CellCount;

/// Maximum number of differences listed in a report; all are counted.
const DIFFERENCES_LISTED_MAX: usize = 100;

/// Why a shard could not be recounted.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The oracle cannot decode the stored state.
    #[error("shard {shard}: {source}")]
    Model {
        /// The shard.
        shard: ShardId,
        /// The cause.
        source: DiskError,
    },
}

/// Number of devices by cell.
pub type Cells = BTreeMap<(TenantIndex, Facets), u64>;

/// The devices counted on disk, and the counters.
#[derive(Debug, Default)]
pub struct Comparison {
    counted: Cells,
    counters: Cells,
    devices: u64,
}

impl Comparison {
    /// Adds the cells of a shard: those counted on disk, and its counters.
    pub fn add(&mut self, counted: Cells, counters: Cells) {
        self.devices += counted.values().sum::<u64>();
        for (into, from) in [(&mut self.counted, counted), (&mut self.counters, counters)] {
            for (cell, count) in from {
                *into.entry(cell).or_default() += count;
            }
        }
    }

    /// Reports the differences by cell. `tenant` returns the name of a tenant.
    pub fn report(&self, tenant: impl Fn(TenantIndex) -> String) -> Recount {
        let cells: BTreeSet<_> = self.counted.keys().chain(self.counters.keys()).collect();
        let mut differences = Vec::new();
        let mut differing_cells = 0;
        for cell in cells {
            let number = |cells: &Cells| cells.get(cell).copied().unwrap_or(0);
            let (counted_on_disk, counter) = (number(&self.counted), number(&self.counters));
            if counted_on_disk == counter {
                continue;
            }
            differing_cells += 1;
            if differences.len() < DIFFERENCES_LISTED_MAX {
                differences.push(Difference {
                    tenant: tenant(cell.0),
                    facets: cell.1.word().0,
                    counted_on_disk,
                    counter,
                });
            }
        }
        Recount {
            verified: self.counted == self.counters,
            devices: self.devices,
            cells: self.counted.len(),
            differing_cells,
            differences,
        }
    }
}

/// The counters of a shard.
pub fn counters(shard: &Shard) -> Cells {
    let cells = shard.cells().filter_map(|(key, count)| {
        let facets = Facets::from_word(key.facets)?;
        Some(((key.tenant, facets), u64::from(count)))
    });
    cells.collect()
}

/// Converts the counters that a shard replied with.
pub fn counters_of(cells: Vec<CellCount>) -> Cells {
    let cells = cells.into_iter();
    cells
        .map(|cell| ((cell.tenant, cell.facets), cell.count))
        .collect()
}

/// Counts the devices of one shard from its pages and its journal, with the oracle.
pub fn count_shard(view: &StoreView<'_>, shard: ShardId) -> Result<Cells, RecountError> {
    Ok(read_shard(view, shard)?.cells())
}

/// Reads one shard from its pages and journal, with the oracle.
pub fn read_shard(view: &StoreView<'_>, shard: ShardId) -> Result<ModelDisk, RecountError> {
    let in_shard = |source| RecountError::Model { shard, source };
    let mut model = ModelDisk::default();
    view.pages(shard, |page, bytes| {
        model.page(page, bytes).map_err(in_shard)
    })?;
    if let Some(record) = view.checkpoint(shard)? {
        model.checkpoint(&record.context).map_err(in_shard)?;
    }
    let mut known = HashMap::new();
    let mut policy_set = |revision: Revision| {
        let entry = known
            .entry(revision)
            .or_insert_with(|| policy_set_of(view, revision));
        entry.clone()
    };
    view.journal(|entry| {
        if entry.shard != shard {
            return Ok(());
        }
        model.journal(entry.sequence, entry.bytes).map_err(in_shard)
    })?;
    model.evaluate(&mut policy_set).map_err(in_shard)?;
    Ok(model)
}
