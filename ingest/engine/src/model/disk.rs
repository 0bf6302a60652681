//! The oracle over durable state: rebuilds a shard from its pages and journal tail by the model's rules.
//!
//! It shares only the reader of the journal and the codecs with [`crate::Recovery`]: no slab, index, cell counters or
//! evaluator. A device is a plain entry of facts. No verdict on disk is trusted: at the end, every device is evaluated
//! by the tables under the policy set and as of the time of its slot, and the recount compares the counters with that.
//! Owned by the caller; memory grows with the number of devices.

mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_wire::{CheckInRecord, DeviceId, Inventory};

use self::entry::Entry;
use super::{Answer, ModelCell, ModelDevice};
use crate::bytes::Reader;
use crate::context::Context;
use crate::facet::Facets;
use crate::ids::{
    PAGE_RECORDS, PageNumber, ProfileId, Revision, Sequence, SlotIndex, TargetId, TenantIndex,
};
use crate::journal::{Change, Event, JournalError, JournalReader, JournalValue, Repeated};
use crate::policy::PolicySet;
use crate::profile;
use crate::time::Timestamp;

/// The durable state cannot be decoded as a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(String);

impl From<JournalError> for DiskError {
    fn from(error: JournalError) -> Self {
        Self(error.to_string())
    }
}

/// One device in a listing.
#[derive(Clone, Copy, Debug)]
pub struct ModelListing<'a> {
    /// Tenant of the device.
    pub tenant: TenantIndex,
    /// Id of the device.
    pub device_id: DeviceId,
    /// The last accepted check-in, if any. Its send time is 0 if it comes from a page, which does not store it.
    pub last: Option<&'a CheckInRecord>,
    /// Highest accepted inventory revision; 0 before the first.
    pub inventory_revision: u32,
    /// Its verdict.
    pub facets: &'a Facets,
}

/// The state of one shard. Pass in pages, the checkpoint, then journal values, and evaluate.
#[derive(Debug, Default)]
pub struct ModelDisk {
    /// By slot, which every event names.
    slots: Vec<Option<Entry>>,
    reader: JournalReader,
    context: Context,
    /// The targets of each profile.
    profiles: BTreeMap<ProfileId, Vec<TargetId>>,
}

