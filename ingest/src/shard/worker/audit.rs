//! The audit of a running shard: its pace, and the reports of its findings.
//!
//! Owner: the shard thread, which audits its shards in turn. Bounded: all threads of a server together audit at most
//! [`SLOTS`] slots every [`EVERY`], whatever the number of devices; docs/BENCHMARKS.md has the cost, and its CPU time is a metric. A round over 10 million
//! devices takes less than two minutes. Drift is reported once in the log, in the metrics, and by `GET /ready`. The
//! audit repairs nothing: the journal is right, so a restart rebuilds the counters.

use std::time::Duration;

use muster_engine::{AuditRound, ShardId, ShardSet};

use crate::clock::{Clock, Stamp};
use crate::metrics::Metrics;

/// Interval between two audit slices of a thread.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// Slots that all threads together audit in that interval.
const SLOTS: u32 = 10_000;

/// Progress and results of the audit of one thread since the start. A round covers all of its shards.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditLog {
    /// When the last slice was audited.
    sliced_at: Stamp,
    /// The shard whose turn it is.
    place: usize,
    /// When the last round ended, or the worker started.
    pub(super) round_at: Stamp,
    pub(super) rounds: u64,
    /// Devices recounted by all rounds.
    pub(super) devices: u64,
    /// CPU time of all slices. Costs two clock reads per slice, ten slices a second.
    pub(super) took: Duration,
    drifted: bool,
}

impl AuditLog {
    pub(super) fn new(now: Stamp) -> Self {
        Self {
            sliced_at: now,
            place: 0,
            round_at: now,
            rounds: 0,
            devices: 0,
            took: Duration::ZERO,
            drifted: false,
        }
    }

    /// Whether the next slice is due.
    pub(super) fn is_due(&self, now: Stamp) -> bool {
        now.since(self.sliced_at) >= EVERY
    }

    /// Audits the next slots of the shard whose turn it is, if a slice is due. `threads` is the number of all threads.
    pub(super) fn step(
        &mut self,
        now: Stamp,
        shards: &mut ShardSet,
        threads: u16,
        clock: &Clock,
        metrics: &Metrics,
    ) {
        if !self.is_due(now) {
            return;
        }
        self.sliced_at = now;
        let slots = SLOTS.div_ceil(u32::from(threads));
        let began = clock.thread();
        let round = shards.audit(self.place, slots);
        self.took += clock.thread().saturating_sub(began);
        if let Some(round) = round {
            self.note(shards.shard(self.place).id(), round, metrics);
            self.place = (self.place + 1) % shards.shards().len();
            if self.place == 0 {
                self.round_at = now;
                self.rounds += 1;
            }
        }
    }

    /// Records the result of a shard.
    fn note(&mut self, shard: ShardId, round: AuditRound, metrics: &Metrics) {
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
                outdated,
            } = round;
            tracing::error!(
                shard = shard.0,
                devices,
                miscounted,
                misplaced,
                outdated,
                "counters differ from a recount of the devices in memory; acknowledged check-ins are safe in the journal: restart to rebuild the counters, and report this bug"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn drift_stays_reported_after_a_clean_round() {
        let metrics = Metrics::default();
        let now = clock::stamp();
        let mut log = AuditLog::new(now);
        let clean = AuditRound {
            devices: 10,
            miscounted: 0,
            misplaced: 0,
            outdated: 0,
        };
        log.note(ShardId(0), clean, &metrics);
        assert_eq!(metrics.audit_drift.get(), 0);
        let drifted = AuditRound {
            miscounted: 2,
            misplaced: 1,
            ..clean
        };
        for round in [drifted, clean] {
            log.note(ShardId(0), round, &metrics);
            assert_eq!(metrics.audit_drift.get(), 3);
        }
        assert_eq!(log.devices, 30);
    }
}
