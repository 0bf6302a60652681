//! Deaths within a backup and within a restore: what they leave is taken for whole by nobody and in nobody's way.
//!
//! Owned by the [tour](super). A copy made when everything was acknowledged must hold all of it; it is read,
//! counted and served like any data directory.

use std::fs;
use std::path::Path;

use super::{RECORDS_BEFORE, Tour, options};
use crate::directory::Directory;
use crate::draw::next_seed;
use crate::error::CrashError;
use crate::load::BACKUP_POINTS;
use crate::moment::{Moment, at_kill_point};
use crate::process::Ended;

/// Exit code of a data directory, or a backup, that is refused.
const REFUSED: Ended = Ended::Code(6);
const DONE: Ended = Ended::Code(0);

/// What a name ends in until a copy is whole.
const PARTIAL: &str = ".partial";

/// The backup that restores are of.
const BACKUP: &str = "backup";

/// Where a restore before the visited one dies, visit by visit: the copy is whole, and has its name or not.
const LEFT_AT: [&str; 2] = ["cli.restore.before_rename", "cli.restore.before_unmark"];

/// Points at which nothing is there that a server could take for a store.
const NOTHING_THERE: [&str; 2] = ["cli.restore.before_partial", "cli.restore.before_mark"];

/// The point behind everything that a restore does.
const ALL_DONE: &str = "cli.restore.after_unmark";

/// Points that only a restore meets which finds what another one left.
const CLEARING: &str = "store.restoring.";

/// Whether it is `muster restore` that dies there.
pub(super) fn is_of_restore(name: &str) -> bool {
    name.starts_with("cli.restore.") || name.starts_with(CLEARING)
}

/// The latest passing that is drawn of a point within a backup or a restore: a server makes few backups, a backup
/// has few files, and anything else is passed once by a restore.
pub(super) fn passing_max(name: &str) -> Option<u64> {
    let is_passed_again = name.contains(".before_file") || name.contains(".between_");
    match is_of_restore(name) {
        true if is_passed_again => Some(4),
        true => Some(0),
        false => name.starts_with(BACKUP_POINTS).then_some(4),
    }
}