impl ModelDisk {
    /// Reads a page.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<(), DiskError> {
        let page = self.reader.page(number, bytes)?;
        let first = number.0 as usize * PAGE_RECORDS;
        if self.slots.len() < first + PAGE_RECORDS {
            self.slots.resize(first + PAGE_RECORDS, None);
        }
        for (offset, (record, cold)) in page.records.iter().zip(&*page.cold).enumerate() {
            if !record.device_id.is_zero() {
                self.slots[first + offset] = Some(Entry::of_record(record, cold)?);
            }
        }
        Ok(())
    }

    /// Ends the pages: sequence and context as of the begin of the checkpoint that wrote them.
    pub fn checkpoint(&mut self, sequence: Sequence, context: &[u8]) -> Result<(), DiskError> {
        self.reader.checkpoint(sequence);
        let unreadable = || fault("an unreadable checkpoint record");
        let (context, profiles) = Context::decode(context).ok_or_else(unreadable)?;
        self.context = context;
        let mut reader = Reader::new(profiles);
        while !reader.is_empty() {
            let (profile, _, targets) = profile::read(&mut reader).ok_or_else(unreadable)?;
            self.profiles.insert(profile, targets);
        }
        Ok(())
    }

    /// Applies the next journal value.
    pub fn journal(
        &mut self,
        sequence: Sequence,
        bytes: &[u8],
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        let mut reader = std::mem::take(&mut self.reader);
        let mut value = reader.value(sequence, bytes)?;
        self.context.time.value_begins(value.evaluated_at);
        while let Some(event) = value.next_event()? {
            match event {
                Event::Device(slot, change) => self.change(slot, change, value.now, policy_set)?,
                Event::DueReached(slot, time) => self.context.time.reached(time, slot),
                Event::Profile(profile, _, targets) => {
                    self.profiles.insert(profile, targets);
                }
                Event::Policy(revision) => self.context.policy(revision),
                Event::PolicyReached(slot) => {
                    if !self.context.policy_reached(slot) {
                        return Err(fault("a policy pass that has not begun"));
                    }
                }
                Event::ClockSetBack => self.clock_set_back(&value),
            }
        }
        self.reader = reader;
        Ok(())
    }

    fn change(
        &mut self,
        slot: SlotIndex,
        change: Change<'_>,
        now: Timestamp,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        match change {
            Change::CheckIn(tenant, bytes) => {
                let record = CheckInRecord::validate(bytes)
                    .map_err(|_| fault("an invalid check-in in the journal"))?;
                self.check_in(tenant, slot, &record, now, policy_set)?;
            }
            Change::Repeated(tenant, repeated) => {
                let record = self.repeated(tenant, slot, repeated)?;
                self.check_in(tenant, slot, &record, now, policy_set)?;
            }
            Change::Inventory(tenant, archive) => {
                let inventory = Inventory::from_bytes(archive)
                    .map_err(|_| fault("an invalid inventory in the journal"))?;
                self.inventory(tenant, slot, &inventory, now)?;
            }
            Change::Action(tenant, device_id, action) => {
                self.of(tenant, slot, &device_id)?.act(action, now);
            }
            // Which devices changed follows from the time.
            Change::Due(_) => (),
            Change::Freed => *self.slot(slot)? = None,
            Change::Targeted(profile) => {
                let entry = self.slot(slot)?.as_mut();
                let entry = entry.ok_or_else(|| fault("a profile without a device"))?;
                entry.profile = profile;
            }
        }
        Ok(())
    }

    fn clock_set_back(&mut self, value: &JournalValue<'_>) {
        let now = value.now;
        self.context.time.reached(now.as_seconds(), SlotIndex::MAX);
        for (slot, entry) in (0..).map(SlotIndex).zip(&mut self.slots) {
            if let Some(entry) = entry
                && value.is_newer_than_page(slot)
            {
                entry.device.set_back(now);
            }
        }
    }

    /// Evaluates every device, once everything is read.
    pub fn evaluate(
        &mut self,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            let slot = SlotIndex(slot as u32);
            let revision = self.context.revision(slot);
            let policy = policy_set(revision).ok_or_else(|| fault("a missing policy set"))?;
            let time = Timestamp::from_seconds(self.context.time.of(slot));
            let facets = match self.profiles.get(&entry.profile) {
                _ if entry.profile == ProfileId::default() => {
                    let rules = policy.tenant(entry.tenant);
                    rules.map(|rules| entry.device.facets(rules, time))
                }
                None => return Err(fault("a profile that is not defined")),
                Some(targets) => {
                    let rules = policy.for_targets(entry.tenant, targets);
                    rules.map(|rules| entry.device.facets(&rules, time))
                }
            };
            entry.facets = facets.unwrap_or(entry.facets);
        }
        Ok(())
    }

    /// An existing slot, or the one after the last.
    fn slot(&mut self, slot: SlotIndex) -> Result<&mut Option<Entry>, DiskError> {
        let slot = slot.0 as usize;
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots
            .get_mut(slot)
            .ok_or_else(|| fault("a slot that is not the next one"))
    }

    /// The device in a slot.
    fn of(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        device_id: &DeviceId,
    ) -> Result<&mut Entry, DiskError> {
        let entry = self.slot(slot)?.as_mut();
        entry
            .filter(|entry| (entry.tenant, entry.device_id) == (tenant, *device_id))
            .ok_or_else(|| fault("a device that is not in its slot"))
    }

    /// The same, for an event that may create the device.
    fn of_or_new(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> Result<&mut Entry, DiskError> {
        self.slot(slot)?.get_or_insert_with(|| Entry {
            device_id,
            tenant,
            device: ModelDevice::new(now),
            inventory_revision: 0,
            removed: false,
            profile: ProfileId::default(),
            facets: Facets::default(),
        });
        self.of(tenant, slot, &device_id)
    }

    /// A repeated check-in is the last one of the device in its slot, with the new seq and flags.
    fn repeated(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        repeated: Repeated,
    ) -> Result<CheckInRecord, DiskError> {
        let entry = self.slot(slot)?.as_ref();
        let last = entry
            .filter(|entry| entry.tenant == tenant && repeated.is_of(&entry.device_id))
            .and_then(|entry| entry.device.last);
        let last = last.ok_or_else(|| fault("a repeated check-in of a device not in its slot"))?;
        let record = last.with_seq(repeated.seq);
        let record = record.map_err(|_| fault("an invalid repeated check-in in the journal"))?;
        Ok(record.with_flags(repeated.flags))
    }

    fn check_in(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        record: &CheckInRecord,
        now: Timestamp,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        let policy = policy_set(self.context.revision(slot));
        let policy = policy.ok_or_else(|| fault("a missing policy set"))?;
        let rules = policy.tenant(tenant);
        let rules = rules.ok_or_else(|| fault("a tenant that is not in the policy set"))?;
        let entry = self.of_or_new(tenant, slot, record.device_id(), now)?;
        if entry.removed || entry.device.check_in(record, rules, now) != Answer::Accepted {
            return Err(fault("a check-in that is not accepted"));
        }
        Ok(())
    }

    fn inventory(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        inventory: &Inventory,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        let entry = self.of_or_new(tenant, slot, inventory.device_id, now)?;
        if entry.removed || inventory.revision <= entry.inventory_revision {
            return Err(fault("an inventory that is not accepted"));
        }
        entry.inventory_revision = inventory.revision;
        entry.device.set_os_version(inventory.os_version);
        Ok(())
    }

    /// Every device that is not removed, in order of slots. A device in two slots is listed twice, so that the reader can detect it.
    pub fn devices(&self) -> impl Iterator<Item = ModelListing<'_>> {
        let present = self.slots.iter().flatten().filter(|entry| !entry.removed);
        present.map(|entry| ModelListing {
            tenant: entry.tenant,
            device_id: entry.device_id,
            last: entry.device.last.as_ref(),
            inventory_revision: entry.inventory_revision,
            facets: &entry.facets,
        })
    }

    /// Every cell with its number of devices, counted over all devices.
    pub fn cells(&self) -> BTreeMap<ModelCell, u64> {
        let mut cells = BTreeMap::new();
        for entry in self.slots.iter().flatten().filter(|entry| !entry.removed) {
            *cells.entry((entry.tenant, entry.facets)).or_default() += 1;
        }
        cells
    }
}

fn fault(what: &str) -> DiskError {
    DiskError(what.to_owned())
}
