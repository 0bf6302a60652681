//! Backups of a data directory and what was restored of them, held against the same ledger.
//!
//! Owned by the visits of kill points. What it does not do: it orders and restores nothing.

use std::path::{Path, PathBuf};

use super::Directory;
use crate::check::{self, Finding};
use crate::configuration;
use crate::error::CrashError;
use crate::process::{Ended, Server};
use crate::site::Site;

impl Directory {
    /// Where its servers make backups.
    pub fn backups(&self) -> PathBuf {
        configuration::backups(&self.data)
    }

    /// Lets a server serve another directory, and kills it once it is ready; how it ended if it never was.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn serve_copy(&self, site: &Site, data: &Path) -> Result<Option<Ended>, CrashError> {
        let command = self.command(site, data)?;
        let mut server = Server::start(command, &self.folder.join("copy.log"))?;
        match server.ready().await {
            Some(_) => Ok(None),
            None => Ok(Some(server.end().await)),
        }
    }

    /// Holds a copy, made when everything was acknowledged, against the ledger.
    ///
    /// # Errors
    /// If the ledger cannot be kept.
    pub fn check_copy(&self, site: &Site, data: &Path) -> Result<Vec<Finding>, CrashError> {
        let read = site.muster.devices(data).and_then(|listing| {
            let recount = site.muster.recount_offline(data)?;
            Ok((listing, recount))
        });
        let (listing, recount) = match read {
            Ok(read) => read,
            Err(refusal) => return Ok(vec![Finding::Conduct(refusal.to_string())]),
        };
        let (seen, mut findings) = self.book.with(|ledger| check::devices(ledger, &listing))?;
        findings.extend(check::recount("of a copy", recount, seen.devices));
        Ok(findings)
    }
}
