//! Rebuilds a shard from durable state: pages, then the journal tail. Devices are counted as they are restored.
//!
//! A page may be newer than the checkpoint's cursor. Replay is idempotent: events that the page of a device already
//! contains are skipped by the page's sequence, not by seq and revision, which an operator may have lowered. So the
//! result is the state after the last journal value, independent of when each page was written.
//!
//! Owned by the thread that recovers the shard. Memory is that of the shard and a buffer of [`VALIDATED_AT_ONCE`]
//! check-ins. Reads no files: the caller passes in the bytes. Repairs nothing: what contradicts itself is an error.

use std::sync::Arc;

use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInRecord, Inventory};

use super::apply::Verdict;
use super::evaluation::observe;
use super::lookup::{LOOKAHEAD, Lookup};
use super::{Shard, ShardLimits};
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::Effects;
use crate::facet::Facets;
use crate::ids::{PAGE_RECORDS, PageNumber, Revision, Sequence, ShardId, SlotIndex, TenantIndex};
use crate::journal::{JournalValue, REPEATED_BYTES, Repeated, Segment};
use crate::numbers::NumbersMax;
use crate::page;
use crate::policy::{PolicySet, TenantPolicy};

/// Journal check-ins that are validated before the first of them is applied.
const VALIDATED_AT_ONCE: usize = 256;

/// The durable state contradicts itself; the data directory must not be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// A page does not decode, or has a device that another page has.
    #[error("page {page}: {fault}")]
    Page {
        /// The page.
        page: PageNumber,
        /// The defect.
        fault: &'static str,
    },
    /// A journal value does not decode, or does not fit the state before it.
    #[error("journal value {sequence}: {fault}")]
    Journal {
        /// Sequence of the value.
        sequence: Sequence,
        /// The defect.
        fault: &'static str,
    },
    /// A page contains events that are missing from the journal.
    #[error(
        "a page contains events up to {page_sequence}, but the journal ends at {journal_sequence}"
    )]
    JournalEndsEarly {
        /// Highest sequence of a page.
        page_sequence: Sequence,
        /// Last sequence of the journal.
        journal_sequence: Sequence,
    },
}

/// A shard in recovery. Feed pages, the cursor, then journal values in order.
#[derive(Debug)]
pub struct Recovery {
    shard: Shard,
    limits: ShardLimits,
    /// By page: the sequence up to which it includes events; 0 for a page that is not on disk.
    page_sequences: Vec<Sequence>,
    revision: Revision,
    effects: Effects,
    /// Validated check-ins of a journal value; few at a time, so that they stay in the processor's cache.
    check_ins: Vec<CheckInRecord>,
}

impl Recovery {
    /// Begins with an empty shard. The limits apply only after recovery, so everything that was accepted is restored.
    pub fn new(id: ShardId, limits: ShardLimits, hash_seed: u64) -> Self {
        let unlimited = ShardLimits {
            devices_max: u32::MAX,
        };
        Self {
            shard: Shard::new(id, unlimited, hash_seed),
            limits,
            page_sequences: Vec::new(),
            revision: Revision::default(),
            effects: Effects::default(),
            check_ins: Vec::with_capacity(VALIDATED_AT_ONCE),
        }
    }

    /// Reserves index capacity for the devices of the pages before `end`, at most the device limit. An optimisation.
    pub fn expect_pages(&mut self, end: PageNumber) {
        let devices = end.0.saturating_mul(PAGE_RECORDS as u32);
        let devices = devices.min(self.limits.devices_max) as usize;
        let shard = &mut self.shard;
        shard.index.reserve(devices, &shard.devices);
    }

