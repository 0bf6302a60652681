//! Rebuilds a shard from durable state: pages, the context of the checkpoint, then the journal tail.
//!
//! Every event of a device names its slot, and a page has the sequence up to which it includes events, so an event is
//! applied if it is newer than the page of its slot: to exactly the state in which it arrived. Seq and revision cannot
//! decide that, because an operator may have lowered them. So the order in which pages were written does not matter,
//! and a replay assigns no slot and needs no index. What follows from the records (index, cells, deadlines, free slots)
//! is built from them at the end.
//!
//! Owned by the thread that recovers the shard. Memory is that of the shard. Reads no files: the caller passes in the
//! bytes. Repairs nothing: what contradicts itself is an error.

use std::sync::Arc;

use muster_wire::Inventory;

use super::evaluation::{evaluate, observe, report_and_observe};
use super::inventory::created_by_inventory;
use super::lookup::{LOOKAHEAD, Lookup};
use super::policies::PolicySets;
use super::{Shard, ShardLimits, sequence};
use crate::context::Context;
use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::ids::{PageNumber, Revision, Sequence, ShardId, SlotIndex, TenantIndex};
use crate::journal::{
    CheckInEntry, DeviceAction, JournalValue, REPEATED_BYTES, Repeated, Segment, slot_of,
};
use crate::page;
use crate::policy::{PolicySet, TenantPolicy};
use crate::time::Timestamp;

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
    /// The record of the last checkpoint does not decode, or does not fit the policy sets.
    #[error("checkpoint record: {fault}")]
    Checkpoint {
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

/// A shard in recovery. Feed pages, the checkpoint, then journal values in order.
#[derive(Debug)]
pub struct Recovery {
    shard: Shard,
    /// By page: the sequence up to which it includes events; 0 for a page that is not on disk.
    page_sequences: Vec<Sequence>,
    /// For the policy sets of `shard`.
    context: Context,
}

impl Recovery {
    /// Begins with an empty shard. The limits do not apply to what was accepted before.
    pub fn new(id: ShardId, limits: ShardLimits, hash_seed: u64) -> Self {
        Self {
            shard: Shard::new(id, limits, hash_seed),
            page_sequences: Vec::new(),
            context: Context::default(),
        }
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
        self.shard.devices.use_page(number);
        for ((slot, record), cold) in number.slots().zip(&*page.records).zip(&*page.cold) {
            if record.is_occupied() {
                self.shard.devices.write(slot, *record, *cold);
            }
        }
        Ok(())
    }

    /// Ends the pages: they include all events up to `sequence`, which left the shard with this context.
    pub fn checkpoint(
        &mut self,
        sequence: Sequence,
        context: &[u8],
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), RecoveryError> {
        let invalid = |fault| RecoveryError::Checkpoint { fault };
        let context = Context::decode(context).ok_or_else(|| invalid("an unknown format"))?;
        self.shard.sequence = sequence;
        self.shard.time = context.time;
        self.set_policies(context, policy_set).map_err(invalid)
    }

    /// Loads the policy sets of a context.
    fn set_policies(
        &mut self,
        context: Context,
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), &'static str> {
        let missing = "its policy set is missing";
        let policies = &mut self.shard.policies;
        if policies.current.revision() != context.revision {
            policies.current = policy_set(context.revision).ok_or(missing)?;
        }
        policies.next = match context.pass {
            None => None,
            Some(pass) => {
                let loaded = policies.next.take().map(|(policy, _)| policy);
                let policy = loaded.filter(|policy| policy.revision() == pass.revision);
                let policy = policy.or_else(|| policy_set(pass.revision));
                Some((policy.ok_or(missing)?, pass.cursor))
            }
        };
        self.context = context;
        Ok(())
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
        let unreadable = |_| invalid("not a value of a known format");
        let mut value = JournalValue::decode(bytes).map_err(unreadable)?;
        self.shard.time.value_begins(value.evaluated_at);
        while let Some(segment) = value.next_segment().map_err(unreadable)? {
            let mut context = self.context;
            match segment {
                Segment::Policy { revision } => context.policy(revision),
                Segment::PolicyReached { slot } => {
                    let policies = self.shard.policies.clone();
                    let from = context.pass.map_or(SlotIndex(0), |pass| pass.cursor);
                    let mut replay = self.replay_of(sequence, value.now);
                    replay.policy_slice(&policies, from, slot);
                    if !context.policy_reached(slot) {
                        return Err(invalid("a policy pass that has not begun"));
                    }
                }
                other => {
                    let policies = self.shard.policies.clone();
                    let mut replay = self.replay_of(sequence, value.now);
                    replay.segment(&policies, other).map_err(invalid)?;
                    continue;
                }
            }
            self.set_policies(context, policy_set).map_err(invalid)?;
        }
        self.shard.sequence = sequence;
        Ok(())
    }

    fn replay_of(&mut self, sequence: Sequence, now: Timestamp) -> Replay<'_> {
        Replay {
            shard: &mut self.shard,
            page_sequences: &self.page_sequences,
            sequence,
            now,
        }
    }

    /// Ends the recovery and builds what follows from the records. The shard has the policy sets under which it was
    /// evaluated; if a newer one exists, the caller applies it as an event.
    pub fn finish(mut self) -> Result<Shard, RecoveryError> {
        let page_sequence = self.page_sequences.iter().copied().max();
        let page_sequence = page_sequence.unwrap_or_default();
        let journal_sequence = self.shard.sequence;
        if page_sequence > journal_sequence {
            return Err(RecoveryError::JournalEndsEarly {
                page_sequence,
                journal_sequence,
            });
        }
        self.shard.devices.find_free();
        self.shard.index_devices()?;
        self.shard.set_deadlines();
        Ok(self.shard)
    }
}

