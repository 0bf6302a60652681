//! The oracle over durable state: rebuilds a shard from its pages and journal tail by the model's rules.
//!
//! It shares only the codecs with [`crate::Recovery`]: no slab, index, cell counters or evaluator. A device is a plain
//! entry, evaluated at the time and under the policy set that the journal names. The recount compares the counters with
//! it. Owned by the caller; memory grows with the number of devices.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use muster_wire::{CheckIn, CheckInRecord, DeviceId, Inventory, Onboarding};

use super::{Answer, ModelCell, ModelDevice};
use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::ids::{PAGE_RECORDS, PageNumber, Revision, Sequence, TenantIndex};
use crate::journal::{JournalValue, Repeated, Segment};
use crate::page;
use crate::policy::PolicySet;
use crate::time::Timestamp;

/// The durable state cannot be decoded as a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DiskError(String);

/// The oracle's state of one device and its source.
#[derive(Clone, Debug)]
struct Entry {
    device_id: DeviceId,
    tenant: TenantIndex,
    device: ModelDevice,
    inventory_revision: u32,
    /// Result of the last evaluation.
    facets: Facets,
    /// Includes all events up to this sequence.
    sequence: Sequence,
    /// Policy set of its page; `None` if the device comes from the journal.
    revision: Option<Revision>,
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
    /// Result of the last evaluation.
    pub facets: &'a Facets,
}

/// The state of one shard. Pass in pages, then journal values.
#[derive(Debug, Default)]
pub struct ModelDisk {
    /// By slot. Slots matter because time events and repeated check-ins refer to them.
    slots: Vec<Option<Entry>>,
    by_device: HashMap<(TenantIndex, DeviceId), usize>,
    /// All slots below this one are occupied.
    full_below: usize,
}