    /// Restores a page. Pages may come in any order.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<(), RecoveryError> {
        let invalid = |fault| RecoveryError::Page {
            page: number,
            fault,
        };
        let page = page::decode(bytes).ok_or_else(|| invalid("not a page of a known format"))?;
        if number > PageNumber::MAX {
            return Err(invalid("the page number is above the maximum"));
        }
        let index = number.0 as usize;
        if self.page_sequences.len() <= index {
            self.page_sequences.resize(index + 1, Sequence(0));
        }
        self.page_sequences[index] = page.sequence;
        self.revision = self.revision.max(page.revision);
        let mut slots = number.slots();
        let mut found = [Lookup::default(); LOOKAHEAD];
        for records in page.records.chunks(LOOKAHEAD) {
            for (lookup, record) in found.iter_mut().zip(records) {
                lookup.hash = self.shard.index.hash(record.tenant, &record.device_id);
            }
            // Inserting a new device touches the same cache lines as finding a known one.
            self.shard.prefetch(&found[..records.len()]);
            for ((lookup, record), slot) in found.iter().zip(records).zip(&mut slots) {
                let cold = page.cold[slot.0 as usize % PAGE_RECORDS];
                self.device(slot, lookup.hash, record, cold)
                    .map_err(invalid)?;
            }
        }
        Ok(())
    }

    /// Restores the record of a slot; does nothing if it is empty.
    fn device(
        &mut self,
        slot: SlotIndex,
        hash: u64,
        record: &DeviceRecord,
        cold: ColdRecord,
    ) -> Result<(), &'static str> {
        if !record.is_occupied() {
            return Ok(());
        }
        let shard = &mut self.shard;
        shard.devices.insert_at(slot, *record, cold);
        if !shard.index.insert_new(hash, slot, record, &shard.devices) {
            return Err("a device in two slots");
        }
        shard.cells.enter(record.cell());
        Ok(())
    }

    /// Ends the pages, which include all events up to `sequence`.
    pub fn cursor(&mut self, sequence: Sequence) {
        self.shard.sequence = sequence;
    }

    /// Applies the next journal value. `policy_set` finds the policy set of a revision.
    pub fn replay(
        &mut self,
        sequence: Sequence,
        bytes: &[u8],
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), RecoveryError> {
        let invalid = |fault| RecoveryError::Journal { sequence, fault };
        if sequence != self.shard.sequence.next() {
            return Err(invalid("the value before it is missing"));
        }
        let mut value =
            JournalValue::decode(bytes).map_err(|_| invalid("not a value of a known format"))?;
        if self.shard.policy.revision() != value.revision {
            self.shard.policy =
                policy_set(value.revision).ok_or_else(|| invalid("its policy set is missing"))?;
        }
        self.revision = self.revision.max(value.revision);
        self.shard.begin(value.now, &mut self.effects);
        // It was accepted, so the bound is not checked again.
        self.effects.numbers_max = NumbersMax::NONE;
        while let Some(segment) = value
            .next_segment()
            .map_err(|_| invalid("not a value of a known format"))?
        {
            self.segment(sequence, segment).map_err(invalid)?;
        }
        self.shard.sequence = sequence;
        Ok(())
    }

    fn segment(&mut self, sequence: Sequence, segment: Segment<'_>) -> Result<(), &'static str> {
        let Self {
            shard,
            effects,
            page_sequences,
            check_ins,
            ..
        } = self;
        let is_newer_than_page = |slot: SlotIndex| {
            page_sequences
                .get(slot.page().0 as usize)
                .is_none_or(|page| *page < sequence)
        };
        match segment {
            Segment::CheckIns { tenant, records } => {
                replay_check_ins(
                    shard,
                    tenant,
                    records,
                    check_ins,
                    effects,
                    is_newer_than_page,
                )?;
            }
            Segment::Repeated { tenant, records } => {
                replay_repeated(shard, tenant, records, effects, is_newer_than_page)?;
            }
            Segment::Inventory { tenant, archive } => {
                let inventory =
                    Inventory::from_bytes(archive).map_err(|_| "an invalid inventory")?;
                let slot = shard.look_up(tenant, &inventory.device_id).slot;
                if slot.is_some_and(|slot| !is_newer_than_page(slot)) {
                    return Ok(());
                }
                if let Verdict::Rejected(_) = shard.inventory(tenant, &inventory, effects) {
                    return Err("an inventory that the shard rejects");
                }
            }
            Segment::Reset {
                tenant,
                slot,
                device_id,
            } => {
                if shard.look_up(tenant, &device_id).slot != Some(slot) {
                    return Err("a reset whose device is not in its slot");
                }
                if is_newer_than_page(slot) {
                    shard.reset_slot(slot, effects);
                }
            }
            Segment::Policy { .. } => {
                shard.reevaluate(SlotIndex(0)..shard.slots_end(), effects, is_newer_than_page);
            }
            Segment::Time { first, slots } => {
                let slots = shard.clip_slots(first, slots);
                shard.reevaluate(slots, effects, is_newer_than_page);
            }
        }
        Ok(())
    }

    /// Ends the recovery. The shard has the policy set under which it was last evaluated; if a newer one is configured,
    /// the caller applies it as an event ([`Shard::apply_policy`]).
    pub fn finish(
        mut self,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<Shard, RecoveryError> {
        let page_sequence = self
            .page_sequences
            .iter()
            .copied()
            .max()
            .unwrap_or_default();
        let journal_sequence = self.shard.sequence;
        if page_sequence > journal_sequence {
            return Err(RecoveryError::JournalEndsEarly {
                page_sequence,
                journal_sequence,
            });
        }
        if self.shard.policy.revision() != self.revision {
            self.shard.policy = policy_set(self.revision).ok_or(RecoveryError::Journal {
                sequence: journal_sequence,
                fault: "the policy set of its pages is missing",
            })?;
        }
        self.shard.limits = self.limits;
        Ok(self.shard)
    }
}

/// Applies whole check-ins to the slots that `include` names, as they were applied when they arrived.
fn replay_check_ins(
    shard: &mut Shard,
    tenant: TenantIndex,
    records: &[[u8; CHECK_IN_BYTES]],
    check_ins: &mut Vec<CheckInRecord>,
    effects: &mut Effects,
    include: impl Fn(SlotIndex) -> bool + Copy,
) -> Result<(), &'static str> {
    let policies = Arc::clone(&shard.policy);
    let policy = policies
        .tenant(tenant)
        .ok_or("its tenant is not in the policy set")?;
    let mut rejected = false;
    for records in records.chunks(VALIDATED_AT_ONCE) {
        check_ins.clear();
        for bytes in records {
            let record = CheckInRecord::validate(bytes);
            check_ins.push(record.map_err(|_| "an invalid check-in")?);
        }
        shard.apply_in_order(
            tenant,
            policy,
            check_ins,
            effects,
            include,
            |_, verdict, _| rejected |= matches!(verdict, Verdict::Rejected(_)),
        );
    }
    if rejected {
        return Err("a check-in that the shard rejects");
    }
    Ok(())
}

