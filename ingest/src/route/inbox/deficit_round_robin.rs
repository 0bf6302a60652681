//! Deficit round robin over the lanes of an inbox, in check-ins.
//!
//! Pure; owned by the shard's thread. On its turn a lane receives a credit of [`QUANTUM`] check-ins and is served while
//! its credit is positive, so a shard batch may overdraw it, and the next turn pays the debt. While two lanes are both
//! backlogged, their service differs by less than three quanta, whatever the size of their shard batches: one turn
//! more, and a debt of each at either end. A lane that becomes backlogged waits for at most one turn of each other
//! lane. A lane that runs empty keeps its debt and loses its credit: an idle lane saves nothing up.

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

/// Maximum number of lanes of an inbox: a bit of a word each.
pub const LANES_MAX: usize = 64;

/// Credit of a turn, in check-ins: the largest shard batch, so that each turn serves at least one.
pub(super) const QUANTUM: i32 = CHECK_INS_PER_FRAME_MAX as i32;

/// The state of the round.
#[derive(Debug)]
pub(super) struct DeficitRoundRobin {
    /// Check-ins that each lane may still have served; negative if it has overdrawn.
    credits: Box<[i32]>,
    /// Lanes that may have shard batches, a bit each.
    ready: u64,
    /// The lane whose turn it is.
    turn: usize,
}

impl DeficitRoundRobin {
    /// Creates the scheduler of `lanes` lanes, at most [`LANES_MAX`].
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

    /// Marks lanes that may have shard batches, a bit each.
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

    /// Passes the turn to the next lane that may have shard batches; `None` if no lane has.
    pub(super) fn pass(&mut self) -> Option<usize> {
        if self.ready == 0 {
            return None;
        }
        // Lanes above the current one first, then from the lowest: the current lane comes last.
        let above = self.ready & (u64::MAX << self.turn << 1);
        let from = if above != 0 { above } else { self.ready };
        self.turn = from.trailing_zeros() as usize;
        self.credits[self.turn] += QUANTUM;
        Some(self.turn)
    }

    /// Charges a shard batch of `check_ins` check-ins to the lane whose turn it is.
    pub(super) fn served(&mut self, check_ins: usize) {
        // No shard batch exceeds a quantum; the clamp keeps a lane's debt below one turn if one ever did.
        self.credits[self.turn] -= (check_ins as i32).min(QUANTUM);
    }

    /// Marks the lane whose turn it is as empty.
    pub(super) fn emptied(&mut self) {
        self.ready &= !(1 << self.turn);
        let credit = &mut self.credits[self.turn];
        *credit = (*credit).min(0);
    }
}