impl ModelDisk {
    /// Reads a page.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<(), DiskError> {
        let page = page::decode(bytes).ok_or_else(|| fault("an unreadable page"))?;
        let first = number.0 as usize * PAGE_RECORDS;
        if self.slots.len() < first + PAGE_RECORDS {
            self.slots.resize(first + PAGE_RECORDS, None);
        }
        for (offset, (record, cold)) in page.records.iter().zip(&*page.cold).enumerate() {
            if !record.device_id.is_zero() {
                let entry = Entry::of_record(record, cold, page.sequence, page.revision)?;
                self.by_device
                    .insert((record.tenant, record.device_id), first + offset);
                self.slots[first + offset] = Some(entry);
            }
        }
        Ok(())
    }

    /// Ends the pages: evaluates every device in them by the rules, instead of trusting the facets in its record.
    ///
    /// The time of the last evaluation is not stored, so any facets that a device can have had since its last check-in
    /// are accepted.
    pub fn evaluate_pages(
        &mut self,
        now: Timestamp,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) {
        for entry in self.slots.iter_mut().flatten() {
            let Some(policy) = entry.revision.and_then(&mut *policy_set) else {
                continue;
            };
            let Some(rules) = policy.tenant(entry.tenant) else {
                continue;
            };
            let possible = entry.device.facets_since_last_check_in(rules, now);
            if !possible.contains(&entry.facets) {
                entry.facets = possible[0];
            }
        }
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
        let policy = policy_set(value.revision).ok_or_else(|| fault("a missing policy set"))?;
        let now = value.now;
        while let Some(segment) = value.next_segment().map_err(unreadable)? {
            match segment {
                Segment::CheckIns { tenant, records } => {
                    for bytes in records {
                        let record = CheckInRecord::validate(bytes)
                            .map_err(|_| fault("an invalid check-in in the journal"))?;
                        self.check_in(&policy, tenant, &record, sequence, now);
                    }
                }
                Segment::Repeated { tenant, records } => {
                    for bytes in records {
                        let repeated = Repeated::read(bytes)
                            .ok_or_else(|| fault("unknown flags in the journal"))?;
                        let record = self.repeated(tenant, repeated)?;
                        self.check_in(&policy, tenant, &record, sequence, now);
                    }
                }
                Segment::Inventory { tenant, archive } => {
                    let inventory = Inventory::from_bytes(archive)
                        .map_err(|_| fault("an invalid inventory in the journal"))?;
                    self.inventory(&policy, tenant, &inventory, sequence, now);
                }
                Segment::Reset {
                    tenant,
                    slot,
                    device_id,
                } => {
                    let entry = self.slots.get_mut(slot.0 as usize);
                    let entry = entry
                        .and_then(Option::as_mut)
                        .filter(|entry| (entry.tenant, entry.device_id) == (tenant, device_id))
                        .ok_or_else(|| fault("a reset of a device not in its slot"))?;
                    if entry.sequence < sequence {
                        entry.device.reset_sequence(now);
                        entry.inventory_revision = entry.inventory_revision.min(now.as_seconds());
                    }
                }
                Segment::Policy { .. } => {
                    self.evaluate(&policy, 0..self.slots.len(), sequence, now)
                }
                Segment::Time { first, slots } => {
                    // A server journals existing slots only; damaged input may contain others.
                    let first = first.0 as usize;
                    let end = (first + slots as usize).min(self.slots.len());
                    self.evaluate(&policy, first.min(end)..end, sequence, now);
                }
            }
        }
        Ok(())
    }

    /// Expands a repeated check-in: the last check-in of the device in its slot, with the new seq and flags.
    fn repeated(
        &self,
        tenant: TenantIndex,
        repeated: Repeated,
    ) -> Result<CheckInRecord, DiskError> {
        let entry = self.slots.get(repeated.slot.0 as usize);
        let last = entry
            .and_then(Option::as_ref)
            .filter(|entry| entry.tenant == tenant && repeated.is_of(&entry.device_id))
            .and_then(|entry| entry.device.last);
        let last = last.ok_or_else(|| fault("a repeated check-in of a device not in its slot"))?;
        let record = last
            .with_seq(repeated.seq)
            .map_err(|_| fault("an invalid repeated check-in in the journal"))?;
        Ok(record.with_flags(repeated.flags))
    }

    fn check_in(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        record: &CheckInRecord,
        sequence: Sequence,
        now: Timestamp,
    ) {
        let entry = self.get_or_create(tenant, record.device_id(), now);
        if entry.sequence < sequence
            && entry.device.check_in(record, now) == Answer::Accepted
            && let Some(rules) = policy.tenant(tenant)
        {
            entry.facets = entry.device.facets(rules, now);
        }
    }

    fn inventory(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        inventory: &Inventory,
        sequence: Sequence,
        now: Timestamp,
    ) {
        let entry = self.get_or_create(tenant, inventory.device_id, now);
        if entry.sequence >= sequence {
            return;
        }
        if inventory.revision > entry.inventory_revision {
            entry.inventory_revision = inventory.revision;
        }
        if entry.device.seq() == 0
            && let Some(rules) = policy.tenant(tenant)
        {
            entry.facets = entry.device.facets(rules, now);
        }
    }

    /// A new device takes the lowest empty slot, as in the shard.
    fn get_or_create(
        &mut self,
        tenant: TenantIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> &mut Entry {
        let slot = match self.by_device.get(&(tenant, device_id)) {
            Some(slot) => *slot,
            None => {
                let slot = self.lowest_empty();
                self.by_device.insert((tenant, device_id), slot);
                slot
            }
        };
        self.slots[slot].get_or_insert_with(|| Entry {
            device_id,
            tenant,
            device: ModelDevice::new(now),
            inventory_revision: 0,
            facets: Facets::default(),
            sequence: Sequence(0),
            revision: None,
        })
    }

    fn lowest_empty(&mut self) -> usize {
        while self.slots.get(self.full_below).is_some_and(Option::is_some) {
            self.full_below += 1;
        }
        if self.full_below == self.slots.len() {
            self.slots.push(None);
        }
        self.full_below
    }

    fn evaluate(
        &mut self,
        policy: &PolicySet,
        slots: std::ops::Range<usize>,
        sequence: Sequence,
        now: Timestamp,
    ) {
        for entry in self.slots[slots].iter_mut().flatten() {
            if entry.sequence >= sequence {
                continue;
            }
            let Some(rules) = policy.tenant(entry.tenant) else {
                continue;
            };
            entry.facets = entry.device.facets(rules, now);
        }
    }

    /// Every device, in order of slots. A device in two slots is listed twice, so that the reader can detect it.
    pub fn devices(&self) -> impl Iterator<Item = ModelListing<'_>> {
        self.slots.iter().flatten().map(|entry| ModelListing {
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
        for entry in self.slots.iter().flatten() {
            *cells.entry((entry.tenant, entry.facets)).or_default() += 1;
        }
        cells
    }
}

impl Entry {
    /// The device in the records of a page.
    fn of_record(
        record: &DeviceRecord,
        cold: &ColdRecord,
        sequence: Sequence,
        revision: Revision,
    ) -> Result<Self, DiskError> {
        let facets = Facets::from_word(record.facets).ok_or_else(|| fault("unreadable facets"))?;
        Ok(Self {
            device_id: record.device_id,
            tenant: record.tenant,
            device: ModelDevice::of_record(record, cold, &facets),
            inventory_revision: cold.inventory_revision,
            facets,
            sequence,
            revision: Some(revision),
        })
    }
}

impl ModelDevice {
    /// The model's state of the device in a record, whose reported attributes are `facets`.
    fn of_record(record: &DeviceRecord, cold: &ColdRecord, facets: &Facets) -> Self {
        let last = CheckIn {
            device_id: record.device_id,
            seq: record.seq,
            sent_at_ms: 0,
            boot_id: record.boot_id,
            payload: record.payload,
            flags: record.flags,
            risk: facets.risk,
            partner_threat_state: facets.partner_threat,
            onboarding: if facets.onboarded {
                Onboarding::Onboarded
            } else {
                Onboarding::NotOnboarded
            },
            platform: facets.platform,
            management_agent: facets.management_agent,
        };
        Self {
            // A device that has not checked in has seq 0, which no check-in has.
            last: last.to_record().ok(),
            ever_onboarded: facets.ever_onboarded,
            first_seen: cold.first_seen,
            last_check_in: record.last_check_in,
            last_contact: time(record.last_contact),
            last_telemetry: time(record.last_telemetry),
            last_full_report: time(record.last_full_report),
        }
    }
}

/// A time of a record, where 0 means never.
fn time(seconds: u32) -> Option<u32> {
    (seconds != 0).then_some(seconds)
}

fn fault(what: &str) -> DiskError {
    DiskError(what.to_owned())
}