impl Shard {
    /// Fills index and cells from the records.
    fn index_devices(&mut self) -> Result<(), RecoveryError> {
        let devices = self.devices.devices() as usize;
        self.index.reserve(devices, &self.devices);
        let mut slots = Vec::with_capacity(LOOKAHEAD);
        let mut occupied = 0..self.slots();
        loop {
            slots.clear();
            let next = occupied.by_ref().map(SlotIndex);
            slots.extend(
                next.filter(|slot| self.devices.get(*slot).is_occupied())
                    .take(LOOKAHEAD),
            );
            if slots.is_empty() {
                return Ok(());
            }
            self.index_slots(&slots)?;
        }
    }

    fn index_slots(&mut self, slots: &[SlotIndex]) -> Result<(), RecoveryError> {
        let mut lookups = [Lookup::default(); LOOKAHEAD];
        for (lookup, slot) in lookups.iter_mut().zip(slots) {
            let record = self.devices.get(*slot);
            lookup.hash = self.index.hash(record.tenant, &record.device_id);
        }
        // Inserting a new device touches the same cache lines as finding a known one.
        self.prefetch(&lookups[..slots.len()]);
        for (lookup, slot) in lookups.iter().zip(slots) {
            let record = self.devices.get(*slot);
            if !self
                .index
                .insert_new(lookup.hash, *slot, record, &self.devices)
            {
                return Err(RecoveryError::Page {
                    page: slot.page(),
                    fault: "a device in two slots",
                });
            }
            match record.counted_in() {
                Some(cell) => self.cells.enter(cell),
                None => self.removed += 1,
            }
        }
        Ok(())
    }
}

/// The replay of one journal value.
struct Replay<'a> {
    shard: &'a mut Shard,
    page_sequences: &'a [Sequence],
    sequence: Sequence,
    now: Timestamp,
}

