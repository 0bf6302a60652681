//! Kill points of a backup and of a restore: an unfinished one is never used as a complete one, and blocks no later
//! one.
//!
//! Owned by the [visitor](super). A backup made when everything was acknowledged must have all of it: it is
//! restored, and the restored directory is listed, recounted and served like any data directory.

use std::fs;
use std::path::Path;

use muster_testkit::server::Ended;

use super::{RECORDS_BEFORE, Visitor, options};
use crate::directory::Directory;
use crate::error::CrashError;
use crate::load::BACKUP_POINTS;
use crate::muster::restore;
use crate::sampling::next_seed;
use crate::termination::{Termination, at_kill_point};

/// A data directory or a backup is refused.
const REFUSED: Ended = Ended::Code(6);
/// A command succeeds.
const DONE: Ended = Ended::Code(0);

/// Suffix of the name of an unfinished backup or restore.
const PARTIAL: &str = ".partial";

/// Name of the backup that is restored.
const BACKUP: &str = "backup";

/// Kill points of a restore before the visited one, by visit: the restored directory is complete, and has its final
/// name in the second case only.
const EARLIER_KILL_POINTS: [&str; 2] = ["cli.restore.before_rename", "cli.restore.before_unmark"];

/// Kill points at which a restore has created nothing that a server could open as a store.
const BEFORE_STORE: [&str; 2] = ["cli.restore.before_partial", "cli.restore.before_mark"];

/// The kill point after the last step of a restore.
const COMPLETE: &str = "cli.restore.after_unmark";

/// Prefix of the kill points of a restore that removes what an unfinished one has left.
const REMOVAL_POINTS: &str = "store.restoring.";

/// Whether `muster restore` passes this kill point, rather than a server.
pub(super) fn is_of_restore(name: &str) -> bool {
    name.starts_with("cli.restore.") || name.starts_with(REMOVAL_POINTS)
}

/// The highest number of passes that is sampled for a kill point of a backup or a restore: a server makes few
/// backups, a backup has few files, and a restore passes all other points once.
pub(super) fn passes_max(name: &str) -> Option<u64> {
    if !is_of_restore(name) {
        return name.starts_with(BACKUP_POINTS).then_some(4);
    }
    let is_passed_repeatedly = name.contains(".before_file") || name.contains(".between_");
    Some(if is_passed_repeatedly { 4 } else { 0 })
}

