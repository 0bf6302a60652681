//! A disk that loses power when a server terminates, and sometimes while it runs.
//!
//! Owner: the loop. Each data directory is on its own in-memory disk, where the server creates it, so that its name
//! must become durable as well. Each disk samples when directory entries become durable. In most cycles a rule cuts
//! the power at the n-th system call of a kind, with n sampled up to the highest count of earlier servers on this
//! disk; if the server makes fewer such calls, power is lost with the kill. Power is also lost after a graceful
//! stop. In some cycles only the process is killed, so that the next server builds on unsynced data that a later
//! power loss can lose.

use std::io;
use std::path::{Path, PathBuf};

use muster_testkit::random::Random;
use tokio::sync::watch;

use super::{DiskBackend, copy_files, data_on, mount};
use crate::disk::{
    Action, Counts, DiskSettings, EntryDurability, FaultDisk, FileKind, Operation, Rule, Timing,
};

/// System calls at which a rule cuts the power, with weights: most are on logs, which hold acknowledged data.
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

/// Cycles in which a rule cuts the power, per thousand; in the others power is lost with the kill.
const CUT_BY_RULE: u16 = 700;

/// Cycles without a power loss, per thousand.
const KILLED_ONLY: u16 = 250;

/// What all disks of a run have lost.
#[derive(Debug, Default)]
struct Statistics {
    power_losses: u64,
    killed_only: u64,
    at_system_calls: u64,
    files_changed: u64,
    entries_lost: u64,
    strict_disks: u64,
    ordered_disks: u64,
}

/// The disk of the current data directory.
#[derive(Debug)]
struct Current {
    disk: FaultDisk,
    directory: PathBuf,
    random: Random,
    /// The data directory is no longer needed.
    is_released: bool,
    /// Operations before the current server was started.
    at_start: Counts,
    /// The highest counts of a server so far.
    highest: Counts,
    /// Whether this cycle has a power loss.
    loses_power: bool,
}

/// The backend of disks that lose power.
#[derive(Debug, Default)]
pub struct PowerLossBackend {
    current: Option<Current>,
    statistics: Statistics,
    /// Syncs make nothing durable, which the run must find.
    syncs_lie: bool,
}

impl PowerLossBackend {
    /// Disks whose syncs make nothing durable.
    pub fn lying() -> Self {
        Self {
            syncs_lie: true,
            ..Self::default()
        }
    }
}

impl Current {
    fn cut_power(&mut self) {
        if self.loses_power {
            let seed = self.random.bits();
            self.disk.lose_power(seed);
        }
    }

    /// Samples a rule for the next server from the counts of earlier ones.
    fn sample_rule(&mut self) -> Option<Rule> {
        if !self.random.per_mille(CUT_BY_RULE) {
            return None;
        }
        let (operation, file) = self.random.choose_weighted(&SYSTEM_CALLS);
        let highest = self.highest.get(operation, file);
        let timing = self.random.choose_weighted(&[
            (Timing::Before, 1),
            (Timing::During, 1),
            (Timing::After, 1),
        ]);
        Some(Rule {
            operation,
            file: Some(file),
            thread: None,
            skip: self.random.below(highest + 2),
            persistent: false,
            action: Action::LosePower {
                timing,
                seed: self.random.bits(),
            },
        })
    }
}

impl DiskBackend for PowerLossBackend {
    fn name(&self) -> &'static str {
        "power-loss"
    }

    fn prepare(&mut self, directory: &Path, seed: u64) -> io::Result<PathBuf> {
        let mut random = Random::new(seed, 2);
        let entries = if random.per_mille(500) {
            self.statistics.strict_disks += 1;
            EntryDurability::Strict
        } else {
            self.statistics.ordered_disks += 1;
            EntryDurability::Ordered
        };
        let settings = DiskSettings {
            entries,
            syncs_lie: self.syncs_lie,
            ..DiskSettings::default()
        };
        let current = Current {
            disk: mount(directory, settings)?,
            directory: directory.to_owned(),
            random,
            is_released: false,
            at_start: Counts::default(),
            highest: Counts::default(),
            loses_power: true,
        };
        let data = data_on(&current.disk);
        self.current = Some(current);
        Ok(data)
    }

    fn server_started(&mut self) {
        if let Some(current) = &mut self.current {
            current.loses_power = !current.random.per_mille(KILLED_ONLY);
            if current.loses_power
                && let Some(rule) = current.sample_rule()
            {
                current.disk.arm(rule);
            }
            current.at_start = current.disk.counts();
        }
    }

    fn power_lost(&self) -> Option<watch::Receiver<bool>> {
        self.current
            .as_ref()
            .map(|current| current.disk.power_lost())
    }

    fn cut_power(&mut self) {
        if let Some(current) = &mut self.current {
            current.cut_power();
        }
    }

    fn server_ended(&mut self) -> io::Result<()> {
        if let Some(current) = &mut self.current {
            current.cut_power();
            self.statistics.killed_only += u64::from(!current.loses_power);
            let counts = current.disk.counts().since(&current.at_start);
            current.highest = current.highest.max(&counts);
            if let Some(loss) = current.disk.loss() {
                self.statistics.power_losses += 1;
                self.statistics.at_system_calls += u64::from(loss.at.is_some());
                self.statistics.files_changed += loss.lost.files_changed;
                self.statistics.entries_lost += loss.lost.entries_lost;
            }
            current.disk.power_on();
        }
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        if let Some(mut current) = self.current.take() {
            current.is_released = true;
        }
        Ok(())
    }

    fn is_durable(&self) -> bool {
        self.current
            .as_ref()
            .is_none_or(|current| current.loses_power)
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        let statistics = &self.statistics;
        vec![
            ("power_losses", statistics.power_losses),
            ("killed_only", statistics.killed_only),
            ("at_system_calls", statistics.at_system_calls),
            ("files_changed", statistics.files_changed),
            ("entries_lost", statistics.entries_lost),
            ("strict_disks", statistics.strict_disks),
            ("ordered_disks", statistics.ordered_disks),
        ]
    }
}

impl Drop for Current {
    /// A directory that was not released has a finding, so its files are copied before the disk is unmounted.
    fn drop(&mut self) {
        if !self.is_released {
            let _ = copy_files(&data_on(&self.disk), &self.directory.join("survived"));
        }
    }
}
