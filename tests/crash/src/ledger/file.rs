//! The acknowledgements as a file, one a line, to look into when something is lost.
//!
//! It is flushed before every check and not synced: the tool outlives the servers it kills, and the
//! machine that it runs on is not what is tested. Bounds: it grows with what is acknowledged on one data
//! directory, about 80 bytes each, and goes with the directory.

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
    /// Makes the file, or goes on at its end.
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

    /// Appends acknowledged records: tenant, device, kind, number, digest. `tenants` names the places.
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

    /// Hands everything to the kernel.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), CrashError> {
        self.out.flush().map_err(CrashError::file(&self.path))
    }
}
