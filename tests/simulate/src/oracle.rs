//! Applies the history, every journal value that ever became durable, to the model in order.
//!
//! The model shares no code with the shards. It must accept each journaled record as new, so that no record takes
//! effect twice whatever crashes happen in between; and at the end its counts must match the server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::journal::{
    CheckInEntry, DeviceAction, JournalValue, Repeated, Segment, slot_of, target_of, targeted_of,
};
use muster_engine::model::{Answer, Model, ModelCell};
use muster_engine::{
    PolicySet, ProfileId, Revision, Sequence, ShardId, SlotIndex, TargetId, TenantIndex, Timestamp,
};
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
    shards: BTreeMap<ShardId, Progress>,
    /// The device in each slot.
    slots: BTreeMap<(ShardId, SlotIndex), (TenantIndex, DeviceId)>,
    /// The tenant and the targets of each profile.
    profiles: BTreeMap<(ShardId, ProfileId), (TenantIndex, Vec<TargetId>)>,
    /// The last check-in of each device.
    last_check_ins: BTreeMap<(TenantIndex, DeviceId), CheckInRecord>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self {
            model: Model::default(),
            next_lsn: Lsn::FIRST,
            policies: BTreeMap::new(),
            shards: BTreeMap::new(),
            slots: BTreeMap::new(),
            profiles: BTreeMap::new(),
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
        for value in disk.durable_values_from(self.next_lsn) {
            if value.iter().any(|durable| durable.lsn != self.next_lsn) {
                let detail = format!("no journal value at {}", self.next_lsn);
                return Err(Violation::new("no gap", detail));
            }
            self.next_lsn = self.next_lsn.next();
            value.iter().try_for_each(|durable| self.apply(durable))?;
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
        let mut progress = self.shards.get(&shard).copied().unwrap_or_default();
        if sequence != progress.sequence.next() {
            let detail = format!("unexpected sequence {sequence} of shard {shard} at {lsn}");
            return Err(Violation::new("no gap", detail));
        }
        progress.sequence = sequence;
        while let Some(segment) = value.next_segment().map_err(undecodable)? {
            progress.note(&segment);
            self.segment(shard, progress, value.now, segment)
                .map_err(|detail| {
                    let check = match detail {
                        Fault::NotAccepted(_) => "counted once",
                        Fault::Invalid(_) => "journal",
                    };
                    let (Fault::NotAccepted(detail) | Fault::Invalid(detail)) = detail;
                    Violation::new(check, format!("at {lsn}: {detail}"))
                })?;
        }
        self.shards.insert(shard, progress);
        Ok(())
    }

    fn segment(
        &mut self,
        shard: ShardId,
        progress: Progress,
        now: Timestamp,
        segment: Segment<'_>,
    ) -> Result<(), Fault> {
        let invalid = |detail: &str| Fault::Invalid(detail.to_owned());
        match segment {
            Segment::CheckIns { tenant, records } => {
                for bytes in records {
                    let entry = CheckInEntry::read(bytes);
                    let CheckInEntry { slot, record } =
                        entry.ok_or_else(|| invalid("an invalid check-in"))?;
                    self.occupy((shard, slot), (tenant, record.device_id()))?;
                    let policy = self.policy(progress.revision(slot))?;
                    self.check_in(&policy, tenant, record, now)?;
                }
            }
            Segment::Repeated { tenant, records } => {
                for bytes in records {
                    let (slot, record) = Repeated::read(bytes)
                        .and_then(|repeated| {
                            Some((repeated.slot, self.expand(shard, tenant, repeated)?))
                        })
                        .ok_or_else(|| invalid("a repeated check-in without a first one"))?;
                    let policy = self.policy(progress.revision(slot))?;
                    self.check_in(&policy, tenant, record, now)?;
                }
            }
            Segment::Inventory {
                tenant,
                slot,
                archive,
            } => {
                let inventory =
                    Inventory::from_bytes(archive).map_err(|_| invalid("an invalid inventory"))?;
                self.occupy((shard, slot), (tenant, inventory.device_id))?;
                let policy = self.policy(progress.revision(slot))?;
                let answer = self.model.inventory(&policy, tenant, &inventory, now);
                expect_accepted(answer, u64::from(inventory.revision))?;
            }
            Segment::Action {
                action,
                tenant,
                slot,
                device_id,
            } => {
                if self.slots.get(&(shard, slot)) != Some(&(tenant, device_id)) {
                    return Err(invalid("an action on a device that is not in its slot"));
                }
                match action {
                    DeviceAction::Reset => {
                        self.model.reset_sequence(tenant, device_id, now);
                    }
                    DeviceAction::Remove => self.model.remove(tenant, device_id, false, now),
                    DeviceAction::Restore => self.model.remove(tenant, device_id, true, now),
                }
            }
            Segment::Freed { slots } => {
                for slot in slots.iter().map(slot_of) {
                    let device = self.slots.remove(&(shard, slot));
                    let (tenant, device_id) =
                        device.ok_or_else(|| invalid("an empty slot becomes free"))?;
                    self.last_check_ins.remove(&(tenant, device_id));
                    let policy = self.policy(progress.revision(slot))?;
                    if !self.model.free(&policy, tenant, device_id, now) {
                        return Err(invalid("a device is gone before its retention has ended"));
                    }
                }
            }
            segment => return self.other_segment(shard, now, segment),
        }
        Ok(())
    }

    /// A segment about profiles or about the shard as a whole.
    fn other_segment(
        &mut self,
        shard: ShardId,
        now: Timestamp,
        segment: Segment<'_>,
    ) -> Result<(), Fault> {
        match segment {
            Segment::Profile {
                profile,
                tenant,
                targets,
            } => {
                let targets: Vec<_> = targets.iter().map(target_of).collect();
                self.profiles.insert((shard, profile), (tenant, targets));
            }
            Segment::Targeted { devices } => {
                for (slot, profile) in devices.iter().map(targeted_of) {
                    self.target(shard, slot, profile)?;
                }
            }
            Segment::ClockSetBack => {
                let devices = self.slots.iter().filter(|((of, _), _)| *of == shard);
                for (_, (tenant, device_id)) in devices {
                    self.model.set_back(*tenant, *device_id, now);
                }
            }
            // They change no device that the model knows: it evaluates when asked.
            _ => (),
        }
        Ok(())
    }

    fn policy(&self, revision: Revision) -> Result<Arc<PolicySet>, Fault> {
        if revision == Revision::default() {
            return Ok(Arc::default());
        }
        let policy = self.policies.get(&revision).cloned();
        policy.ok_or_else(|| Fault::Invalid(format!("unknown {revision:?}")))
    }

    fn target(&mut self, shard: ShardId, slot: SlotIndex, profile: ProfileId) -> Result<(), Fault> {
        let invalid = |detail: &str| Fault::Invalid(detail.to_owned());
        let device = self.slots.get(&(shard, slot));
        let (tenant, device_id) = device.ok_or_else(|| invalid("a profile without a device"))?;
        let none = (*tenant, Vec::new());
        let set = match profile {
            ProfileId(0) => Some(&none),
            profile => self.profiles.get(&(shard, profile)),
        };
        let (of, targets) = set.ok_or_else(|| invalid("a profile that is not defined"))?;
        if of != tenant {
            return Err(invalid("a profile of another tenant"));
        }
        self.model.set_targets(*tenant, *device_id, targets);
        Ok(())
    }

    fn check_in(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        record: CheckInRecord,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let answer = self.model.check_in(policy, tenant, &record, now);
        expect_accepted(answer, record.seq())?;
        self.last_check_ins
            .insert((tenant, record.device_id()), record);
        Ok(())
    }

    /// Notes that a slot has a device. It keeps it until the slot is free.
    fn occupy(
        &mut self,
        slot: (ShardId, SlotIndex),
        device: (TenantIndex, DeviceId),
    ) -> Result<(), Fault> {
        let found = *self.slots.entry(slot).or_insert(device);
        if found != device {
            let detail = format!("{slot:?} has {found:?}, an event names {device:?}");
            return Err(Fault::Invalid(detail));
        }
        Ok(())
    }

    /// The full record of a repeated check-in.
    fn expand(
        &self,
        shard: ShardId,
        tenant: TenantIndex,
        repeated: Repeated,
    ) -> Option<CheckInRecord> {
        let key = self.slots.get(&(shard, repeated.slot))?;
        let (owner, device_id) = key;
        let last = self.last_check_ins.get(key)?;
        if *owner != tenant || !repeated.is_of(device_id) {
            return None;
        }
        let record = last.with_seq(repeated.seq).ok()?;
        Some(record.with_flags(repeated.flags))
    }

    /// Number of devices that the journal has created, without those that are removed or gone.
    pub fn devices(&self) -> usize {
        self.model.devices()
    }

    /// Every cell with its number of devices, all evaluated at `now`.
    pub fn cells(&self, policy: &PolicySet, now: Timestamp) -> BTreeMap<ModelCell, u64> {
        self.model.cells(policy, now)
    }
}