impl Tour<'_> {
    /// Holds what a death within a backup has left against what may be restored. Returns the names under which
    /// the next server makes one: those of unfinished ones, and a new one.
    pub(super) fn after_backup(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
    ) -> Result<Vec<String>, CrashError> {
        let mut again = vec!["after".to_owned()];
        let (backups, copy) = (directory.backups(), directory.folder().join("copy"));
        let Ok(entries) = fs::read_dir(&backups) else {
            // It died before the first.
            return Ok(again);
        };
        for entry in entries {
            let name = entry.map_err(CrashError::file(&backups))?.file_name();
            let name = name.to_string_lossy().into_owned();
            let ended = self
                .site
                .muster
                .restore(&backups.join(&name), &copy, None)?;
            match name.strip_suffix(PARTIAL) {
                Some(unfinished) => {
                    again.push(unfinished.to_owned());
                    self.demand(point, seed, &format!("a restore of {name}"), ended, REFUSED);
                }
                None => {
                    self.demand(point, seed, &format!("a restore of {name}"), ended, DONE);
                    fs::remove_dir_all(&copy).map_err(CrashError::file(&copy))?;
                }
            }
        }
        Ok(again)
    }

    /// Restores backups that were made when everything was acknowledged, and looks for all of it.
    pub(super) fn restore_each(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        names: &[String],
    ) -> Result<(), CrashError> {
        let copy = directory.folder().join("copy");
        for name in names {
            let backup = directory.backups().join(name);
            let ended = self.site.muster.restore(&backup, &copy, None)?;
            self.demand(point, seed, &format!("a restore of {name}"), ended, DONE);
            self.hold_copy(point, seed, directory, &copy)?;
            // It is not there if that was refused, which is a finding already.
            let _ = fs::remove_dir_all(&copy);
        }
        Ok(())
    }

    /// A restore that dies at the point, and one after it. Whether it died there.
    pub(super) async fn visit_restore(
        &mut self,
        point: &str,
        visit: u64,
        passings: u64,
    ) -> Result<bool, CrashError> {
        let seed = self.seed;
        self.seed = next_seed(seed);
        let folder = format!("visit-{}", self.report.tally.cycles);
        let mut directory = Directory::make(self.site, &folder, seed, options(seed), self.medium)?;
        let backed_up = Moment::BackedUp(RECORDS_BEFORE, vec![BACKUP.to_owned()]);
        let result = directory
            .cycle(self.site, 0, &backed_up, self.medium)
            .await?;
        self.note(point, passings, seed, &result);
        if !self.report.tally.findings.is_empty() {
            return Ok(false);
        }
        let (backup, copy) = (
            directory.backups().join(BACKUP),
            directory.folder().join("copy"),
        );
        let muster = &self.site.muster;
        if visit > 0 || point.starts_with(CLEARING) {
            let left_at = at_kill_point(LEFT_AT[visit as usize % LEFT_AT.len()], 0);
            let ended = muster.restore(&backup, &copy, Some(left_at))?;
            self.demand(point, seed, "a restore before it", ended, Ended::Killed);
        }
        let at_point = at_kill_point(point, passings);
        let ended = muster.restore(&backup, &copy, Some(at_point))?;
        let died = ended == Ended::Killed;
        if died {
            self.after_restore(point, seed, &directory, &copy).await?;
        } else {
            self.demand(point, seed, "a restore that does not pass it", ended, DONE);
        }
        self.hold_copy(point, seed, &directory, &copy)?;
        if self.report.tally.findings.is_empty() {
            let served = directory.serve_copy(self.site, &copy).await?;
            self.report.tally.cycles += 1;
            if let Some(ended) = served {
                self.find(
                    point,
                    seed,
                    &format!("what was restored is not served: {ended:?}"),
                );
            }
        }
        self.forget(&directory)?;
        Ok(died)
    }

    /// What a death within a restore left is served by nobody, and the same restore works.
    async fn after_restore(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        copy: &Path,
    ) -> Result<(), CrashError> {
        let partial = copy.with_file_name(format!("copy{PARTIAL}"));
        if !NOTHING_THERE.contains(&point) && point != ALL_DONE {
            for place in [copy, &partial] {
                // The copy has one name or the other. Only under its own may a server make a new store.
                if place != copy && !place.exists() {
                    continue;
                }
                let served = directory.serve_copy(self.site, place).await?;
                self.report.tally.cycles += 1;
                let ended = served.unwrap_or(Ended::Killed);
                let what = format!("a server on {}", place.display());
                self.demand(point, seed, &what, ended, REFUSED);
            }
        }
        let backup = directory.backups().join(BACKUP);
        let ended = self.site.muster.restore(&backup, copy, None)?;
        let expected = if point == ALL_DONE { REFUSED } else { DONE };
        self.demand(point, seed, "the same restore again", ended, expected);
        if partial.exists() {
            self.find(point, seed, "a restore leaves its partial copy");
        }
        Ok(())
    }

    fn hold_copy(
        &mut self,
        point: &str,
        seed: u64,
        directory: &Directory,
        copy: &Path,
    ) -> Result<(), CrashError> {
        let findings = directory.check_copy(self.site, copy)?;
        self.report.tally.add(&findings);
        for finding in findings {
            self.find(point, seed, &finding.to_string());
        }
        Ok(())
    }

    fn demand(&mut self, point: &str, seed: u64, what: &str, ended: Ended, expected: Ended) {
        if ended != expected {
            let text = format!("{what} ended as {ended:?} instead of {expected:?}");
            self.find(point, seed, &text);
        }
    }

    fn find(&mut self, point: &str, seed: u64, what: &str) {
        self.report
            .tally
            .findings
            .push(format!("{point}, seed {seed}: {what}"));
    }
}
