//! The thread that frees the space of deleted files in small steps.
//!
//! Owner: the server; the thread ends when [`SpaceReclaimer`] is dropped, before the store is closed. The steps are in
//! [`DeferredDeletion`]; this module only schedules them. If the file system does not support it, the thread logs that
//! once and ends: RocksDB then deletes files at once, which costs latency only. A stuck disk does not delay a stop: the
//! next start removes the remaining files.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use muster_store::{DeferredDeletion, Store};

use super::ServerError;
use super::parts::spawn;

/// Delay before a retry: a failure may be transient.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a stop waits for the thread.
const STOP_MAX: Duration = Duration::from_secs(1);

/// The running thread. Nothing is ever sent on the channels: closing one is the signal.
pub(super) struct SpaceReclaimer {
    stop: Option<Sender<Infallible>>,
    ended: Receiver<Infallible>,
}

impl SpaceReclaimer {
    pub(super) fn start(store: &Store) -> Result<Self, ServerError> {
        let (stop, stopped) = bounded(0);
        let (ending, ended) = bounded(0);
        let deletion = store.deferred_deletion();
        spawn("space-reclaimer".to_owned(), move || {
            run(deletion, &stopped);
            drop(ending);
        })?;
        Ok(Self {
            stop: Some(stop),
            ended,
        })
    }
}

impl Drop for SpaceReclaimer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(STOP_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "the disk does not respond: the next start removes the remaining *.deferred files"
            );
        }
    }
}

fn run(mut deletion: DeferredDeletion, stopped: &Receiver<Infallible>) {
    let mut wait = Duration::ZERO;
    let mut has_failed = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
        match deletion.step() {
            Ok(next) => {
                wait = next;
                has_failed = false;
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::info!(%error, "deferred deletion is not supported here: RocksDB deletes files at once, which may delay writes");
                break;
            }
            Err(error) => {
                // Logged once, not with every retry.
                if !has_failed {
                    tracing::warn!(%error, "cannot free the space of deleted files; retrying every second");
                }
                wait = RETRY_AFTER;
                has_failed = true;
            }
        }
    }
    if let Err(error) = deletion.remove() {
        tracing::warn!(%error, "cannot remove the remaining *.deferred files; the next start removes them");
    }
}
