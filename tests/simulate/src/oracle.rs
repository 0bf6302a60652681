//! Applies the history, every journal value that ever became durable, to the model in order.
//!
//! The model shares no code with the shards. It must accept each journaled record as new, so that no record takes
//! effect twice whatever crashes happen in between; and at the end its counts must match the server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::journal::{JournalValue, Repeated, Segment};
use muster_engine::model::{Answer, Model, ModelCell};
use muster_engine::{PolicySet, Revision, Sequence, ShardId, SlotIndex, TenantIndex, Timestamp};
use muster_store::Lsn;
use muster_wire::{CheckInRecord, DeviceId, Inventory};

use crate::disk::{DurableValue, SimulatedDisk};
use crate::violation::Violation;

/// The model, and how far it has read the history.
#[derive(Debug)]
pub struct Oracle {
    model: Model,
    next_lsn: Lsn,
    policies: BTreeMap<Revision, Arc<PolicySet>>,
    /// By shard and sequence: the policy revision of the journal value.
    revisions: BTreeMap<(ShardId, Sequence), Revision>,
    /// By shard: its devices by slot, which is the order in which the journal first names them.
    slots: BTreeMap<ShardId, Vec<(TenantIndex, DeviceId)>>,
    /// The last check-in of each device; none if it has only sent inventories.
    last_check_ins: BTreeMap<(TenantIndex, DeviceId), Option<CheckInRecord>>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self {
            model: Model::default(),
            next_lsn: Lsn::FIRST,
            policies: BTreeMap::new(),
            revisions: BTreeMap::new(),
            slots: BTreeMap::new(),
            last_check_ins: BTreeMap::new(),
        }
    }
}

impl Oracle {
    /// Adds a policy set that later journal values may name.
    pub fn add_policy(&mut self, policy: &Arc<PolicySet>) {
        self.policies.insert(policy.revision(), Arc::clone(policy));
    }

    /// Applies the journal values that have become durable since the last call.
    pub fn catch_up(&mut self, disk: &SimulatedDisk) -> Result<(), Violation> {
        // A value is read once, so it must not be overwritten later.
        disk.check_usage()?;
        for durable in disk.durable_values_from(self.next_lsn) {
            if durable.lsn != self.next_lsn {
                let detail = format!("no journal value at {}", self.next_lsn);
                return Err(Violation::new("no gap", detail));
            }
            self.next_lsn = self.next_lsn.next();
            self.apply(&durable)?;
        }
        Ok(())
    }

