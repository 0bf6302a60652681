//! The ledger that all connections share, in memory and in its file, behind one lock.
//!
//! Locked once per frame. A connection records a frame as sent before it hands the frame to the client, and as
//! acknowledged after it has read the ack, so the ledger never knows less than a server.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::environment::TENANTS;
use crate::error::CrashError;
use crate::ledger::{Entry, Ledger, LedgerFile};

/// The shared ledger of one data directory.
#[derive(Debug)]
pub struct SharedLedger {
    state: Mutex<State>,
    /// Records acknowledged in this cycle.
    acknowledged: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    file: LedgerFile,
    /// The first failed write of the file.
    failure: Option<CrashError>,
}

impl SharedLedger {
    /// Creates an empty ledger and its file.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn open(file: &Path) -> Result<Self, CrashError> {
        let state = State {
            ledger: Ledger::default(),
            file: LedgerFile::open(file)?,
            failure: None,
        };
        Ok(Self {
            state: Mutex::new(state),
            acknowledged: watch::channel(0).0,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records entries that are about to be sent.
    pub fn sent(&self, entries: &[Entry]) {
        self.state().ledger.sent(entries);
    }

    /// Records acknowledged entries.
    pub fn acknowledged(&self, entries: &[Entry]) {
        {
            let mut state = self.state();
            state.ledger.acknowledged(entries);
            if let Err(error) = state.file.append(&TENANTS, entries) {
                state.failure.get_or_insert(error);
            }
        }
        let count = entries.len() as u64;
        self.acknowledged.send_modify(|total| *total += count);
    }

    /// Sets the count of acknowledged records to zero for a new cycle; returns a receiver of the count.
    pub fn restart_count(&self) -> watch::Receiver<u64> {
        self.acknowledged.send_replace(0);
        self.acknowledged.subscribe()
    }

    /// Flushes the file and calls `f` with the ledger.
    ///
    /// # Errors
    /// If the file could not be written.
    pub fn with<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> Result<T, CrashError> {
        let mut state = self.state();
        if let Some(failure) = state.failure.take() {
            return Err(failure);
        }
        state.file.flush()?;
        Ok(f(&mut state.ledger))
    }
}
