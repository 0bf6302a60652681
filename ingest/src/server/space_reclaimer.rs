//! The thread that gives the space of deleted files back to the disk, a little at a time.
//!
//! Owned by the assembly; it ends when this is dropped, before the store is closed. What it does is in
//! [`DeferredDeletion`]; here is only the waiting. Where the file system cannot do it, it says so once and ends: space is then
//! given back as files are deleted, which costs latency and nothing else. A disk that hangs does not hold up a stop: the
//! names that are left are the next start's.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use muster_store::{DeferredDeletion, Store};

use super::ServerError;
use super::parts::spawn;

/// How long to wait after a failure; what it was may pass.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a stop waits for the thread.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// The running thread. Nothing is ever sent either way: the end of a channel is the message.
pub(super) struct SpaceReclaimer {
    stop: Option<Sender<Infallible>>,
    ended: Receiver<Infallible>,
}

impl SpaceReclaimer {
    pub(super) fn start(store: &Store) -> Result<Self, ServerError> {
        let (stop, stopped) = bounded(0);
        let (ending, ended) = bounded(0);
        let held = store.deferred_deletion();
        spawn("space-reclaimer".to_owned(), move || {
            run(held, &stopped);
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
        if self.ended.recv_timeout(FAREWELL_MAX) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                "the disk does not respond: links of deleted files (*.deferred) are left for the next start to remove"
            );
        }
    }
}

fn run(mut held: DeferredDeletion, stopped: &Receiver<Infallible>) {
    let mut wait = Duration::ZERO;
    let mut has_failed = false;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
        match held.step() {
            Ok(next) => {
                wait = next;
                has_failed = false;
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tracing::info!(%error, "files are not held: RocksDB gives the space of a deleted one back all at once");
                break;
            }
            Err(error) => {
                // Once, not every second as long as it lasts.
                if !has_failed {
                    tracing::warn!(%error, "the space of deleted files is not given back for now; trying again every second");
                }
                wait = RETRY_AFTER;
                has_failed = true;
            }
        }
    }
    if let Err(error) = held.remove() {
        tracing::warn!(%error, "links of deleted files (*.deferred) are left for the next start to remove");
    }
}
