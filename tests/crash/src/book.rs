//! The ledger as the connections share it: in memory and in its file, behind one lock.
//!
//! Locked once a frame. A connection notes a frame as sent before it hands it over and as acknowledged
//! after the ack was read, so the ledger never knows less than a server.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::CrashError;
use crate::ledger::{Entry, Ledger, LedgerFile};
use crate::site::TENANTS;

/// The ledger of one data directory.
#[derive(Debug)]
pub struct Book {
    pages: Mutex<Pages>,
    /// Records acknowledged in this cycle, for those who wait for a number.
    acknowledged: watch::Sender<u64>,
}

#[derive(Debug)]
struct Pages {
    ledger: Ledger,
    file: LedgerFile,
    /// The first failed write of the file.
    failure: Option<CrashError>,
}

impl Book {
    /// An empty ledger with its file.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn open(file: &Path) -> Result<Self, CrashError> {
        let pages = Pages {
            ledger: Ledger::default(),
            file: LedgerFile::open(file)?,
            failure: None,
        };
        Ok(Self {
            pages: Mutex::new(pages),
            acknowledged: watch::channel(0).0,
        })
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is about to be sent.
    pub fn sent(&self, entries: &[Entry]) {
        self.pages().ledger.sent(entries);
    }

    /// Notes what was acknowledged.
    pub fn acknowledged(&self, entries: &[Entry]) {
        {
            let mut pages = self.pages();
            pages.ledger.acknowledged(entries);
            if let Err(error) = pages.file.append(&TENANTS, entries) {
                pages.failure.get_or_insert(error);
            }
        }
        let count = entries.len() as u64;
        self.acknowledged.send_modify(|total| *total += count);
    }

    /// Begins to count the acknowledgements of a cycle; returns the count as it grows.
    pub fn count_anew(&self) -> watch::Receiver<u64> {
        self.acknowledged.send_replace(0);
        self.acknowledged.subscribe()
    }

    /// Lets `look` see the ledger, once the file has everything.
    ///
    /// # Errors
    /// If the file could not be written.
    pub fn with<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> Result<T, CrashError> {
        let mut pages = self.pages();
        if let Some(failure) = pages.failure.take() {
            return Err(failure);
        }
        pages.file.flush()?;
        Ok(look(&mut pages.ledger))
    }
}