impl Replay<'_> {
    /// Whether the page of a slot does not include the value.
    fn is_newer_than_page(&self, slot: SlotIndex) -> bool {
        let page = self.page_sequences.get(slot.page().0 as usize);
        page.is_none_or(|page| *page < self.sequence)
    }

    fn segment(&mut self, policies: &PolicySets, segment: Segment<'_>) -> Result<(), &'static str> {
        match segment {
            Segment::CheckIns { tenant, records } => {
                for records in records.chunks(LOOKAHEAD) {
                    let slots = records.iter().map(CheckInEntry::slot_of);
                    self.shard.prefetch_slots(slots);
                    for bytes in records {
                        let entry = CheckInEntry::read(bytes).ok_or("an invalid check-in")?;
                        self.check_in(policies, tenant, &entry)?;
                    }
                }
            }
            Segment::Repeated { tenant, records } => {
                self.repeated(policies, tenant, records)?;
            }
            Segment::Inventory {
                tenant,
                slot,
                archive,
            } => {
                let inventory = Inventory::from_bytes(archive);
                let inventory = inventory.map_err(|_| "an invalid inventory")?;
                self.inventory(policies, tenant, slot, &inventory)?;
            }
            Segment::Action {
                action,
                tenant,
                slot,
                device_id,
            } => {
                let found = self.slot(slot)?;
                if self.is_newer_than_page(slot) && !found.is_of(tenant, &device_id) {
                    return Err("an action on a device that is not in its slot");
                }
                self.action(policies, action, slot)?;
            }
            Segment::Due {
                time,
                reached,
                slots,
            } => {
                for slot in slots.iter().map(slot_of) {
                    self.slot(slot)?;
                    self.evaluate(policies, slot, time);
                }
                self.shard.time.reached(time, reached);
            }
            Segment::Freed { slots } => {
                for slot in slots.iter().map(slot_of) {
                    self.slot(slot)?;
                    self.write(slot, DeviceRecord::default(), ColdRecord::default());
                }
            }
            Segment::ClockSetBack => self.clock_set_back(policies),
            // The caller's.
            Segment::Policy { .. } | Segment::PolicyReached { .. } => (),
        }
        Ok(())
    }

    /// The record in a slot that exists.
    fn slot(&self, slot: SlotIndex) -> Result<DeviceRecord, &'static str> {
        let exists = slot < self.shard.slots_end();
        exists
            .then(|| *self.shard.devices.get(slot))
            .ok_or("an event in a slot that does not exist")
    }

    /// Slots are used in order, so a new device is at most in the next one.
    fn is_used_or_next(&self, slot: SlotIndex) -> Result<(), &'static str> {
        if slot > self.shard.devices.unused() {
            return Err("a new device in a slot that is not the next one");
        }
        Ok(())
    }

    /// Replaces the records of a slot, unless its page includes the value.
    fn write(&mut self, slot: SlotIndex, record: DeviceRecord, cold: ColdRecord) {
        if self.is_newer_than_page(slot) {
            self.shard.devices.write(slot, record, cold);
            self.shard.checkpoint.dirty.insert(slot.page());
        }
    }

    fn check_in(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        CheckInEntry { slot, record }: &CheckInEntry,
    ) -> Result<(), &'static str> {
        let slot = *slot;
        self.is_used_or_next(slot)?;
        if !self.is_newer_than_page(slot) {
            return Ok(());
        }
        let policies = policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        let policy = policies.of(slot);
        let now = self.now.as_seconds();
        let exists = slot < self.shard.slots_end();
        let found = exists.then(|| {
            (
                *self.shard.devices.get(slot),
                *self.shard.devices.cold(slot),
            )
        });
        let (mut stored, mut cold) = found.unwrap_or_default();
        if !stored.is_occupied() {
            (stored.device_id, stored.tenant) = (record.device_id(), tenant);
            cold.first_seen = now;
        } else if !stored.is_of(tenant, &record.device_id()) {
            return Err("a check-in of a device that is not in its slot");
        }
        if record.seq() <= stored.seq || stored.removed {
            return Err("a check-in that the shard does not accept");
        }
        report_and_observe(&mut stored, record, policy, cold.first_seen, now);
        self.write(slot, stored, cold);
        Ok(())
    }

    fn repeated(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        records: &[[u8; REPEATED_BYTES]],
    ) -> Result<(), &'static str> {
        let policies = policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        for records in records.chunks(LOOKAHEAD) {
            let slots = records.iter().map(Repeated::slot_of);
            self.shard.prefetch_slots(slots);
            for bytes in records {
                let repeated =
                    Repeated::read(bytes).ok_or("a repeated check-in with unknown flags")?;
                let slot = repeated.slot;
                let mut record = self.slot(slot)?;
                if !self.is_newer_than_page(slot) {
                    continue;
                }
                let is_there = record.tenant == tenant && repeated.is_of(&record.device_id);
                if !is_there || record.seq == 0 {
                    return Err("a repeated check-in whose device is not in its slot");
                }
                if repeated.seq <= record.seq || record.removed {
                    return Err("a check-in that the shard does not accept");
                }
                let first_seen = self.shard.first_seen_without_report(slot, &record);
                let reported = Facets::from_word(record.facets);
                let mut reported = reported.ok_or("a device with unreadable facets")?;
                record.flags = repeated.flags;
                reported.set_flags(repeated.flags);
                let (policy, now) = (policies.of(slot), self.now.as_seconds());
                observe(&mut record, reported, repeated.seq, policy, first_seen, now);
                *self.shard.devices.get_mut(slot) = record;
                self.shard.checkpoint.dirty.insert(slot.page());
            }
        }
        Ok(())
    }

    fn inventory(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        slot: SlotIndex,
        inventory: &Inventory,
    ) -> Result<(), &'static str> {
        self.is_used_or_next(slot)?;
        if !self.is_newer_than_page(slot) {
            return Ok(());
        }
        let exists = slot < self.shard.slots_end();
        let stored = exists.then(|| *self.shard.devices.get(slot));
        match stored.filter(DeviceRecord::is_occupied) {
            Some(stored) if !stored.is_of(tenant, &inventory.device_id) => {
                Err("an inventory of a device that is not in its slot")
            }
            Some(stored) => {
                let mut cold = *self.shard.devices.cold(slot);
                cold.inventory_revision = inventory.revision;
                self.write(slot, stored, cold);
                Ok(())
            }
            None => {
                let policy = policies.at(tenant, slot);
                let policy = policy.ok_or("its tenant is not in the policy set")?;
                let now = self.now.as_seconds();
                let (record, cold) = created_by_inventory(tenant, inventory, policy, now);
                self.write(slot, record, cold);
                Ok(())
            }
        }
    }

    fn action(
        &mut self,
        policies: &PolicySets,
        action: DeviceAction,
        slot: SlotIndex,
    ) -> Result<(), &'static str> {
        let (mut record, mut cold) = (self.slot(slot)?, *self.shard.devices.cold(slot));
        match action {
            DeviceAction::Reset => sequence::reset(&mut record, &mut cold, self.now),
            DeviceAction::Remove => {
                (record.removed, cold.removed_at) = (true, self.now.as_seconds())
            }
            DeviceAction::Restore => (record.removed, cold.removed_at) = (false, 0),
        }
        self.write(slot, record, cold);
        if action == DeviceAction::Restore {
            self.evaluate(policies, slot, self.shard.time.of(slot));
        }
        Ok(())
    }

    /// Evaluates the devices from a slot under the next policy set.
    fn policy_slice(&mut self, policies: &PolicySets, from: SlotIndex, end: SlotIndex) {
        let Some((next, _)) = &policies.next else {
            return;
        };
        for slot in from.until(end.min(self.shard.slots_end())) {
            let tenant = self.shard.devices.get(slot).tenant;
            if let Some(policy) = next.tenant(tenant) {
                self.evaluate_by(policy, slot, self.shard.time.of(slot));
            }
        }
    }

    fn clock_set_back(&mut self, policies: &PolicySets) {
        let now = self.now.as_seconds();
        self.shard.time.reached(now, SlotIndex::MAX);
        for slot in SlotIndex(0).until(self.shard.slots_end()) {
            let (mut record, mut cold) = (
                *self.shard.devices.get(slot),
                *self.shard.devices.cold(slot),
            );
            if record.is_occupied() {
                record.clip_times(now);
                cold.clip_times(now);
                self.write(slot, record, cold);
                self.evaluate(policies, slot, now);
            }
        }
    }

    fn evaluate(&mut self, policies: &PolicySets, slot: SlotIndex, time: u32) {
        let tenant = self.shard.devices.get(slot).tenant;
        if let Some(policy) = policies.at(tenant, slot) {
            self.evaluate_by(policy, slot, time);
        }
    }

    /// Evaluates the device in a slot, if there is one that is not removed.
    fn evaluate_by(&mut self, policy: &TenantPolicy, slot: SlotIndex, time: u32) {
        let mut record = *self.shard.devices.get(slot);
        if record.counted_in().is_none() || !self.is_newer_than_page(slot) {
            return;
        }
        let Some(reported) = Facets::from_word(record.facets) else {
            return;
        };
        let first_seen = self.shard.first_seen_without_report(slot, &record);
        let facets = evaluate(&record, reported, policy, first_seen, time).word();
        if facets != record.facets {
            record.facets = facets;
            *self.shard.devices.get_mut(slot) = record;
            self.shard.checkpoint.dirty.insert(slot.page());
        }
    }
}
