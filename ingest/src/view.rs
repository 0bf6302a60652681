//! The view: what queries about many devices are answered from, without a shard thread (design D28, D30).
//!
//! For each tenant the number of devices in each cell, a feed of the latest changes and one of the latest arrivals; for
//! each shard columns with tenant, facets and profile of the device in each slot. The transitions of a commit are applied when it is durable and before
//! it is acknowledged: whoever has an ack finds its check-ins counted, and nothing that a crash could undo is shown.
//!
//! Owner: the writer thread applies; any thread reads. Locks: one for each commit with transitions, which a check of the
//! whole view takes too, and one for each tenant, which a reader holds to copy cells or changes. None is taken for a
//! commit without transitions. Bounded: `SLOT_BYTES` for a slot, a cell for each combination of facets that some device
//! of the tenant has, `CHANGES_MAX` changes and as many arrivals of each tenant. Not on disk: a start builds it from the
//! recovered shards.

mod column;
mod feed;
mod following;
mod packed;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::HashMap;
use muster_api::Cell;
use muster_control::Sight;
use muster_engine::{
    CellKey, FacetWord, Facets, ProfileDefinition, Shard, ShardId, SlotIndex, TenantIndex,
    Timestamp, Transition,
};

pub use muster_api::Position;

pub(crate) use column::SLOT_BYTES;
pub(crate) use feed::{CHANGE_BYTES, CHANGES_MAX};

use column::Column;
use feed::{Feed, Turnover};
use tenant::TenantView;

/// Positions of the changes of a run begin at the milliseconds of its start times this, so that a position of another
/// run is never taken for one of this run: no tenant has four million changes in every millisecond of a run.
const POSITIONS_PER_MS: u64 = 1 << 22;

/// Devices by cell.
type DevicesByCell = HashMap<CellKey, u64>;

/// The view of all devices. Shared by the writer thread and the readers.
#[derive(Debug)]
pub struct View {
    /// By tenant: those that have had a device.
    tenants: RwLock<BTreeMap<TenantIndex, Arc<Mutex<TenantView>>>>,
    /// By shard.
    columns: Box<[Column]>,
    /// Locked while transitions are applied, and while everything must be of one state.
    applying: Mutex<()>,
    first_position: u64,
    changes_max: usize,
    changes: AtomicU64,
    evicted: AtomicU64,
}

