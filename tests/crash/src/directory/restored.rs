//! Checks of a restored backup against the ledger of the directory that it was made of.
//!
//! Used by the visits of kill points, which make and restore the backups.

use std::path::{Path, PathBuf};

use muster_testkit::server::{Ended, Server};

use super::Directory;
use crate::check::{self, Finding};
use crate::configuration;
use crate::environment::TestEnvironment;
use crate::error::CrashError;
use crate::muster;

impl Directory {
    /// The backup directory of its servers.
    pub fn backups(&self) -> PathBuf {
        configuration::backups(&self.data)
    }

    /// Starts a server on another data directory and kills it once it is ready. Returns how it ended if it never was.
    ///
    /// # Errors
    /// If the server cannot be started.
    pub async fn serve_restored(
        &self,
        environment: &TestEnvironment,
        data: &Path,
    ) -> Result<Option<Ended>, CrashError> {
        let command = self.command(environment, data)?;
        let mut server = Server::start_logged(command, &self.path.join("restored.log"))
            .map_err(CrashError::start)?;
        match server.ready().await {
            Some(_) => Ok(None),
            None => Ok(Some(server.end().await)),
        }
    }

    /// Compares a restored backup, made when everything was acknowledged, with the ledger.
    ///
    /// # Errors
    /// If the ledger file cannot be written.
    pub fn check_restored(
        &self,
        environment: &TestEnvironment,
        data: &Path,
    ) -> Result<Vec<Finding>, CrashError> {
        let read = muster::devices(&environment.muster, data).and_then(|listing| {
            let recount = environment.muster.recount_offline(data)?;
            Ok((listing, recount))
        });
        let (listing, recount) = match read {
            Ok(read) => read,
            Err(refusal) => return Ok(vec![Finding::Behavior(refusal.to_string())]),
        };
        let (observed, mut findings) = self
            .ledger
            .with(|ledger| check::devices(ledger, &listing))?;
        findings.extend(check::recount(
            "of a restored backup",
            recount,
            observed.devices,
        ));
        Ok(findings)
    }
}