/// How far the journal of a shard has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The last sequence.
    sequence: Sequence,
    /// The policy set of the slots that no pass has reached.
    revision: Revision,
    /// The one of the pass in progress, and the slot that it has reached.
    next: Option<(Revision, SlotIndex)>,
}

impl Progress {
    fn note(&mut self, segment: &Segment<'_>) {
        match (segment, self.next) {
            (Segment::Policy { revision }, _) => self.next = Some((*revision, SlotIndex(0))),
            (Segment::PolicyReached { slot }, Some((revision, _))) => {
                self.next = (*slot != SlotIndex::MAX).then_some((revision, *slot));
                if self.next.is_none() {
                    self.revision = revision;
                }
            }
            _ => (),
        }
    }

    /// The policy set of the device in a slot.
    fn revision(&self, slot: SlotIndex) -> Revision {
        match self.next {
            Some((revision, reached)) if slot < reached => revision,
            _ => self.revision,
        }
    }
}

/// What is wrong with an event.
enum Fault {
    /// The model does not accept a record: it has taken effect before.
    NotAccepted(String),
    /// It does not fit the events before it.
    Invalid(String),
}

fn expect_accepted(answer: Answer, number: u64) -> Result<(), Fault> {
    match answer {
        Answer::Accepted => Ok(()),
        other => {
            let detail = format!("the model answers {other:?} to the record {number}");
            Err(Fault::NotAccepted(detail))
        }
    }
}
