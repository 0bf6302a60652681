//! The whole history, told to the plain model: every journal value that ever became durable, in order.
//!
//! The model shares no code with the shards. Each journalled record must be new to it, so nothing takes effect
//! twice, whatever crashed in between; and in the end it must count what the server counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::journal::{JournalValue, Repeated, Segment};
use muster_engine::model::{Answer, Model, ModelCell};
use muster_engine::{PolicySet, Revision, Sequence, ShardId, TenantIndex, Timestamp};
use muster_store::Lsn;
use muster_wire::{CheckInRecord, DeviceId, Inventory};

use crate::disk::{Archived, SimulatedDisk};
use crate::violation::Violation;

/// The model, and how far it has read.
#[derive(Debug)]
pub struct Oracle {
    model: Model,
    next: Lsn,
    policies: BTreeMap<Revision, Arc<PolicySet>>,
    /// By shard and sequence: what the journal value was judged by.
    revisions: BTreeMap<(ShardId, Sequence), Revision>,
    /// By shard: its devices in the order in which the journal first names them, which is that of their slots.
    slots: BTreeMap<ShardId, Vec<(TenantIndex, DeviceId)>>,
    /// What each device said last; nothing if it has sent an inventory only.
    said: BTreeMap<(TenantIndex, DeviceId), Option<CheckInRecord>>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self {
            model: Model::default(),
            next: Lsn::FIRST,
            policies: BTreeMap::new(),
            revisions: BTreeMap::new(),
            slots: BTreeMap::new(),
            said: BTreeMap::new(),
        }
    }
}

impl Oracle {
    /// A policy set that some journal value may name.
    pub fn know(&mut self, policy: &Arc<PolicySet>) {
        self.policies.insert(policy.revision(), Arc::clone(policy));
    }

    /// Reads what has become durable since.
    pub fn catch_up(&mut self, disk: &SimulatedDisk) -> Result<(), Violation> {
        // What is read here is never read again: what is below must keep its value.
        disk.is_well_used()?;
        for archived in disk.archive_from(self.next) {
            if archived.lsn != self.next {
                let what = format!("log sequence number {} was never written", self.next);
                return Err(Violation::new("no gap", what));
            }
            self.next = self.next.next();
            self.value(&archived)?;
        }
        Ok(())
    }

    fn value(&mut self, archived: &Archived) -> Result<(), Violation> {
        let Archived {
            lsn,
            shard,
            sequence,
            ref bytes,
        } = *archived;
        let unreadable = |_| Violation::new("journal", format!("the value at {lsn} is unreadable"));
        let mut value = JournalValue::decode(bytes).map_err(unreadable)?;
        let Some(policy) = self.policies.get(&value.revision).cloned() else {
            let what = format!("the value at {lsn} names {:?}", value.revision);
            return Err(Violation::new("journal", what));
        };
        let follows = self
            .revision_at(shard, Sequence(sequence.0.wrapping_sub(1)))
            .is_some();
        let is_first = self
            .revisions
            .insert((shard, sequence), value.revision)
            .is_none();
        if !follows || !is_first {
            let what =
                format!("shard {shard} has sequence {sequence} at log sequence number {lsn}");
            return Err(Violation::new("no gap", what));
        }
        while let Some(segment) = value.next_segment().map_err(unreadable)? {
            match segment {
                Segment::CheckIns { tenant, records } => {
                    for bytes in records {
                        let record = CheckInRecord::validate(bytes).map_err(|reason| {
                            let what = format!("an invalid check-in at {lsn}: {reason:?}");
                            Violation::new("journal", what)
                        })?;
                        let answer = self.model.check_in(&policy, tenant, &record, value.now);
                        new(answer, lsn, record.seq())?;
                        self.device(shard, tenant, record.device_id())
                            .replace(record);
                    }
                }
                Segment::Repeated { tenant, records } => {
                    for bytes in records {
                        let record = Repeated::read(bytes)
                            .and_then(|repeated| self.repeated(shard, tenant, repeated));
                        let record = record.ok_or_else(|| {
                            let what = format!("no device repeats what {lsn} says");
                            Violation::new("journal", what)
                        })?;
                        let answer = self.model.check_in(&policy, tenant, &record, value.now);
                        new(answer, lsn, record.seq())?;
                        self.device(shard, tenant, record.device_id())
                            .replace(record);
                    }
                }
                Segment::Inventory { tenant, archive } => {
                    let inventory = Inventory::from_bytes(archive).map_err(|error| {
                        let what = format!("an invalid inventory at {lsn}: {error}");
                        Violation::new("journal", what)
                    })?;
                    let answer = self.model.inventory(&policy, tenant, &inventory, value.now);
                    new(answer, lsn, u64::from(inventory.revision))?;
                    self.device(shard, tenant, inventory.device_id);
                }
                Segment::Policy { .. } | Segment::Time { .. } => (),
            }
        }
        Ok(())
    }

    /// What a device said last. A new one gets the next slot of its shard.
    fn device(
        &mut self,
        shard: ShardId,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> &mut Option<CheckInRecord> {
        let key = (tenant, device_id);
        self.said.entry(key).or_insert_with(|| {
            self.slots.entry(shard).or_default().push(key);
            None
        })
    }

    /// A repeated check-in, spelt out.
    fn repeated(
        &self,
        shard: ShardId,
        tenant: TenantIndex,
        repeated: Repeated,
    ) -> Option<CheckInRecord> {
        let key = self.slots.get(&shard)?.get(repeated.slot.0 as usize)?;
        let (owner, device_id) = key;
        let said = (*self.said.get(key)?)?;
        if *owner != tenant || !repeated.is_of(device_id) {
            return None;
        }
        let says = said.with_seq(repeated.seq).ok()?;
        Some(says.with_flags(repeated.flags))
    }

    /// What a shard judged by at a sequence; none if it never came to it.
    pub fn revision_at(&self, shard: ShardId, sequence: Sequence) -> Option<Revision> {
        match sequence {
            Sequence(0) => Some(Revision::default()),
            _ => self.revisions.get(&(shard, sequence)).copied(),
        }
    }

    /// Devices that ever were accepted.
    pub fn devices(&self) -> usize {
        self.model.devices()
    }

    /// Every cell with its number of devices, all of them judged at `now`.
    pub fn cells(&self, policy: &PolicySet, now: Timestamp) -> BTreeMap<ModelCell, u64> {
        self.model.cells(policy, now)
    }
}

fn new(answer: Answer, lsn: Lsn, number: u64) -> Result<(), Violation> {
    match answer {
        Answer::Accepted => Ok(()),
        other => {
            let what =
                format!("number {number} at log sequence number {lsn} is {other:?} to the model");
            Err(Violation::new("counted once", what))
        }
    }
}