impl View {
    /// The view of these shards, of `count` in all, in a server that started at `started_at`.
    pub fn new<'a>(
        count: u16,
        shards: impl IntoIterator<Item = &'a Shard>,
        started_at: Timestamp,
    ) -> Self {
        let view = Self {
            tenants: RwLock::default(),
            columns: (0..count).map(|_| Column::default()).collect(),
            applying: Mutex::default(),
            first_position: started_at.as_millis().saturating_mul(POSITIONS_PER_MS),
            changes_max: CHANGES_MAX,
            changes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        };
        for shard in shards {
            view.add(shard);
        }
        view
    }

    /// Adds the devices of a recovered shard.
    fn add(&self, shard: &Shard) {
        for (CellKey { tenant, facets }, devices) in shard.cells() {
            lock(&self.tenant(tenant)).add(facets, devices.into());
        }
        let Some(last) = shard.slots().checked_sub(1) else {
            return;
        };
        let column = &self.columns[usize::from(shard.id())];
        let definitions: Vec<_> = shard.profile_definitions().collect();
        column.define().define(&definitions);
        let column = column.open(SlotIndex(last));
        for (slot, CellKey { tenant, facets }) in shard.counted() {
            let profile = shard.device_in(slot).map(|(record, _)| record.profile());
            column.set(slot, tenant, Some(facets), profile.unwrap_or_default());
        }
    }

    /// Applies the transitions of a batch of a shard, which is durable. Those of a shard must be applied in order.
    /// The profiles that are new in the batch come with them.
    pub(crate) fn apply(
        &self,
        shard: ShardId,
        transitions: &[Transition],
        profiles: &[ProfileDefinition],
        time: Timestamp,
    ) {
        let last = transitions.iter().map(|transition| transition.slot).max();
        let last = match (last, profiles) {
            (None, []) => return,
            // A profile of a device that is removed.
            (None, _) => SlotIndex(0),
            (Some(last), _) => last,
        };
        let _applying = lock(&self.applying);
        let column = &self.columns[usize::from(shard)];
        // A number may get another meaning in the batch in which its last device leaves it: no reader sees one without
        // the other.
        let mut defining = (!profiles.is_empty()).then(|| column.define());
        if let Some(defining) = &mut defining {
            defining.define(profiles);
        }
        let column = column.open(last);
        let mut turnover = Turnover::default();
        for of_tenant in transitions.chunk_by(|one, next| one.tenant == next.tenant) {
            let tenant = of_tenant[0].tenant;
            turnover += lock(&self.tenant(tenant)).apply(of_tenant, time.as_seconds());
            for transition in of_tenant {
                let Transition { slot, after, .. } = *transition;
                column.set(slot, tenant, after, transition.profile);
            }
        }
        drop(defining);
        self.tally(turnover);
    }

    /// The cells of one tenant or of all, each once, in no order.
    pub fn cells(&self, tenant: Option<TenantIndex>) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (tenant, of_tenant) in self.tenants(tenant) {
            let of_tenant = lock(&of_tenant);
            let found = of_tenant.cells();
            // Of exactly that size: `memory` has an account of it.
            cells.reserve_exact(found.len());
            // Words in the view decode: shards encoded them.
            cells.extend(found.filter_map(|(facets, count)| {
                Some(Cell {
                    tenant,
                    facets: Facets::from_word(facets)?,
                    count,
                })
            }));
        }
        cells
    }

    /// The cells of the devices of a tenant that are seen, each once, in no order. Its cost is that of a scan.
    pub fn cells_seen(&self, tenant: TenantIndex, sight: &Sight) -> Vec<Cell> {
        let mut counted: HashMap<FacetWord, u64> = HashMap::default();
        for column in &self.columns {
            let _ = column.visit_seen(SlotIndex(0), tenant, sight, |_, facets| {
                *counted.entry(facets).or_default() += 1;
                ControlFlow::<()>::Continue(())
            });
        }
        let cell = |(facets, count)| {
            Some(Cell {
                tenant,
                facets: Facets::from_word(facets)?,
                count,
            })
        };
        counted.into_iter().filter_map(cell).collect()
    }

    /// Number of devices of a tenant whose facets match. Its cost is that of its cells, not of its devices.
    pub fn count(&self, tenant: TenantIndex, matches: impl Fn(FacetWord) -> bool) -> u64 {
        let of_tenants = self.tenants(Some(tenant));
        let of_tenant = of_tenants.iter().map(|(_, of_tenant)| {
            let of_tenant = lock(of_tenant);
            let cells = of_tenant.cells().filter(|(facets, _)| matches(*facets));
            cells.map(|(_, devices)| devices).sum::<u64>()
        });
        of_tenant.sum()
    }

    /// The positions of the devices of a tenant that are seen, if not all are, and whose facets match, in ascending order
    /// from `from` on, at most `limit`.
    pub fn scan(
        &self,
        tenant: TenantIndex,
        sight: Option<&Sight>,
        from: Position,
        limit: usize,
        matches: impl Fn(FacetWord) -> bool,
    ) -> Vec<Position> {
        let mut found = Vec::new();
        let columns = (0..).map(ShardId).zip(&self.columns);
        for (shard, column) in columns.skip(from.shard.into()) {
            let from = if shard == from.shard {
                from.slot
            } else {
                SlotIndex(0)
            };
            let mut find = |slot, facets| {
                if found.len() >= limit {
                    return ControlFlow::Break(());
                }
                if matches(facets) {
                    found.push(Position { shard, slot });
                }
                ControlFlow::Continue(())
            };
            let visited = match sight {
                Some(sight) => column.visit_seen(from, tenant, sight, find),
                None => column.visit(from, |slot, of, facets| {
                    if of == tenant {
                        find(slot, facets)?;
                    }
                    ControlFlow::Continue(())
                }),
            };
            if visited.is_break() {
                break;
            }
        }
        found
    }

    /// The devices of some shards by cell, counted from their columns. The caller keeps the threads of these shards from
    /// committing, so that this is one state.
    pub fn count_columns(
        &self,
        shards: Range<u16>,
    ) -> impl Iterator<Item = (CellKey, u64)> + use<> {
        let mut counted = DevicesByCell::default();
        for column in &self.columns[usize::from(shards.start)..usize::from(shards.end)] {
            let _ = column.visit(SlotIndex(0), |_, tenant, facets| {
                *counted.entry(CellKey { tenant, facets }).or_default() += 1;
                ControlFlow::<()>::Continue(())
            });
        }
        counted.into_iter()
    }

    /// The number of devices by which cells and columns differ; must be 0. Nothing is applied meanwhile, so all commits
    /// wait for a scan of all columns: about 5 ms per million devices.
    pub fn drift(&self) -> u64 {
        let _applying = lock(&self.applying);
        let counted = self.count_columns(0..self.columns.len() as u16);
        let mut counted: DevicesByCell = counted.collect();
        let mut drift = 0;
        for (tenant, of_tenant) in self.tenants(None) {
            for (facets, devices) in lock(&of_tenant).cells() {
                let counted = counted.remove(&CellKey { tenant, facets });
                drift += devices.abs_diff(counted.unwrap_or(0));
            }
        }
        drift + counted.into_values().sum::<u64>()
    }

    /// One tenant if it has had a device, or all of them.
    fn tenants(&self, only: Option<TenantIndex>) -> Vec<(TenantIndex, Arc<Mutex<TenantView>>)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let shared =
            |(tenant, of_tenant): (&TenantIndex, &Arc<_>)| (*tenant, Arc::clone(of_tenant));
        match only {
            Some(tenant) => tenants
                .get_key_value(&tenant)
                .map(shared)
                .into_iter()
                .collect(),
            None => tenants.iter().map(shared).collect(),
        }
    }

    /// A tenant, which is created with its first device.
    fn tenant(&self, tenant: TenantIndex) -> Arc<Mutex<TenantView>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = tenants.get(&tenant) {
            return Arc::clone(of_tenant);
        }
        drop(tenants);
        let feed = || Feed::new(self.first_position, self.changes_max);
        let of_tenant = Arc::new(Mutex::new(TenantView::new(feed(), feed())));
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant).or_insert(of_tenant))
    }
}

/// A panic of a reader leaves what it reads as it was; one of the writer ends the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
