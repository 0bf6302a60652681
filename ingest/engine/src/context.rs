//! What the verdicts of a shard depend on besides its records: which policy set, and as of when (design D25, D26).
//!
//! A change of policy and the passing of time run through the slots of a shard in order, some in each batch, so at any
//! moment the position of a device decides: below the cursor of the policy pass it is evaluated under the new policy
//! set, from there on under the old one; the same holds for the evaluation time and the cursor of the tick. So the
//! verdict of a device follows from its record, the policy set of its slot and the evaluation time of its slot, and
//! nothing has to be stored for each device.
//!
//! Plain values. The journal has every change of the context, a checkpoint record the context as of its begin.

use crate::bytes::Reader;
use crate::ids::{Revision, SlotIndex};
use crate::time::Timestamp;

/// Version of [`Context::encode`].
const ENCODING: u8 = 1;

/// The passing of time, on its way through the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The evaluation time of the devices that it has reached, in seconds.
    pub time: u32,
    /// It has reached the slots below this one.
    pub cursor: SlotIndex,
}

/// A change of policy, on its way through the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyPass {
    /// The policy set of the devices that it has reached.
    pub revision: Revision,
    /// It has reached the slots below this one.
    pub cursor: SlotIndex,
}

/// The evaluation time of the devices of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationTime {
    /// That of the devices which no tick in progress has reached, in seconds.
    pub base: u32,
    /// The tick in progress.
    pub tick: Option<Tick>,
}

/// What the verdicts of a shard depend on besides its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The evaluation time.
    pub time: EvaluationTime,
    /// The policy set of the devices that no pass in progress has reached.
    pub revision: Revision,
    /// The pass in progress.
    pub pass: Option<PolicyPass>,
}

/// How much earlier than the evaluation time a clock may be that was not set back, in seconds: a data directory has the
/// time of its server once a second, so the next server may begin that much earlier.
const LAG_SECONDS: u32 = 3;

impl EvaluationTime {
    /// A time of the clock, or the evaluation time if the clock lags behind it.
    pub(crate) fn not_just_before(&self, now: Timestamp) -> Timestamp {
        let lag = self.base.saturating_sub(now.as_seconds());
        if (1..=LAG_SECONDS).contains(&lag) {
            return Timestamp::from_seconds(self.base);
        }
        now
    }

    /// The evaluation time of the device in a slot, in seconds.
    pub fn of(&self, slot: SlotIndex) -> u32 {
        match self.tick {
            Some(Tick { time, cursor }) if slot < cursor => time,
            _ => self.base,
        }
    }

    /// Notes that a tick has reached a slot; [`SlotIndex::MAX`] ends it.
    pub(crate) fn reached(&mut self, time: u32, cursor: SlotIndex) {
        self.tick = (cursor != SlotIndex::MAX).then_some(Tick { time, cursor });
        if self.tick.is_none() {
            self.base = time;
        }
    }

    /// Takes over the evaluation time of a journal value: it is later if a tick has ended since and no device was due.
    pub(crate) fn value_begins(&mut self, evaluated_at: u32) {
        if evaluated_at != self.base {
            self.reached(evaluated_at, SlotIndex::MAX);
        }
    }
}

impl Context {
    /// The policy set of the device in a slot.
    pub fn revision(&self, slot: SlotIndex) -> Revision {
        match self.pass {
            Some(PolicyPass { revision, cursor }) if slot < cursor => revision,
            _ => self.revision,
        }
    }

    /// Begins a policy pass.
    pub(crate) fn policy(&mut self, revision: Revision) {
        let cursor = SlotIndex(0);
        self.pass = Some(PolicyPass { revision, cursor });
    }

    /// Notes that the policy pass has reached a slot; [`SlotIndex::MAX`] ends it. Returns `false` if there is none.
    #[must_use]
    pub(crate) fn policy_reached(&mut self, cursor: SlotIndex) -> bool {
        let Some(pass) = &mut self.pass else {
            return false;
        };
        pass.cursor = cursor;
        if cursor == SlotIndex::MAX {
            self.revision = pass.revision;
            self.pass = None;
        }
        true
    }

    /// The bytes of a checkpoint record: encoding u8, tick u8, pass u8, zero u8, then u32: evaluation time, revision,
    /// time and cursor of the tick, revision and cursor of the pass; zero if there is none.
    pub fn encode(&self) -> Vec<u8> {
        let is_some = |some| u8::from(some);
        let mut bytes = vec![
            ENCODING,
            is_some(self.time.tick.is_some()),
            is_some(self.pass.is_some()),
            0,
        ];
        let tick = self
            .time
            .tick
            .map_or((0, 0), |tick| (tick.time, tick.cursor.0));
        let pass = self
            .pass
            .map_or((0, 0), |pass| (pass.revision.0, pass.cursor.0));
        for word in [
            self.time.base,
            self.revision.0,
            tick.0,
            tick.1,
            pass.0,
            pass.1,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    /// Reads [`Context::encode`], and returns the bytes behind it; `None` if they are not of a known encoding.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader::new(bytes);
        let [ENCODING, has_tick @ (0 | 1), has_pass @ (0 | 1), 0] = reader.array()? else {
            return None;
        };
        let mut context = Self::default();
        context.time.base = reader.u32()?;
        context.revision = Revision(reader.u32()?);
        let (time, cursor) = (reader.u32()?, SlotIndex(reader.u32()?));
        context.time.tick = (has_tick == 1).then_some(Tick { time, cursor });
        let (revision, cursor) = (Revision(reader.u32()?), SlotIndex(reader.u32()?));
        context.pass = (has_pass == 1).then_some(PolicyPass { revision, cursor });
        let (own, rest) = bytes.split_at_checked(context.encode().len())?;
        (context.encode() == own).then_some((context, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_decides() {
        let mut context = Context {
            revision: Revision(1),
            ..Context::default()
        };
        context.time.base = 10;
        context.time.reached(20, SlotIndex(5));
        context.policy(Revision(2));
        assert!(context.policy_reached(SlotIndex(3)));
        let of = |context: &Context, slot| {
            let slot = SlotIndex(slot);
            (context.time.of(slot), context.revision(slot).0)
        };
        assert_eq!(
            [2, 3, 4, 5].map(|slot| of(&context, slot)),
            [(20, 2), (20, 1), (20, 1), (10, 1)]
        );
        assert_eq!(Context::decode(&context.encode()), Some((context, &[][..])));
        context.time.reached(20, SlotIndex::MAX);
        assert!(context.policy_reached(SlotIndex::MAX));
        assert_eq!(of(&context, u32::MAX), (20, 2));
        assert!(
            !context.policy_reached(SlotIndex(9)),
            "no pass is in progress"
        );
        assert_eq!(Context::decode(&context.encode()), Some((context, &[][..])));
    }

    #[test]
    fn a_value_with_a_later_evaluation_time_ends_the_tick() {
        let mut time = EvaluationTime::default();
        time.reached(20, SlotIndex(5));
        time.value_begins(0);
        assert!(time.tick.is_some());
        time.value_begins(20);
        assert_eq!((time.tick, time.base), (None, 20));
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = Context::default().encode();
        for length in 0..bytes.len() {
            assert_eq!(Context::decode(&bytes[..length]), None);
        }
        for at in 0..4 {
            let mut other = bytes.clone();
            other[at] ^= 2;
            assert_eq!(Context::decode(&other), None, "byte {at}");
        }
        let mut without_tick = bytes;
        without_tick[12] = 1;
        assert_eq!(Context::decode(&without_tick), None);
    }
}
