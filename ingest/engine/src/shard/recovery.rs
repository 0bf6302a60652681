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

mod replay;

use std::sync::Arc;

use self::replay::Replay;
use super::lookup::{LOOKAHEAD, Lookup};
use super::{Shard, ShardLimits};
use crate::bytes::Reader;
use crate::context::Context;
use crate::ids::{PageNumber, ProfileId, Revision, Sequence, ShardId, SlotIndex};
use crate::journal::{Event, JournalReader};
use crate::policy::PolicySet;

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
    reader: JournalReader,
    /// For the policy sets of `shard`.
    context: Context,
}

impl Recovery {
    /// Begins with an empty shard. The limits do not apply to what was accepted before.
    pub fn new(id: ShardId, limits: ShardLimits, hash_seed: u64) -> Self {
        Self {
            shard: Shard::new(id, limits, hash_seed),
            reader: JournalReader::default(),
            context: Context::default(),
        }
    }

    /// Restores a page. Pages may come in any order.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<(), RecoveryError> {
        let page = self.reader.page(number, bytes);
        let page = page.map_err(|error| RecoveryError::Page {
            page: number,
            fault: error.fault(),
        })?;
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
        let (context, profiles) =
            Context::decode(context).ok_or_else(|| invalid("an unknown format"))?;
        let read = self.shard.profiles.decode(&mut Reader::new(profiles));
        read.ok_or_else(|| invalid("profiles of an unknown format"))?;
        self.reader.checkpoint(sequence);
        self.shard.sequence = sequence;
        self.shard.time = context.time;
        self.context = context;
        set_policies(&mut self.shard, &context, policy_set).map_err(invalid)
    }

    /// Applies the next journal value. `policy_set` finds the policy set of a revision.
    pub fn replay(
        &mut self,
        sequence: Sequence,
        bytes: &[u8],
        policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
    ) -> Result<(), RecoveryError> {
        let invalid = |fault| RecoveryError::Journal { sequence, fault };
        let Self {
            shard,
            reader,
            context,
        } = self;
        let value = reader.value(sequence, bytes);
        let mut value = value.map_err(|error| invalid(error.fault()))?;
        shard.time.value_begins(value.evaluated_at);
        let mut policies = shard.policies.clone();
        while let Some(event) = value.next_event().map_err(|error| invalid(error.fault()))? {
            if let Some(slots) = value.ahead(LOOKAHEAD) {
                shard.prefetch_slots(slots);
            }
            match event {
                Event::Policy(revision) => {
                    context.policy(revision);
                    set_policies(shard, context, policy_set).map_err(invalid)?;
                    policies = shard.policies.clone();
                }
                Event::PolicyReached(slot) => {
                    let from = context.pass.map_or(SlotIndex(0), |pass| pass.cursor);
                    if !context.policy_reached(slot) {
                        return Err(invalid("a policy pass that has not begun"));
                    }
                    set_policies(shard, context, policy_set).map_err(invalid)?;
                    policies = shard.policies.clone();
                    Replay::of(shard, &policies, &value).policy_slice(from, slot);
                }
                Event::Profile(profile, tenant, targets) => {
                    drop(policies); // or they would be copied
                    shard.profiles.define(profile, tenant, &targets);
                    if let Some(set) = shard.profiles.get(profile) {
                        shard.policies.define(profile, set);
                    }
                    policies = shard.policies.clone();
                }
                Event::Device(slot, change) => {
                    let mut replay = Replay::of(shard, &policies, &value);
                    replay.change(slot, change).map_err(invalid)?;
                }
                Event::DueReached(slot, time) => shard.time.reached(time, slot),
                Event::ClockSetBack => Replay::of(shard, &policies, &value).clock_set_back(),
            }
        }
        shard.sequence = sequence;
        Ok(())
    }

    /// Ends the recovery and builds what follows from the records. The shard has the policy sets under which it was
    /// evaluated; if a newer one exists, the caller applies it as an event.
    pub fn finish(mut self) -> Result<Shard, RecoveryError> {
        let page_sequence = self.reader.page_sequence();
        let journal_sequence = self.shard.sequence;
        if page_sequence > journal_sequence {
            return Err(RecoveryError::JournalEndsEarly {
                page_sequence,
                journal_sequence,
            });
        }
        self.shard.devices.find_free();
        self.shard.index_devices()?;
        self.shard.profiles.forget_unused();
        let policies = &mut self.shard.policies;
        policies.define_all(&self.shard.profiles);
        self.shard.set_deadlines();
        Ok(self.shard)
    }
}

/// Loads the policy sets of a context.
fn set_policies(
    shard: &mut Shard,
    context: &Context,
    policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
) -> Result<(), &'static str> {
    let missing = "its policy set is missing";
    let policies = &mut shard.policies;
    let next = policies.next.as_ref().map(|(policy, _)| policy.revision());
    if context.pass.is_none() && next == Some(context.revision) {
        policies.end_pass();
    } else if let (Some(pass), Some((policy, cursor))) = (context.pass, &mut policies.next)
        && policy.revision() == pass.revision
    {
        *cursor = pass.cursor;
    } else {
        if policies.current.revision() != context.revision {
            policies.current = policy_set(context.revision).ok_or(missing)?;
        }
        policies.next = match context.pass {
            None => None,
            Some(pass) => Some((policy_set(pass.revision).ok_or(missing)?, pass.cursor)),
        };
        policies.define_all(&shard.profiles);
    }
    Ok(())
}

impl Shard {
    /// Fills index and cells from the records.
    fn index_devices(&mut self) -> Result<(), RecoveryError> {
        let devices = self.devices.devices() as usize;
        self.index.empty(devices);
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
            let profile = record.profile();
            let set = self.profiles.get(profile);
            let is_of_its_tenant = set.is_some_and(|set| set.tenant == record.tenant);
            if profile != ProfileId::default() && !is_of_its_tenant {
                return Err(RecoveryError::Page {
                    page: slot.page(),
                    fault: "a device whose profile is not defined",
                });
            }
            self.profiles.enter(profile);
        }
        Ok(())
    }
}
