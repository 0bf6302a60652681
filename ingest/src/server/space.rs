//! The thread that gives the space of deleted files back to the disk, a little at a time.
//!
//! Owned by the assembly; it ends when this is dropped, before the store is closed. What it does is in
//! [`HeldFiles`]; here is only the waiting. If the file system refuses, it says so once and ends: space is then given back
//! as files are deleted, which costs latency and nothing else.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use muster_store::{HeldFiles, Store};

use super::ServerError;
use super::parts::spawn;

/// Nothing is ever sent: its end is the message.
enum Never {}

/// The running thread.
pub(super) struct SpaceThread {
    stop: Option<Sender<Never>>,
    thread: Option<JoinHandle<()>>,
}

impl SpaceThread {
    pub(super) fn start(store: &Store) -> Result<Self, ServerError> {
        let (stop, stopped) = bounded(0);
        let held = HeldFiles::of(store);
        let thread = spawn("space".to_owned(), move || run(held, &stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for SpaceThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Only fails if the thread panicked, which its own message has told.
            let _ = thread.join();
        }
    }
}

fn run(mut held: HeldFiles, stopped: &Receiver<Never>) {
    if let Err(error) = serve(&mut held, stopped) {
        tracing::info!(%error, "files of the store cannot be held: the space of a deleted one is given back all at once");
    }
    if let Err(error) = held.remove() {
        tracing::warn!(%error, "second names of files (*.held) are left in the data directory; the next start removes them");
    }
}

fn serve(held: &mut HeldFiles, stopped: &Receiver<Never>) -> io::Result<()> {
    let mut wait = Duration::ZERO;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
        wait = held.step()?;
    }
    Ok(())
}
