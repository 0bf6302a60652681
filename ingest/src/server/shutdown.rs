//! The graceful stop: drains sessions, shards and writer in order, within one deadline.
//!
//! Sessions send Goodbye and complete the frames they have read; then the shards empty their inboxes and checkpoint;
//! then the writer ends. A stage that exceeds the deadline is logged and abandoned: everything acknowledged is in the
//! journal. Owner: the main thread. Bounded by `shutdown.deadline`.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{SendTimeoutError, Sender};
use muster_store::kill_point;
use muster_wire::CloseCode;
use quinn::VarInt;
use tokio::time::timeout;

use super::parts::Parts;
use crate::clock::{self, Stamp};
use crate::metrics::Metrics;
use crate::net::SessionRegistry;
use crate::phase::Phase;
use crate::shard::Control;

/// Interval at which the stop checks whether a thread has ended, which wakes nobody.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The front door, while it is open.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) endpoint: quinn::Endpoint,
    pub(super) registry: Arc<SessionRegistry>,
}

/// Stops everything, in order.
pub(super) fn drain(running: Running, parts: Parts, deadline: Duration) {
    let now = clock::stamp();
    let ends_at = Stamp(now.0 + deadline.as_nanos() as u64);
    // Half of the time is reserved for the shards.
    let sessions_end_at = Stamp(now.0 + deadline.as_nanos() as u64 / 2);
    let Running {
        runtime,
        endpoint,
        registry,
    } = running;
    parts.phase.advance(Phase::Draining);
    runtime.block_on(async {
        let left = sessions_end_at.since(clock::stamp());
        if timeout(left, registry.emptied()).await.is_err() {
            tracing::warn!(
                sessions = registry.len(),
                "half of the deadline has passed; closing the remaining sessions"
            );
        }
        let code = CloseCode::Draining;
        endpoint.close(VarInt::from_u32(code.code()), code.name().as_bytes());
        // Sends the last packets; with a timeout, because a peer may never respond.
        let _ = timeout(Duration::from_millis(200), endpoint.wait_idle()).await;
    });
    // Ends all session tasks, so that no more shard batches are sent.
    runtime.shutdown_timeout(Duration::from_millis(500));
    log_record_counts(&parts.metrics);
    kill_point("ingest.stop.before_shards");
    if !send_drain(&parts.controls, ends_at) {
        tracing::warn!("a shard does not respond; the next start replays its journal");
        return;
    }
    for thread in parts.shard_threads {
        if !join_before(thread, ends_at) {
            tracing::warn!(
                "the deadline passed before the shards had checkpointed; the next start replays the journal"
            );
            return;
        }
    }
    if !join_before(parts.writer_thread, ends_at) {
        tracing::warn!(
            "the deadline passed before the writer had ended; the next start replays the journal"
        );
    }
}

/// Logs the final record counts of all sessions, which may never be scraped.
fn log_record_counts(metrics: &Metrics) {
    let (received, acknowledged) = (metrics.received.get(), metrics.acknowledged_total());
    let unacknowledged: u64 = metrics.unacknowledged.labelled().map(|(_, n)| n).sum();
    tracing::info!(received, acknowledged, unacknowledged, "sessions ended");
}

/// Sends `Drain` to every shard. Returns whether every shard has received it or has already ended.
fn send_drain(controls: &[Sender<Control>], ends_at: Stamp) -> bool {
    controls.iter().all(|control| {
        // The channel may be full of queries, which a running shard handles first.
        let left = ends_at.since(clock::stamp()).max(POLL_INTERVAL);
        let sent = control.send_timeout(Control::Drain, left);
        !matches!(sent, Err(SendTimeoutError::Timeout(_)))
    })
}

/// Joins a thread if it ends before the deadline.
fn join_before(thread: JoinHandle<()>, ends_at: Stamp) -> bool {
    while !thread.is_finished() {
        if clock::stamp() >= ends_at {
            return false;
        }
        std::thread::park_timeout(POLL_INTERVAL);
    }
    // A panic in the thread has already aborted the process.
    let _ = thread.join();
    true
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{Receiver, bounded};
    use tokio::sync::oneshot;

    use super::*;

    /// A full control channel. No one waits for the replies to its queries.
    fn full() -> (Sender<Control>, Receiver<Control>) {
        let (control, queries) = bounded(64);
        while control
            .try_send(Control::Stale(oneshot::channel().0))
            .is_ok()
        {}
        (control, queries)
    }

    fn in_a_minute() -> Stamp {
        Stamp(clock::stamp().0 + 60_000_000_000)
    }

    /// The second shard begins to receive once the first has received `Drain`.
    #[test]
    fn drain_is_sent_through_a_full_channel() {
        for _ in 0..50 {
            let (open, first) = bounded(1);
            let (full, second) = full();
            let (ended, _) = bounded::<Control>(1);
            let answered = std::thread::scope(|scope| {
                let shard = scope.spawn(|| {
                    assert!(matches!(first.recv(), Ok(Control::Drain)));
                    let mut answered = 0;
                    for control in &second {
                        match control {
                            Control::Drain => return Some(answered),
                            _ => answered += 1,
                        }
                    }
                    None
                });
                assert!(send_drain(&[open, full, ended], in_a_minute()));
                shard.join().unwrap()
            });
            assert_eq!(answered, Some(64), "the queries, then the drain");
        }
    }

    #[test]
    fn a_shard_that_receives_nothing_does_not_delay_the_stop() {
        let (control, queries) = full();
        assert!(!send_drain(&[control], clock::stamp()));
        assert_eq!(queries.len(), 64);
    }
}
