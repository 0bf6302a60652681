//! The recount: counts every device on disk again, and compares with the counters.
//!
//! The oracle ([`ModelDisk`]) reads the disk; it shares only the reader of the journal and the codecs with the shards.
//! Offline, a recount compares the directory of a stopped or killed server, which is only read, with the counters that a
//! server would start with. Online, each shard thread in turn is paused at a committed state while a snapshot is
//! created; the counters of its shards at that point must equal the recount of the snapshot. Memory: about 300 bytes per
//! device of [`SHARDS_PER_PASS`] shards. It repairs nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use muster_api::{Difference, Recount};
use muster_engine::model::{DiskError, ModelDisk};
use muster_engine::{CellKey, Facets, Shard, ShardId, TenantIndex};
use muster_store::{ReadError, StoreView};

use crate::recovery::PolicySets;
use crate::shard::CellCount;
use crate::view::View;

/// Maximum number of differences listed in a report; all are counted.
const DIFFERENCES_LISTED_MAX: usize = 100;

/// Shards that are read in one pass over the journal: more passes take longer, more shards take more memory.
pub const SHARDS_PER_PASS: u16 = 8;

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
    view_drift: u64,
}

impl Comparison {
    /// Adds the cells of some shards: those counted on disk, and their counters.
    pub fn add(&mut self, counted: Cells, counters: Cells) {
        self.devices += counted.values().sum::<u64>();
        for (into, from) in [(&mut self.counted, counted), (&mut self.counters, counters)] {
            for (cell, count) in from {
                *into.entry(cell).or_default() += count;
            }
        }
    }

    /// Adds the number of devices by which the view differs from counters or from itself.
    pub fn add_view_drift(&mut self, devices: u64) {
        self.view_drift += devices;
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
            verified: self.counted == self.counters && self.view_drift == 0,
            devices: self.devices,
            cells: self.counted.len(),
            differing_cells,
            differences,
            view_drift: self.view_drift,
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

/// Adds up the counters that a shard thread replied with.
pub fn counters_of(cells: Vec<CellCount>) -> Cells {
    let mut counters = Cells::new();
    for cell in cells {
        *counters.entry((cell.tenant, cell.facets)).or_default() += cell.count;
    }
    counters
}

/// The number of devices by which the columns of some shards differ from the counters that their paused thread replied
/// with.
pub fn view_drift(view: &View, shards: Range<u16>, counters: &[CellCount]) -> u64 {
    let mut left = HashMap::new();
    for cell in counters {
        let key = CellKey {
            tenant: cell.tenant,
            facets: cell.facets.word(),
        };
        *left.entry(key).or_default() += cell.count;
    }
    let drift = view.count_columns(shards).map(|(cell, counted)| {
        let counter: u64 = left.remove(&cell).unwrap_or(0);
        counter.abs_diff(counted)
    });
    drift.sum::<u64>() + left.into_values().sum::<u64>()
}

/// Counts the devices of some shards from their pages and the journal, with the oracle.
pub fn count_shards(view: &StoreView<'_>, shards: Range<u16>) -> Result<Cells, RecountError> {
    let mut cells = Cells::new();
    for pass in passes(shards) {
        for (_, model) in read_shards(view, pass)? {
            for (cell, count) in model.cells() {
                *cells.entry(cell).or_default() += count;
            }
        }
    }
    Ok(cells)
}

/// Divides shards into those that [`read_shards`] should read at once.
pub fn passes(shards: Range<u16>) -> impl Iterator<Item = Range<u16>> {
    let ends = shards.clone().step_by(usize::from(SHARDS_PER_PASS));
    ends.map(move |first| first..shards.end.min(first + SHARDS_PER_PASS))
}

/// Reads some shards from their pages and one pass over the journal, with the oracle.
pub fn read_shards(
    view: &StoreView<'_>,
    shards: Range<u16>,
) -> Result<Vec<(ShardId, ModelDisk)>, RecountError> {
    let policies = PolicySets::of(view);
    let mut policy_set = |revision| policies.get(revision);
    let mut models = Vec::with_capacity(shards.len());
    for shard in shards.clone().map(ShardId) {
        let mut model = ModelDisk::default();
        view.pages(shard, |page, bytes| {
            model.page(page, bytes).map_err(in_shard(shard))
        })?;
        if let Some(record) = view.checkpoint(shard)? {
            model
                .checkpoint(record.cursor_sequence, &record.context)
                .map_err(in_shard(shard))?;
        }
        models.push((shard, model));
    }
    view.journal(|entry| {
        let place = usize::from(entry.shard).checked_sub(usize::from(shards.start));
        let Some((shard, model)) = place.and_then(|place| models.get_mut(place)) else {
            return Ok(());
        };
        model
            .journal(entry.sequence, entry.bytes, &mut policy_set)
            .map_err(in_shard(*shard))
    })?;
    for (shard, model) in &mut models {
        model.evaluate(&mut policy_set).map_err(in_shard(*shard))?;
    }
    Ok(models)
}

fn in_shard(shard: ShardId) -> impl FnOnce(DiskError) -> RecountError {
    move |source| RecountError::Model { shard, source }
}