    fn apply(&mut self, durable: &DurableValue) -> Result<(), Violation> {
        let DurableValue {
            lsn,
            shard,
            sequence,
            ref bytes,
        } = *durable;
        let invalid = |detail: String| Violation::new("journal", format!("at {lsn}: {detail}"));
        let undecodable = |_| invalid("the value cannot be decoded".to_owned());
        let mut value = JournalValue::decode(bytes).map_err(undecodable)?;
        let Some(policy) = self.policies.get(&value.revision).cloned() else {
            return Err(invalid(format!("unknown {:?}", value.revision)));
        };
        let previous = Sequence(sequence.0.wrapping_sub(1));
        let follows = self.revision_at(shard, previous).is_some();
        let is_first = self
            .revisions
            .insert((shard, sequence), value.revision)
            .is_none();
        if !follows || !is_first {
            let detail = format!("unexpected sequence {sequence} of shard {shard} at {lsn}");
            return Err(Violation::new("no gap", detail));
        }
        while let Some(segment) = value.next_segment().map_err(undecodable)? {
            match segment {
                Segment::CheckIns { tenant, records } => {
                    for bytes in records {
                        let record = CheckInRecord::validate(bytes)
                            .map_err(|reason| invalid(format!("invalid check-in: {reason:?}")))?;
                        let answer = self.model.check_in(&policy, tenant, &record, value.now);
                        expect_accepted(answer, lsn, record.seq())?;
                        self.last_check_in(shard, tenant, record.device_id())
                            .replace(record);
                    }
                }
                Segment::Repeated { tenant, records } => {
                    for bytes in records {
                        let record = Repeated::read(bytes)
                            .and_then(|repeated| self.expand(shard, tenant, repeated))
                            .ok_or_else(|| {
                                invalid("a repeated check-in without a first one".to_owned())
                            })?;
                        let answer = self.model.check_in(&policy, tenant, &record, value.now);
                        expect_accepted(answer, lsn, record.seq())?;
                        self.last_check_in(shard, tenant, record.device_id())
                            .replace(record);
                    }
                }
                Segment::Inventory { tenant, archive } => {
                    let inventory = Inventory::from_bytes(archive)
                        .map_err(|error| invalid(format!("invalid inventory: {error}")))?;
                    let answer = self.model.inventory(&policy, tenant, &inventory, value.now);
                    expect_accepted(answer, lsn, u64::from(inventory.revision))?;
                    self.last_check_in(shard, tenant, inventory.device_id);
                }
                Segment::Reset {
                    tenant,
                    slot,
                    device_id,
                } => {
                    if !self.reset(shard, slot, (tenant, device_id), value.now) {
                        return Err(invalid("a reset of a device not in its slot".to_owned()));
                    }
                }
                Segment::Policy { .. } | Segment::Time { .. } => (),
            }
        }
        Ok(())
    }

    /// Resets the seq of the device in a slot; `false` if the slot has another device.
    fn reset(
        &mut self,
        shard: ShardId,
        slot: SlotIndex,
        (tenant, device_id): (TenantIndex, DeviceId),
        now: Timestamp,
    ) -> bool {
        let slots = self.slots.get(&shard);
        let device = slots.and_then(|slots| slots.get(slot.0 as usize));
        device == Some(&(tenant, device_id)) && self.model.reset_sequence(tenant, device_id, now)
    }

    /// The last check-in of a device. A new device gets the next slot of its shard.
    fn last_check_in(
        &mut self,
        shard: ShardId,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> &mut Option<CheckInRecord> {
        let key = (tenant, device_id);
        self.last_check_ins.entry(key).or_insert_with(|| {
            self.slots.entry(shard).or_default().push(key);
            None
        })
    }

    /// The full record of a repeated check-in.
    fn expand(
        &self,
        shard: ShardId,
        tenant: TenantIndex,
        repeated: Repeated,
    ) -> Option<CheckInRecord> {
        let key = self.slots.get(&shard)?.get(repeated.slot.0 as usize)?;
        let (owner, device_id) = key;
        let last = (*self.last_check_ins.get(key)?)?;
        if *owner != tenant || !repeated.is_of(device_id) {
            return None;
        }
        let record = last.with_seq(repeated.seq).ok()?;
        Some(record.with_flags(repeated.flags))
    }

    /// The policy revision of a shard at a sequence; none if the journal has no such sequence.
    pub fn revision_at(&self, shard: ShardId, sequence: Sequence) -> Option<Revision> {
        match sequence {
            Sequence(0) => Some(Revision::default()),
            _ => self.revisions.get(&(shard, sequence)).copied(),
        }
    }

    /// Number of devices that the journal ever created.
    pub fn devices(&self) -> usize {
        self.model.devices()
    }

    /// Every cell with its number of devices, all evaluated at `now`.
    pub fn cells(&self, policy: &PolicySet, now: Timestamp) -> BTreeMap<ModelCell, u64> {
        self.model.cells(policy, now)
    }
}

fn expect_accepted(answer: Answer, lsn: Lsn, number: u64) -> Result<(), Violation> {
    match answer {
        Answer::Accepted => Ok(()),
        other => {
            let detail = format!("the model answers {other:?} to the record {number} at {lsn}");
            Err(Violation::new("counted once", detail))
        }
    }
}
