//! Applies the history, every journal value that ever became durable, to the model in order.
//!
//! The model shares only the reader of the journal with the shards. It must accept each journaled record as new, so that
//! no record takes effect twice whatever crashes happen in between; and at the end its counts must match the server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::journal::{Change, DeviceAction, Event, JournalError, JournalReader, Repeated};
use muster_engine::model::{Answer, Model, ModelCell};
use muster_engine::{
    PolicySet, ProfileId, Revision, ShardId, SlotIndex, TargetId, TenantIndex, Timestamp,
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
    shards: BTreeMap<ShardId, (JournalReader, Progress)>,
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
        let unreadable = |error| match error {
            JournalError::GAP => {
                let detail = format!("unexpected sequence {sequence} of shard {shard} at {lsn}");
                Violation::new("no gap", detail)
            }
            error => Violation::new("journal", format!("at {lsn}: {error}")),
        };
        let (mut reader, mut progress) = self.shards.remove(&shard).unwrap_or_default();
        let mut value = reader.value(sequence, bytes).map_err(unreadable)?;
        let now = value.now;
        while let Some(event) = value.next_event().map_err(unreadable)? {
            progress.note(&event);
            self.event(shard, progress, now, event).map_err(|detail| {
                let check = match detail {
                    Fault::NotAccepted(_) => "counted once",
                    Fault::Invalid(_) => "journal",
                };
                let (Fault::NotAccepted(detail) | Fault::Invalid(detail)) = detail;
                Violation::new(check, format!("at {lsn}: {detail}"))
            })?;
        }
        self.shards.insert(shard, (reader, progress));
        Ok(())
    }

    fn event(
        &mut self,
        shard: ShardId,
        progress: Progress,
        now: Timestamp,
        event: Event<'_>,
    ) -> Result<(), Fault> {
        match event {
            Event::Device(slot, change) => self.change((shard, slot), progress, now, change)?,
            Event::Profile(profile, tenant, targets) => {
                self.profiles.insert((shard, profile), (tenant, targets));
            }
            Event::ClockSetBack => {
                let devices = self.slots.iter().filter(|((of, _), _)| *of == shard);
                for (_, (tenant, device_id)) in devices {
                    self.model.set_back(*tenant, *device_id, now);
                }
            }
            // They change no device that the model knows: it evaluates when asked.
            Event::DueReached(..) | Event::Policy(_) | Event::PolicyReached(_) => (),
        }
        Ok(())
    }

    fn change(
        &mut self,
        place: (ShardId, SlotIndex),
        progress: Progress,
        now: Timestamp,
        change: Change<'_>,
    ) -> Result<(), Fault> {
        let invalid = |detail: &str| Fault::Invalid(detail.to_owned());
        let policy = self.policy(progress.revision(place.1));
        match change {
            Change::CheckIn(tenant, bytes) => {
                let record =
                    CheckInRecord::validate(bytes).map_err(|_| invalid("an invalid check-in"))?;
                self.occupy(place, (tenant, record.device_id()))?;
                self.check_in(&*policy?, tenant, record, now)?;
            }
            Change::Repeated(tenant, repeated) => {
                let record = self.expand(place, tenant, repeated);
                let record =
                    record.ok_or_else(|| invalid("a repeated check-in without a first one"))?;
                self.check_in(&*policy?, tenant, record, now)?;
            }
            Change::Inventory(tenant, archive) => {
                let inventory =
                    Inventory::from_bytes(archive).map_err(|_| invalid("an invalid inventory"))?;
                self.occupy(place, (tenant, inventory.device_id))?;
                let answer = self.model.inventory(&*policy?, tenant, &inventory, now);
                expect_accepted(answer, u64::from(inventory.revision))?;
            }
            Change::Action(tenant, device_id, action) => {
                if self.slots.get(&place) != Some(&(tenant, device_id)) {
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
            // The model evaluates when asked.
            Change::Due(_) => (),
            Change::Freed => {
                let device = self.slots.remove(&place);
                let (tenant, device_id) =
                    device.ok_or_else(|| invalid("an empty slot becomes free"))?;
                self.last_check_ins.remove(&(tenant, device_id));
                if !self.model.free(&*policy?, tenant, device_id, now) {
                    return Err(invalid("a device is gone before its retention has ended"));
                }
            }
            Change::Targeted(profile) => self.target(place, profile)?,
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

    fn target(&mut self, place: (ShardId, SlotIndex), profile: ProfileId) -> Result<(), Fault> {
        let invalid = |detail: &str| Fault::Invalid(detail.to_owned());
        let device = self.slots.get(&place);
        let (tenant, device_id) = device.ok_or_else(|| invalid("a profile without a device"))?;
        let none = (*tenant, Vec::new());
        let set = match profile {
            ProfileId(0) => Some(&none),
            profile => self.profiles.get(&(place.0, profile)),
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
        place: (ShardId, SlotIndex),
        tenant: TenantIndex,
        repeated: Repeated,
    ) -> Option<CheckInRecord> {
        let key = self.slots.get(&place)?;
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

/// The policy sets of a shard.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The policy set of the slots that no pass has reached.
    revision: Revision,
    /// The one of the pass in progress, and the slot that it has reached.
    next: Option<(Revision, SlotIndex)>,
}

impl Progress {
    fn note(&mut self, event: &Event<'_>) {
        match (event, self.next) {
            (Event::Policy(revision), _) => self.next = Some((*revision, SlotIndex(0))),
            (Event::PolicyReached(slot), Some((revision, _))) => {
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
