//! The passing of time: evaluates the devices whose deadline has come (design D26).
//!
//! A tick visits the due slots in order, up to a bound in each batch. A device that is found due early gets a later
//! deadline; only those that change are journaled. When all due devices have been visited, the time of the tick is the
//! evaluation time of the whole shard. The slots of devices whose retention has ended become free.
//!
//! Owned by the thread of the shard. Cost: a scan of 4 bytes for each slot, once a second.

use super::Shard;
use super::deadline::{deadline, retention_ends};
use crate::context::Tick;
use crate::deadlines::NEVER;
use crate::device::DeviceRecord;
use crate::effects::Effects;
use crate::ids::SlotIndex;
use crate::time::Timestamp;

/// What a tick has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Devices that were due.
    pub due: u32,
    /// Those of them that changed cell or are gone.
    pub changed: u32,
}

impl Shard {
    /// Passes time if no device is due, and returns whether it did: otherwise, call [`Shard::tick`]. Call it between
    /// batches, or before the first event of one.
    pub fn pass_idle_time(&mut self, now: Timestamp) -> bool {
        let now = self.time.not_just_before(now).as_seconds();
        if self.time.tick.is_some() || now < self.time.base {
            return false;
        }
        let is_idle = now == self.time.base || self.deadlines.next_due(SlotIndex(0), now).is_none();
        if is_idle {
            self.time.base = now;
        }
        is_idle
    }

    /// Evaluates up to `due_max` devices whose deadline has come at the time of the batch; the next batches visit the
    /// others. Call it before the events of every batch: it does nothing within the second of the last one.
    pub fn tick(&mut self, due_max: u32, effects: &mut Effects) -> Ticked {
        let now = effects.now;
        if now < self.time.base {
            return self.clock_set_back(effects);
        }
        if now == self.time.base && self.time.tick.is_none() {
            return Ticked::default();
        }
        let from = self.time.tick.unwrap_or(Tick {
            time: now,
            cursor: SlotIndex(0),
        });
        let was_in_progress = self.time.tick.is_some();
        let mut changed = std::mem::take(&mut effects.due);
        let mut cursor = from.cursor;
        let mut due = 0;
        while due < due_max {
            let Some(slot) = self.deadlines.next_due(cursor, from.time) else {
                cursor = SlotIndex::MAX;
                break;
            };
            if self.visit_due(slot, from.time, effects) {
                changed.push(slot);
            }
            cursor = SlotIndex(slot.0 + 1);
            due += 1;
        }
        self.time.reached(from.time, cursor);
        if was_in_progress || !changed.is_empty() || cursor != SlotIndex::MAX {
            effects.journal.due(from.time, cursor, &changed);
        } else {
            effects.journal.evaluated_at(from.time);
        }
        let mut count = changed.len() as u32;
        changed.clear();
        effects.due = changed;
        if !effects.freed.is_empty() {
            count += effects.freed.len() as u32;
            let freed = std::mem::take(&mut effects.freed);
            effects.journal.freed(&freed);
            effects.freed = freed;
            effects.freed.clear();
        }
        Ticked {
            due,
            changed: count,
        }
    }

    /// Evaluates a due device, or frees its slot. Returns whether it changed cell.
    fn visit_due(&mut self, slot: SlotIndex, time: u32, effects: &mut Effects) -> bool {
        let record = *self.devices.get(slot);
        let policies = self.policies.clone();
        let Some(policy) = policies.at(&record, slot) else {
            self.deadlines.set(slot, NEVER);
            return false;
        };
        let ends = retention_ends(&record, self.devices.cold(slot), policy);
        if ends.is_some_and(|ends| ends <= time) {
            self.free(slot, effects);
            effects.freed.push(slot);
            return false;
        }
        if record.removed() {
            self.deadlines.set(slot, ends.unwrap_or(NEVER));
            return false;
        }
        self.reevaluate(slot, policy, time, effects)
    }

    /// Moves times that lie ahead of the clock to its time, and evaluates every device at it: the clock was set back,
    /// which an operator confirms and which happens rarely. All at once, so that no verdict rests on the old time.
    fn clock_set_back(&mut self, effects: &mut Effects) -> Ticked {
        let now = effects.now;
        effects.journal.clock_set_back();
        self.time.reached(now, SlotIndex::MAX);
        let policies = self.policies.clone();
        let mut changed = 0;
        for slot in SlotIndex(0).until(self.slots_end()) {
            let mut record = *self.devices.get(slot);
            if !record.is_occupied() {
                continue;
            }
            record.clip_times(now);
            self.devices.cold_mut(slot).clip_times(now);
            self.write(slot, record);
            let Some(policy) = policies.at(&record, slot) else {
                continue;
            };
            if record.removed() {
                self.set_deadline_of_removed(slot, policy);
            } else {
                changed += u32::from(self.reevaluate(slot, policy, now, effects));
            }
        }
        Ticked {
            due: self.occupied(),
            changed,
        }
    }

    /// Replaces a record without changing the cell of its device.
    pub(super) fn write(&mut self, slot: SlotIndex, record: DeviceRecord) {
        let stored = self.devices.get_mut(slot);
        self.audit.record_write(slot, stored, &record);
        *stored = record;
        self.checkpoint.dirty.insert(slot.page());
    }

    /// Sets the deadlines of all devices, after a recovery.
    pub(super) fn set_deadlines(&mut self) {
        let policies = self.policies.clone();
        for slot in SlotIndex(0).until(self.slots_end()) {
            let (record, cold) = (self.devices.get(slot), self.devices.cold(slot));
            if !record.is_occupied() {
                continue;
            }
            let Some(policy) = policies.at(record, slot) else {
                continue;
            };
            let at = if record.removed() {
                retention_ends(record, cold, policy).unwrap_or(NEVER)
            } else {
                deadline(record, policy, self.time.of(slot))
            };
            self.deadlines.set(slot, at);
        }
    }
}
