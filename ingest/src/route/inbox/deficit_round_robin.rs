//! Whose turn it is: deficit round robin over the lanes of an inbox, in check-ins.
//!
//! Pure; owned by the shard's thread. A lane that gets the turn gets credit for [`QUANTUM`] check-ins
//! and is served while it has any, so a shard batch may exceed its credit, which the next turn pays for. Over
//! any time in which two lanes have shard batches all along, what they got differs by less than three quanta,
//! whatever the size of their shard batches: the turn that one had more, and a debt of each at either end. A
//! lane that was empty waits for one turn of each other lane. A lane that runs empty keeps its debt and
//! loses its credit: idleness saves nothing up.

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

/// Lanes an inbox has at most: a bit of a word each.
pub(super) const LANES_MAX: usize = 64;

/// Credit of a turn, in check-ins: the largest shard batch, so that each turn serves one at least.
pub(super) const QUANTUM: i32 = CHECK_INS_PER_FRAME_MAX as i32;

/// The state of the round.
#[derive(Debug)]
pub(super) struct DeficitRoundRobin {
    /// By lane: check-ins it may still have taken; negative if it had too many.
    credits: Box<[i32]>,
    /// Lanes that may have shard batches, a bit each.
    ready: u64,
    /// The lane whose turn it is.
    turn: usize,
}

impl DeficitRoundRobin {
    /// For so many lanes, at most [`LANES_MAX`].
    pub(super) fn new(lanes: usize) -> Self {
        assert!(
            (1..=LANES_MAX).contains(&lanes),
            "a lane is a bit of a word"
        );
        Self {
            credits: vec![0; lanes].into_boxed_slice(),
            ready: 0,
            turn: 0,
        }
    }

    /// These lanes may have shard batches.
    pub(super) fn add_ready(&mut self, lanes: u64) {
        self.ready |= lanes;
    }

    /// Whether some lane may have shard batches.
    pub(super) fn any_ready(&self) -> bool {
        self.ready != 0
    }

    /// The lane whose turn it is, if it may have shard batches and has credit left.
    pub(super) fn lane(&self) -> Option<usize> {
        let may = self.ready & (1 << self.turn) != 0 && self.credits[self.turn] > 0;
        may.then_some(self.turn)
    }

    /// Gives the turn to the next lane that may have shard batches; `None` if there is none.
    pub(super) fn pass(&mut self) -> Option<usize> {
        if self.ready == 0 {
            return None;
        }
        // The bits above the turn first, then all: the lane itself is the last of the round.
        let above = self.ready & (u64::MAX << self.turn << 1);
        let from = if above != 0 { above } else { self.ready };
        self.turn = from.trailing_zeros() as usize;
        self.credits[self.turn] += QUANTUM;
        Some(self.turn)
    }

    /// A shard batch of so many check-ins was taken from the lane whose turn it is.
    pub(super) fn served(&mut self, check_ins: usize) {
        // No shard batch has more than a quantum; were it otherwise, a turn could end below zero credit.
        self.credits[self.turn] -= (check_ins as i32).min(QUANTUM);
    }

    /// The lane whose turn it is had no shard batch.
    pub(super) fn emptied(&mut self) {
        self.ready &= !(1 << self.turn);
        let credit = &mut self.credits[self.turn];
        *credit = (*credit).min(0);
    }
}
