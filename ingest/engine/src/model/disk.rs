//! The oracle over durable state: rebuilds a shard from its pages and journal tail by the model's rules.
//!
//! It shares only the codecs with [`crate::Recovery`]: no slab, index, cell counters or evaluator. A device is a plain
//! entry of facts. No verdict on disk is trusted: at the end, every device is evaluated by the tables under the policy
//! set and as of the time of its slot, and the recount compares the counters with that. Owned by the caller; memory
//! grows with the number of devices.

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
use crate::journal::{
    CheckInEntry, JournalValue, Repeated, Segment, slot_of, target_of, targeted_of,
};
use crate::page;
use crate::policy::PolicySet;
use crate::profile;
use crate::time::Timestamp;

/// The durable state cannot be decoded as a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(String);

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
    /// By page: it includes all events up to this sequence.
    pages: Vec<Sequence>,
    context: Context,
    /// The targets of each profile.
    profiles: BTreeMap<ProfileId, Vec<TargetId>>,
}

impl ModelDisk {
    /// Reads a page.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<(), DiskError> {
        let page = page::decode(bytes).ok_or_else(|| fault("an unreadable page"))?;
        let index = number.0 as usize;
        let first = index * PAGE_RECORDS;
        if self.slots.len() < first + PAGE_RECORDS {
            self.slots.resize(first + PAGE_RECORDS, None);
            self.pages
                .resize(self.pages.len().max(index + 1), Sequence(0));
        }
        self.pages[index] = page.sequence;
        for (offset, (record, cold)) in page.records.iter().zip(&*page.cold).enumerate() {
            if !record.device_id.is_zero() {
                self.slots[first + offset] = Some(Entry::of_record(record, cold)?);
            }
        }
        Ok(())
    }

    /// Ends the pages: the context as of the begin of the checkpoint that wrote them.
    pub fn checkpoint(&mut self, context: &[u8]) -> Result<(), DiskError> {
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
        let unreadable = |_| fault("an unreadable journal value");
        let mut value = JournalValue::decode(bytes).map_err(unreadable)?;
        let now = value.now;
        if value.evaluated_at != self.context.time.base {
            self.context.time.base = value.evaluated_at;
            self.context.time.tick = None;
        }
        while let Some(segment) = value.next_segment().map_err(unreadable)? {
            self.segment(segment, (sequence, now), policy_set)?;
        }
        Ok(())
    }

    fn segment(
        &mut self,
        segment: Segment<'_>,
        (sequence, now): (Sequence, Timestamp),
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        match segment {
            Segment::CheckIns { tenant, records } => {
                for bytes in records {
                    let entry = CheckInEntry::read(bytes)
                        .ok_or_else(|| fault("an invalid check-in in the journal"))?;
                    self.check_in(tenant, entry.slot, &entry.record, sequence, now, policy_set)?;
                }
            }
            Segment::Repeated { tenant, records } => {
                for bytes in records {
                    let repeated = Repeated::read(bytes)
                        .ok_or_else(|| fault("unknown flags in the journal"))?;
                    self.repeated(tenant, repeated, sequence, now, policy_set)?;
                }
            }
            Segment::Inventory {
                tenant,
                slot,
                archive,
            } => {
                let inventory = Inventory::from_bytes(archive)
                    .map_err(|_| fault("an invalid inventory in the journal"))?;
                self.inventory(tenant, slot, &inventory, sequence, now)?;
            }
            Segment::Action {
                action,
                tenant,
                slot,
                device_id,
            } => {
                if let Some(entry) = self.of(tenant, slot, &device_id, sequence)? {
                    entry.act(action, now);
                }
            }
            Segment::Freed { slots } => {
                for slot in slots.iter().map(slot_of) {
                    if self.is_newer_than_page(slot, sequence) {
                        *self.slot(slot)? = None;
                    }
                }
            }
            segment => return self.progress(segment, sequence, now),
        }
        Ok(())
    }

    /// A segment about profiles or about the shard as a whole.
    fn progress(
        &mut self,
        segment: Segment<'_>,
        sequence: Sequence,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        match segment {
            Segment::Profile {
                profile, targets, ..
            } => {
                let targets = targets.iter().map(target_of).collect();
                self.profiles.insert(profile, targets);
            }
            Segment::Targeted { devices } => {
                for (slot, profile) in devices.iter().map(targeted_of) {
                    if self.is_newer_than_page(slot, sequence) {
                        let entry = self.slot(slot)?.as_mut();
                        let entry = entry.ok_or_else(|| fault("a profile without a device"))?;
                        entry.profile = profile;
                    }
                }
            }
            Segment::ClockSetBack => self.clock_set_back(sequence, now),
            Segment::Policy { revision } => self.context.policy(revision),
            Segment::PolicyReached { slot } => {
                if !self.context.policy_reached(slot) {
                    return Err(fault("a policy pass that has not begun"));
                }
            }
            // Which devices changed follows from the time.
            Segment::Due { time, reached, .. } => self.context.time.reached(time, reached),
            _ => unreachable!("a segment about records"),
        }
        Ok(())
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

    fn is_newer_than_page(&self, slot: SlotIndex, sequence: Sequence) -> bool {
        let page = self.pages.get(slot.0 as usize / PAGE_RECORDS);
        page.is_none_or(|page| *page < sequence)
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

    /// The device in a slot; `None` if the page of the slot includes the event.
    fn of(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        device_id: &DeviceId,
        sequence: Sequence,
    ) -> Result<Option<&mut Entry>, DiskError> {
        if !self.is_newer_than_page(slot, sequence) {
            return Ok(None);
        }
        let entry = self.slot(slot)?.as_mut();
        entry
            .filter(|entry| (entry.tenant, entry.device_id) == (tenant, *device_id))
            .map(Some)
            .ok_or_else(|| fault("a device that is not in its slot"))
    }

    /// The same, for an event that may create the device.
    fn of_or_new(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        device_id: DeviceId,
        sequence: Sequence,
        now: Timestamp,
    ) -> Result<Option<&mut Entry>, DiskError> {
        if self.is_newer_than_page(slot, sequence) {
            self.slot(slot)?.get_or_insert_with(|| Entry {
                device_id,
                tenant,
                device: ModelDevice::new(now),
                inventory_revision: 0,
                removed: false,
                profile: ProfileId::default(),
                facets: Facets::default(),
            });
        }
        self.of(tenant, slot, &device_id, sequence)
    }

    /// A repeated check-in is the last one of the device in its slot, with the new seq and flags.
    fn repeated(
        &mut self,
        tenant: TenantIndex,
        repeated: Repeated,
        sequence: Sequence,
        now: Timestamp,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        if !self.is_newer_than_page(repeated.slot, sequence) {
            return Ok(());
        }
        let entry = self.slot(repeated.slot)?.as_ref();
        let last = entry
            .filter(|entry| entry.tenant == tenant && repeated.is_of(&entry.device_id))
            .and_then(|entry| entry.device.last);
        let last = last.ok_or_else(|| fault("a repeated check-in of a device not in its slot"))?;
        let record = last
            .with_seq(repeated.seq)
            .map_err(|_| fault("an invalid repeated check-in in the journal"))?;
        let record = record.with_flags(repeated.flags);
        self.check_in(tenant, repeated.slot, &record, sequence, now, policy_set)
    }

    fn check_in(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        record: &CheckInRecord,
        sequence: Sequence,
        now: Timestamp,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), DiskError> {
        let policy = policy_set(self.context.revision(slot));
        let policy = policy.ok_or_else(|| fault("a missing policy set"))?;
        let rules = policy.tenant(tenant);
        let rules = rules.ok_or_else(|| fault("a tenant that is not in the policy set"))?;
        let entry = self.of_or_new(tenant, slot, record.device_id(), sequence, now)?;
        let Some(entry) = entry else { return Ok(()) };
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
        sequence: Sequence,
        now: Timestamp,
    ) -> Result<(), DiskError> {
        let entry = self.of_or_new(tenant, slot, inventory.device_id, sequence, now)?;
        let Some(entry) = entry else { return Ok(()) };
        if entry.removed || inventory.revision <= entry.inventory_revision {
            return Err(fault("an inventory that is not accepted"));
        }
        entry.inventory_revision = inventory.revision;
        Ok(())
    }

    fn clock_set_back(&mut self, sequence: Sequence, now: Timestamp) {
        self.context.time.base = now.as_seconds();
        self.context.time.tick = None;
        for slot in 0..self.slots.len() {
            if self.is_newer_than_page(SlotIndex(slot as u32), sequence)
                && let Some(entry) = &mut self.slots[slot]
            {
                entry.device.set_back(now);
            }
        }
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
