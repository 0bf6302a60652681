//! The acknowledged records as a text file, one per line, for debugging a loss.
//!
//! It is flushed before every check and never synced: the tool outlives the servers it kills, and the run does not
//! survive a crash of the machine. Bounds: about 80 bytes per acknowledged record of one data directory; removed with
//! the directory.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Entry;
use crate::error::CrashError;

/// An open ledger file.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl LedgerFile {
    /// Opens the file to append to it; creates it if it does not exist.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, CrashError> {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(opened.map_err(CrashError::file(path))?),
        })
    }

    /// Appends acknowledged records: tenant, device, kind, number, digest. `tenants` has the names by index.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, tenants: &[&str], entries: &[Entry]) -> Result<(), CrashError> {
        for entry in entries {
            let (tenant, device) = entry.device;
            let (tenant, kind) = (tenants.get(tenant).unwrap_or(&"?"), entry.kind.name());
            let (number, digest) = (entry.number, entry.digest);
            writeln!(self.out, "{tenant} {device} {kind} {number} {digest}")
                .map_err(CrashError::file(&self.path))?;
        }
        Ok(())
    }

    /// Writes buffered lines to the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), CrashError> {
        self.out.flush().map_err(CrashError::file(&self.path))
    }
}
