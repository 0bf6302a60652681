//! One shard: the deterministic state machine over the devices of one partition (design D4).
//!
//! Owned by one thread; nothing here blocks, locks or reads a clock. A batch is [`Shard::begin`], then events
//! ([`Shard::tick`] first, [`Shard::apply_check_ins`] …), then [`Shard::seal`], and optionally a step of a checkpoint
//! ([`Shard::checkpoint_step`]). Events fill [`Effects`]; the caller makes them durable before it acknowledges. Bounded
//! by [`ShardLimits`]: an event beyond a limit is rejected with a reason. [`recovery::Recovery`] rebuilds a shard.
//!
//! Hot path: once its buffers have grown, [`Shard::apply_check_ins`] allocates only for a new device (a chunk of
//! records per 4,096 devices) and while the number of cells exceeds its previous maximum.

mod apply;
mod audit;
mod checkpoint;
mod deadline;
mod dirty;
mod evaluation;
mod inventory;
mod lookup;
mod policies;
mod policy_pass;
pub(crate) mod recovery;
mod removal;
mod sequence;
mod set;
mod stale_runs;
mod targets;
#[cfg(test)]
mod tests;
mod tick;

use foldhash::HashMap;
use muster_wire::DeviceId;

use crate::cell::{CellKey, CellTable};
use crate::context::EvaluationTime;
use crate::deadlines::Deadlines;
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::{Effects, ProfileDefinition};
use crate::ids::{Revision, Sequence, ShardId, SlotIndex, TargetId, TenantIndex};
use crate::index::DeviceIndex;
use crate::numbers::NumbersMax;
use crate::profile::Profiles;
use crate::shard_map::ShardMap;
use crate::slab::DeviceSlab;
use crate::time::Timestamp;

pub use audit::AuditRound;
pub use checkpoint::CheckpointProgress;
pub use evaluation::{Decisions, decide, evaluate};
pub use sequence::SequenceReset;
pub use set::{ShardSet, shard_devices_max};
pub use stale_runs::StaleDevice;
pub use tick::Ticked;

use audit::{Audit, Audited};
use checkpoint::Checkpoint;
use policies::PolicySets;
use stale_runs::StaleRuns;

/// Limits that bound a shard's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Devices, with the removed ones, about 92 bytes each. Beyond it new ones are rejected with `deviceLimit`.
    pub devices_max: u32,
}

/// The state of one shard.
#[derive(Debug)]
pub struct Shard {
    id: ShardId,
    limits: ShardLimits,
    policies: PolicySets,
    time: EvaluationTime,
    /// Sequence of the last sealed batch that changed the state.
    sequence: Sequence,
    devices: DeviceSlab,
    /// Number of removed devices.
    removed: u32,
    deadlines: Deadlines,
    profiles: Profiles,
    /// The targets of devices that do not exist yet.
    waiting: HashMap<(TenantIndex, DeviceId), Box<[TargetId]>>,
    index: DeviceIndex,
    cells: CellTable,
    checkpoint: Checkpoint,
    audit: Audit,
    stale_runs: StaleRuns,
}

impl Shard {
    /// An empty shard. `hash_seed` keys its hash tables and should be unpredictable to clients.
    pub fn new(id: ShardId, limits: ShardLimits, hash_seed: u64) -> Self {
        Self {
            id,
            limits,
            policies: PolicySets::default(),
            time: EvaluationTime::default(),
            sequence: Sequence(0),
            devices: DeviceSlab::default(),
            removed: 0,
            deadlines: Deadlines::default(),
            profiles: Profiles::new(hash_seed),
            waiting: HashMap::default(),
            index: DeviceIndex::new(id, hash_seed),
            cells: CellTable::new(hash_seed),
            checkpoint: Checkpoint::default(),
            audit: Audit::default(),
            stale_runs: StaleRuns::default(),
        }
    }

    /// Opens a batch: clears `effects` and sets the receive time of all events in it. It may be before that of the last
    /// batch, if the clock was set back.
    pub fn begin(&self, now: Timestamp, effects: &mut Effects) {
        let now = self.time.not_just_before(now);
        effects.clear();
        effects.time = now;
        effects.now = now.as_seconds();
        effects.numbers_max = NumbersMax::at(now);
        effects.journal.begin(self.time.base, now);
    }

    /// Closes a batch and returns the sequence to commit it under. A batch that changed nothing has an empty journal
    /// value and keeps the previous sequence.
    pub fn seal(&mut self, effects: &mut Effects) -> Sequence {
        if !effects.targeted.is_empty() {
            effects.journal.targeted(&effects.targeted);
        }
        effects.journal.seal();
        if !effects.journal_value().is_empty() {
            self.sequence = self.sequence.next();
        }
        self.sequence
    }

    /// Whether a checkpoint is running.
    pub fn checkpoint_is_running(&self) -> bool {
        self.checkpoint.is_running()
    }