impl Visitor<'_> {
    /// Checks the backups of a directory whose server killed itself during one: unfinished ones are refused, the
    /// others can be restored. Returns the names of the backups that the next server makes: those of the unfinished
    /// ones, and a new one.
    pub(super) fn check_backups(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
    ) -> Result<Vec<String>, CrashError> {
        let mut next = vec!["after".to_owned()];
        let (backups, restored) = (directory.backups(), directory.path().join("restored"));
        let Ok(entries) = fs::read_dir(&backups) else {
            // The server killed itself before the first backup.
            return Ok(next);
        };
        for entry in entries {
            let name = entry.map_err(CrashError::file(&backups))?.file_name();
            let name = name.to_string_lossy().into_owned();
            let ended = restore(
                &self.environment.muster,
                &backups.join(&name),
                &restored,
                None,
            )?;
            let command = format!("a restore of {name}");
            match name.strip_suffix(PARTIAL) {
                Some(unfinished) => {
                    next.push(unfinished.to_owned());
                    self.expect(point, seed, &command, ended, REFUSED);
                }
                None => {
                    self.expect(point, seed, &command, ended, DONE);
                    fs::remove_dir_all(&restored).map_err(CrashError::file(&restored))?;
                }
            }
        }
        Ok(next)
    }

    /// Restores backups that were made when everything was acknowledged, and checks that they have all of it.
    pub(super) fn restore_backups(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        names: &[String],
    ) -> Result<(), CrashError> {
        let restored = directory.path().join("restored");
        for name in names {
            let backup = directory.backups().join(name);
            let ended = restore(&self.environment.muster, &backup, &restored, None)?;
            self.expect(point, seed, &format!("a restore of {name}"), ended, DONE);
            self.check_restored(point, seed, directory, &restored)?;
            // If the restore was refused, which is a finding, there is nothing to remove.
            let _ = fs::remove_dir_all(&restored);
        }
        Ok(())
    }

    /// Visits a kill point of a restore, with another restore after it. Returns whether the restore killed itself
    /// there.
    pub(super) async fn visit_restore(
        &mut self,
        point: &str,
        visit: u64,
        passes: u64,
    ) -> Result<bool, CrashError> {
        let seed = self.seed;
        self.seed = next_seed(seed);
        let name = format!("visit-{}", self.report.tally.cycles);
        let mut directory =
            Directory::create(self.environment, &name, seed, options(seed), self.disk)?;
        let backed_up = Termination::AfterBackups(RECORDS_BEFORE, vec![BACKUP.to_owned()]);
        let result = directory
            .cycle(self.environment, 0, &backed_up, self.disk)
            .await?;
        self.add(point, passes, seed, &result);
        if !self.report.tally.findings.is_empty() {
            return Ok(false);
        }
        let backup = directory.backups().join(BACKUP);
        let restored = directory.path().join("restored");
        let muster = &self.environment.muster;
        if visit > 0 || point.starts_with(REMOVAL_POINTS) {
            let earlier = EARLIER_KILL_POINTS[visit as usize % EARLIER_KILL_POINTS.len()];
            let earlier = at_kill_point(earlier, 0);
            let ended = restore(muster, &backup, &restored, Some(earlier))?;
            self.expect(point, seed, "an earlier restore", ended, Ended::Killed);
        }
        let at_point = at_kill_point(point, passes);
        let ended = restore(muster, &backup, &restored, Some(at_point))?;
        let killed = ended == Ended::Killed;
        if killed {
            self.check_unfinished_restore(point, seed, &directory, &restored)
                .await?;
        } else {
            self.expect(point, seed, "a restore without a kill", ended, DONE);
        }
        self.check_restored(point, seed, &directory, &restored)?;
        if self.report.tally.findings.is_empty() {
            let ended = directory
                .serve_restored(self.environment, &restored)
                .await?;
            self.report.tally.cycles += 1;
            if let Some(ended) = ended {
                let finding = format!("a server on the restored directory ended: {ended:?}");
                self.add_finding(point, seed, &finding);
            }
        }
        self.remove(&directory)?;
        Ok(killed)
    }

    /// Checks that no server serves an unfinished restore, and that the same restore succeeds when it is repeated.
    async fn check_unfinished_restore(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        restored: &Path,
    ) -> Result<(), CrashError> {
        let partial = restored.with_file_name(format!("restored{PARTIAL}"));
        if !BEFORE_STORE.contains(&point) && point != COMPLETE {
            for data in [restored, &partial] {
                // The directory has one of the two names. On a missing partial one a server may create a new store.
                if data != restored && !data.exists() {
                    continue;
                }
                let ended = directory.serve_restored(self.environment, data).await?;
                self.report.tally.cycles += 1;
                let ended = ended.unwrap_or(Ended::Killed);
                let command = format!("a server on {}", data.display());
                self.expect(point, seed, &command, ended, REFUSED);
            }
        }
        let backup = directory.backups().join(BACKUP);
        let ended = restore(&self.environment.muster, &backup, restored, None)?;
        let expected = if point == COMPLETE { REFUSED } else { DONE };
        self.expect(point, seed, "the repeated restore", ended, expected);
        if partial.exists() {
            self.add_finding(
                point,
                seed,
                "the repeated restore leaves a partial directory",
            );
        }
        Ok(())
    }

    fn check_restored(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        restored: &Path,
    ) -> Result<(), CrashError> {
        let findings = directory.check_restored(self.environment, restored)?;
        self.report.tally.add(&findings);
        for finding in findings {
            self.add_finding(point, seed, &finding.to_string());
        }
        Ok(())
    }

    fn expect(&mut self, point: &str, seed: u64, command: &str, ended: Ended, expected: Ended) {
        if ended != expected {
            let finding = format!("{command} ended with {ended:?} instead of {expected:?}");
            self.add_finding(point, seed, &finding);
        }
    }

    fn add_finding(&mut self, point: &str, seed: u64, finding: &str) {
        self.report
            .tally
            .findings
            .push(format!("{point}, seed {seed}: {finding}"));
    }
}
