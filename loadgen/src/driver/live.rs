//! Counters of a measured phase while it runs, for the samples and the progress bar.
//!
//! Connections update them once per frame. They only serve display and reports.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{
    lateness::{Cause, LateFrames},
    series::Totals,
};

/// Totals over all connections.
#[derive(Debug, Default)]
pub struct LiveCounters {
    sent: AtomicU64,
    acked: AtomicU64,
    frames: AtomicU64,
    late_by_server: AtomicU64,
    late_by_generator: AtomicU64,
    busy: AtomicU64,
    reconnects: AtomicU64,
}

impl LiveCounters {
    /// Acknowledged check-ins so far.
    pub fn acked(&self) -> u64 {
        self.acked.load(Relaxed)
    }

    pub(super) fn add_sent(&self, check_ins: u64, late: Option<Cause>) {
        self.sent.fetch_add(check_ins, Relaxed);
        self.frames.fetch_add(1, Relaxed);
        match late {
            Some(Cause::Server) => self.late_by_server.fetch_add(1, Relaxed),
            Some(Cause::Generator) => self.late_by_generator.fetch_add(1, Relaxed),
            None => 0,
        };
    }

    pub(super) fn add_acked(&self, check_ins: u64) {
        self.acked.fetch_add(check_ins, Relaxed);
    }

    pub(super) fn add_interruptions(&self, busy: u64, reconnects: u64) {
        self.busy.fetch_add(busy, Relaxed);
        self.reconnects.fetch_add(reconnects, Relaxed);
    }

    /// The current totals.
    pub(super) fn totals(&self) -> Totals {
        let frames = self.frames.load(Relaxed);
        let by_server = self.late_by_server.load(Relaxed);
        let by_generator = self.late_by_generator.load(Relaxed);
        Totals {
            sent: self.sent.load(Relaxed),
            acked: self.acked.load(Relaxed),
            late: LateFrames {
                frames,
                by_server,
                by_generator,
            },
            busy: self.busy.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
            ..Totals::default()
        }
    }
}