    /// Whether every page on disk equals memory.
    pub fn checkpoint_is_clean(&self) -> bool {
        self.checkpoint.is_clean()
    }

    /// Begins a checkpoint. Call it after [`Shard::seal`], and commit that batch as its begin. Does nothing and returns
    /// `false` if one is running.
    pub fn checkpoint_begin(&mut self) -> bool {
        self.checkpoint.begin()
    }

    /// Adds up to `pages_max` pending pages to the effects of the batch just sealed.
    pub fn checkpoint_step(
        &mut self,
        pages_max: usize,
        effects: &mut Effects,
    ) -> CheckpointProgress {
        self.checkpoint
            .step(pages_max, &self.devices, self.sequence, &mut effects.pages)
    }

    /// Audits the next `slots` slots. At the end of a round, returns its result and starts the next one. `map` defines
    /// which devices this shard owns. Call it between batches.
    pub fn audit(&mut self, slots: u32, map: ShardMap) -> Option<AuditRound> {
        let audited = Audited {
            shard: self.id,
            devices: &self.devices,
            index: &self.index,
            cells: &self.cells,
            deadlines: &self.deadlines,
            policies: &self.policies,
            time: self.time,
        };
        self.audit.step(slots, map, &audited)
    }

    /// Id of this shard.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Sequence of the last sealed batch that changed the state.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The revision of [`Shard::policy`].
    pub fn revision(&self) -> Revision {
        self.policy().revision()
    }

    /// Number of devices, without the removed ones.
    pub fn devices(&self) -> u32 {
        self.devices.devices() - self.removed
    }

    /// Number of slots that are in use.
    pub(crate) fn occupied(&self) -> u32 {
        self.devices.devices()
    }

    /// Number of removed devices, which occupy memory until their retention ends.
    pub fn removed(&self) -> u32 {
        self.removed
    }

    /// Number of slots, which a policy pass visits.
    pub fn slots(&self) -> u32 {
        self.devices.slots()
    }

    /// One past the last slot.
    fn slots_end(&self) -> SlotIndex {
        SlotIndex(self.slots())
    }

    /// Number of cells by tenant, up to the last tenant that has had any.
    pub fn cells_of_tenants(&self) -> &[u32] {
        self.cells.of_tenants()
    }

    /// The counters: every cell with its number of devices, in no order.
    pub fn cells(&self) -> impl Iterator<Item = (CellKey, u32)> + '_ {
        self.cells.iter()
    }

    /// The records of one device, which may be removed.
    pub fn device(
        &self,
        tenant: TenantIndex,
        id: &DeviceId,
    ) -> Option<(&DeviceRecord, &ColdRecord)> {
        let slot = self.look_up(tenant, id).slot?;
        Some((self.devices.get(slot), self.devices.cold(slot)))
    }

    /// Since when the check-ins of a device are stale, in seconds; `None` if its last one was accepted.
    pub fn stale_since(&self, tenant: TenantIndex, id: &DeviceId) -> Option<u32> {
        let slot = self.look_up(tenant, id).slot?;
        let seq = self.devices.get(slot).seq;
        self.stale_runs.since(tenant, slot, seq)
    }

    /// The devices whose check-ins are stale, in order of slots by tenant.
    pub fn stale_devices(&self) -> impl Iterator<Item = StaleDevice> + '_ {
        self.stale_runs.slots().filter_map(|slot| {
            let record = self.devices.get(slot);
            Some(StaleDevice {
                tenant: record.tenant,
                device_id: record.device_id,
                seq: record.seq,
                since: self.stale_runs.since(record.tenant, slot, record.seq)?,
            })
        })
    }

    /// Every device that is not removed, in order of slots.
    pub fn iter(&self) -> impl Iterator<Item = (&DeviceRecord, &ColdRecord)> {
        let devices = self.devices.occupied();
        let devices = devices.filter(|slot| !self.devices.get(*slot).removed());
        devices.map(|slot| (self.devices.get(slot), self.devices.cold(slot)))
    }

    /// Every profile in use.
    pub fn profile_definitions(&self) -> impl Iterator<Item = ProfileDefinition> + '_ {
        self.profiles
            .iter()
            .map(|(profile, set)| ProfileDefinition {
                profile,
                tenant: set.tenant,
                targets: set.targets.clone(),
            })
    }

    /// Tenant and facets of every device that is in a count, in order of slots.
    pub fn counted(&self) -> impl Iterator<Item = (SlotIndex, CellKey)> + '_ {
        let slots = SlotIndex(0).until(self.slots_end());
        slots.filter_map(|slot| Some((slot, self.devices.get(slot).counted_in()?)))
    }

    /// The records of the device in a slot, which may be removed; `None` if the slot is empty.
    pub fn device_in(&self, slot: SlotIndex) -> Option<(&DeviceRecord, &ColdRecord)> {
        if slot >= self.slots_end() {
            return None;
        }
        let record = self.devices.get(slot);
        record
            .is_occupied()
            .then(|| (record, self.devices.cold(slot)))
    }
}
