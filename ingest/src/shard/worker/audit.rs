//! The audit of a running shard: how much of it at a time, and what becomes of its findings.
//!
//! Bounded: all shards of a server together look at [`SLOTS`] slots in [`EVERY`], whatever the number of
//! devices; docs/BENCHMARKS.md has what that costs, and the time it takes is a metric. A round over 10 million
//! devices takes less than two minutes. A round that finds drift says so in the log, once, in the metrics, and to whoever
//! asks whether the server is ready. It repairs nothing: the journal is right, so a restart counts anew.

use std::time::Duration;

use muster_engine::{AuditRound, Shard, ShardMap};

use crate::clock::{Clock, Stamp};
use crate::metrics::Metrics;

/// How often a shard looks at some slots.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// Slots that all shards together look at in that time.
const SLOTS: u32 = 10_000;

/// What the audit of one shard has done since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditLog {
    /// When the last slice was looked at.
    looked_at: Stamp,
    /// When the last round ended, or the worker began.
    pub(super) round_at: Stamp,
    pub(super) rounds: u64,
    /// Devices recounted by all rounds.
    pub(super) devices: u64,
    /// Time of a processor that all slices have taken: two looks at its clock for each, ten times a second.
    pub(super) took: Duration,
    drifted: bool,
}

impl AuditLog {
    pub(super) fn new(now: Stamp) -> Self {
        Self {
            looked_at: now,
            round_at: now,
            rounds: 0,
            devices: 0,
            took: Duration::ZERO,
            drifted: false,
        }
    }

    /// Whether it is time for the next slice.
    pub(super) fn is_due(&self, now: Stamp) -> bool {
        now.since(self.looked_at) >= EVERY
    }

    /// Audits the next slots of the shard, if it is time.
    pub(super) fn step(
        &mut self,
        now: Stamp,
        shard: &mut Shard,
        map: ShardMap,
        clock: &Clock,
        metrics: &Metrics,
    ) {
        if !self.is_due(now) {
            return;
        }
        self.looked_at = now;
        let slots = SLOTS.div_ceil(u32::from(map.shards()));
        let began = clock.thread();
        let round = shard.audit(slots, map);
        self.took += clock.thread().saturating_sub(began);
        if let Some(round) = round {
            self.note(round, now, metrics);
        }
    }

    /// Takes note of a round that has ended.
    fn note(&mut self, round: AuditRound, now: Stamp, metrics: &Metrics) {
        self.round_at = now;
        self.rounds += 1;
        self.devices += round.devices;
        let drift = round.drift();
        if drift == 0 {
            return;
        }
        metrics.audit_drift.raise(drift);
        if !self.drifted {
            self.drifted = true;
            let AuditRound {
                devices,
                miscounted,
                misplaced,
            } = round;
            tracing::error!(
                devices,
                miscounted,
                misplaced,
                "counters differ from a recount of the devices in memory; what was acknowledged is in the journal: restart to count anew, and report this"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn drift_stays_known_after_a_round_without() {
        let metrics = Metrics::default();
        let now = clock::stamp();
        let mut log = AuditLog::new(now);
        let clean = AuditRound {
            devices: 10,
            miscounted: 0,
            misplaced: 0,
        };
        log.note(clean, now, &metrics);
        assert_eq!(metrics.audit_drift.get(), 0);
        let drifted = AuditRound {
            miscounted: 2,
            misplaced: 1,
            ..clean
        };
        for round in [drifted, clean] {
            log.note(round, now, &metrics);
            assert_eq!(metrics.audit_drift.get(), 3);
        }
        assert_eq!((log.rounds, log.devices), (3, 30));
    }
}