/// Applies repeated check-ins to the slots that `include` names.
fn replay_repeated(
    shard: &mut Shard,
    tenant: TenantIndex,
    records: &[[u8; REPEATED_BYTES]],
    effects: &mut Effects,
    include: impl Fn(SlotIndex) -> bool,
) -> Result<(), &'static str> {
    let policies = Arc::clone(&shard.policy);
    let policy = policies
        .tenant(tenant)
        .ok_or("its tenant is not in the policy set")?;
    for records in records.chunks(LOOKAHEAD) {
        shard.prefetch_slots(records.iter().map(Repeated::slot_of));
        for bytes in records {
            let repeated = Repeated::read(bytes).ok_or("a repeated check-in with unknown flags")?;
            let slot = device_in_slot(shard, tenant, repeated)?;
            if include(slot) {
                apply_repeated(shard, slot, policy, repeated, effects)?;
            }
        }
    }
    Ok(())
}

/// The slot of a repeated check-in, if its device is there.
fn device_in_slot(
    shard: &Shard,
    tenant: TenantIndex,
    repeated: Repeated,
) -> Result<SlotIndex, &'static str> {
    let slot = repeated.slot;
    let found = (slot < shard.slots_end()).then(|| shard.devices.get(slot));
    found
        .filter(|record| record.tenant == tenant && repeated.is_of(&record.device_id))
        .filter(|record| record.seq != 0)
        .map(|_| slot)
        .ok_or("a repeated check-in whose device is not in its slot")
}

/// Applies a repeated check-in of the device in a slot, which was accepted after what its record has.
fn apply_repeated(
    shard: &mut Shard,
    slot: SlotIndex,
    policy: &TenantPolicy,
    repeated: Repeated,
    effects: &mut Effects,
) -> Result<(), &'static str> {
    let Repeated { seq, flags, .. } = repeated;
    let mut record = *shard.devices.get(slot);
    let mut reported = Facets::from_word(record.facets).ok_or("a device with unreadable facets")?;
    record.flags = flags;
    reported.set_flags(flags);
    let now = effects.now;
    shard.clip_times(slot, &mut record, now);
    let first_seen = shard.first_seen_without_report(slot, &record);
    observe(&mut record, reported, seq, policy, first_seen, now);
    shard.update(slot, record, effects);
    Ok(())
}
