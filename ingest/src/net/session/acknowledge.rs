//! Acks: everything that has become durable since the last one, in one frame.

use std::sync::atomic::Ordering;

use muster_store::kill_point;
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use muster_wire::{Busy, encode_ack, encode_busy};

use super::{End, Session};
use crate::clock;

impl Session {
    /// Collects durable frames from the oldest on and writes one cumulative ack for them.
    pub(super) async fn acknowledge(&mut self) -> Result<(), End> {
        let before = self.totals;
        let metrics = &self.context.metrics;
        let now = clock::stamp();
        while let Some(frame) = self.window.collect() {
            self.totals.frames += 1;
            self.totals.accepted += u64::from(frame.outcome.accepted);
            self.totals.duplicate += u64::from(frame.outcome.duplicate);
            self.totals.stale += u64::from(frame.outcome.stale);
            self.totals.rejected += u64::from(frame.outcome.rejected);
            if frame.durable_at != clock::Stamp::default() {
                metrics.record_durable_to_ack(self.entry.id, now.nanos_since(frame.durable_at));
            }
        }
        let totals = self.totals;
        if totals.frames == before.frames {
            return Ok(());
        }
        metrics.accepted.add(totals.accepted - before.accepted);
        metrics.duplicate.add(totals.duplicate - before.duplicate);
        metrics.stale.add(totals.stale - before.stale);
        metrics.acks.add(1);
        let answered = totals.accepted + totals.duplicate + totals.stale + totals.rejected;
        self.entry
            .records_acknowledged
            .store(answered, Ordering::Relaxed);
        self.entry
            .frames_in_flight
            .store(self.window.in_flight() as u64, Ordering::Relaxed);
        let mut rejections = Vec::new(); // no allocation while it stays empty
        if totals.rejected != before.rejected {
            let details = std::iter::from_fn(|| self.window.take_rejection());
            rejections.extend(details.take(REJECTIONS_PER_ACK_MAX));
            for rejection in &rejections {
                if let Some(reason) = rejection.reason() {
                    self.context.log_cause(reason.name(), &self.entry.identity);
                }
            }
        }
        encode_ack(&mut self.out, &totals, &rejections);
        kill_point("ingest.ack.before_write");
        self.write_out().await?;
        kill_point("ingest.ack.after_write");
        Ok(())
    }

    /// Asks the client to send no new frame for a while.
    pub(super) async fn say_busy(&mut self, retry_after_ms: u32) -> Result<(), End> {
        self.context.metrics.busy.add(1);
        encode_busy(&mut self.out, Busy { retry_after_ms });
        self.write_out().await
    }
}
