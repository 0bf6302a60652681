//! A disk that loses power whenever a server ends, and now and then while it runs.
//!
//! Owner: the loop. Each data directory lies on a disk of its own, in memory, and the server itself makes the
//! directory, so that its name must last as well. How names become durable is drawn for each disk. In most
//! cycles a rule waits for the n-th system call of a kind, with n drawn from what a server on this disk has needed
//! at most; if that is never reached, power goes when the loop kills. After an orderly stop it goes, too. Now and
//! then only the process dies, and the next server builds on what was never synced before power goes.

use std::io;
use std::path::{Path, PathBuf};

use muster_loadgen::random::Random;
use tokio::sync::watch;

use super::{Medium, copy_files, data_on, mount};
use crate::disk::{
    Action, Counts, DiskSettings, Entries, FileKind, ForgetfulDisk, Moment, Operation, Rule,
};

/// Where power may go, and how often it goes there: logs are where acknowledgements rest.
const SYSTEM_CALLS: [((Operation, FileKind), u16); 15] = [
    ((Operation::Write, FileKind::Log), 25),
    ((Operation::Sync, FileKind::Log), 30),
    ((Operation::Create, FileKind::Log), 3),
    ((Operation::Unlink, FileKind::Log), 3),
    ((Operation::Write, FileKind::Table), 4),
    ((Operation::Sync, FileKind::Table), 4),
    ((Operation::Create, FileKind::Table), 3),
    ((Operation::Unlink, FileKind::Table), 3),
    ((Operation::Write, FileKind::Manifest), 5),
    ((Operation::Sync, FileKind::Manifest), 5),
    ((Operation::Create, FileKind::Manifest), 2),
    ((Operation::Rename, FileKind::Current), 2),
    ((Operation::Rename, FileKind::Other), 2),
    ((Operation::Write, FileKind::Other), 4),
    ((Operation::SyncDirectory, FileKind::Other), 5),
];

/// Losses of power that came from a rule, in thousandths; the others come with the kill.
const STRUCK: u16 = 700;

/// Ends of a server without a loss of power, in thousandths.
const KILLED_ONLY: u16 = 250;

/// What all disks of a run have lost.
#[derive(Debug, Default)]
struct Notes {
    losses: u64,
    killed_only: u64,
    at_system_calls: u64,
    files_changed: u64,
    entries_forgotten: u64,
    strict_disks: u64,
    ordered_disks: u64,
}

/// The disk under the data directory in use.
#[derive(Debug)]
struct InUse {
    disk: ForgetfulDisk,
    folder: PathBuf,
    random: Random,
    /// Nothing on it is of interest any more.
    released: bool,
    /// What had been asked for when the last server started, and the most that one has asked for.
    at_start: Counts,
    needed: Counts,
    /// The server that runs loses its disk, sooner or later; otherwise it is only killed.
    loses_power: bool,
}

/// Disks that lose power. See the module.
#[derive(Debug, Default)]
pub struct Forgetful {
    in_use: Option<InUse>,
    notes: Notes,
    /// Syncs that make nothing durable: the run must find that out.
    lies: bool,
}

impl Forgetful {
    /// Disks whose syncs make nothing durable.
    pub fn lying() -> Self {
        Self {
            lies: true,
            ..Self::default()
        }
    }
}

impl InUse {
    fn end(&mut self) {
        if self.loses_power {
            let seed = self.random.bits();
            self.disk.lose_power(seed);
        }
    }

    /// A rule for the next server, from what those before needed.
    fn draw_rule(&mut self) -> Option<Rule> {
        if !self.random.per_mille(STRUCK) {
            return None;
        }
        let (operation, file) = self.random.pick(&SYSTEM_CALLS);
        let needed = self.needed.of(operation, file);
        let moment =
            self.random
                .pick(&[(Moment::Before, 1), (Moment::During, 1), (Moment::After, 1)]);
        Some(Rule {
            operation,
            file: Some(file),
            thread: None,
            passing: self.random.below(needed + 2),
            lasting: false,
            action: Action::LosePower {
                moment,
                seed: self.random.bits(),
            },
        })
    }
}

impl Medium for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn prepare(&mut self, folder: &Path, seed: u64) -> io::Result<PathBuf> {
        let mut random = Random::new(seed, 2);
        let entries = if random.per_mille(500) {
            self.notes.strict_disks += 1;
            Entries::Strict
        } else {
            self.notes.ordered_disks += 1;
            Entries::Ordered
        };
        let settings = DiskSettings {
            entries,
            syncs_lie: self.lies,
            ..DiskSettings::default()
        };
        let in_use = InUse {
            disk: mount(folder, settings)?,
            folder: folder.to_owned(),
            random,
            released: false,
            at_start: Counts::default(),
            needed: Counts::default(),
            loses_power: true,
        };
        let data = data_on(&in_use.disk);
        self.in_use = Some(in_use);
        Ok(data)
    }

    fn started(&mut self, _cycle: u64) {
        if let Some(in_use) = &mut self.in_use {
            in_use.loses_power = !in_use.random.per_mille(KILLED_ONLY);
            if in_use.loses_power
                && let Some(rule) = in_use.draw_rule()
            {
                in_use.disk.arm(rule);
            }
            in_use.at_start = in_use.disk.counts();
        }
    }

    fn lost(&self) -> Option<watch::Receiver<bool>> {
        self.in_use.as_ref().map(|in_use| in_use.disk.lost())
    }

    fn cut(&mut self) {
        if let Some(in_use) = &mut self.in_use {
            in_use.end();
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        if let Some(in_use) = &mut self.in_use {
            in_use.end();
            self.notes.killed_only += u64::from(!in_use.loses_power);
            let asked = in_use.disk.counts().since(&in_use.at_start);
            in_use.needed = in_use.needed.max(&asked);
            if let Some(loss) = in_use.disk.loss() {
                self.notes.losses += 1;
                self.notes.at_system_calls += u64::from(loss.at.is_some());
                self.notes.files_changed += loss.lost.files_changed;
                self.notes.entries_forgotten += loss.lost.entries_forgotten;
            }
            in_use.disk.power_on();
        }
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        if let Some(mut in_use) = self.in_use.take() {
            in_use.released = true;
        }
        Ok(())
    }

    fn is_durable(&self) -> bool {
        self.in_use.as_ref().is_none_or(|in_use| in_use.loses_power)
    }

    fn notes(&self) -> Vec<(&'static str, u64)> {
        let notes = &self.notes;
        vec![
            ("losses", notes.losses),
            ("killed_only", notes.killed_only),
            ("at_system_calls", notes.at_system_calls),
            ("files_changed", notes.files_changed),
            ("entries_forgotten", notes.entries_forgotten),
            ("strict_disks", notes.strict_disks),
            ("ordered_disks", notes.ordered_disks),
        ]
    }
}

impl Drop for InUse {
    /// A directory that was not released has a finding: what survived is kept before the disk goes.
    fn drop(&mut self) {
        if !self.released {
            let _ = copy_files(&data_on(&self.disk), &self.folder.join("survived"));
        }
    }
}
