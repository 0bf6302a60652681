//! A disk that goes bad: full, failing or stuck, while a server runs or as it starts.
//!
//! Owner: the run of bad disks, which has one fault in mind. With the end of the server that met it, power is
//! lost as well: so nothing counts as acknowledged that was only in memory of the disk. Afterwards the disk is
//! sound and has room.

use std::io;
use std::path::{Path, PathBuf};

use muster_loadgen::random::Random;
use serde::Serialize;

use super::{Medium, data_on, mount};
use crate::disk::{Action, DiskSettings, FileKind, ForgetfulDisk, Operation, Rule};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Under load: no byte fits any more.
    Full,
    /// Under load: writing the log fails.
    WriteLog,
    /// Under load: one sync of the log fails, and those after it report success, as Linux does.
    SyncLog,
    /// Under load: syncs of the log hang, and end after a while.
    StuckSync,
    /// Under load: writing a table fails, in a flush that a backup asks for.
    WriteTableUnderLoad,
    /// Under load: a sync of a table fails, in a flush that a backup asks for.
    SyncTableUnderLoad,
    /// As it starts: writing a table fails.
    WriteTable,
    /// As it starts: a sync of a table fails.
    SyncTable,
    /// As it starts: a sync of the manifest fails.
    SyncManifest,
    /// As it starts: reading a table fails.
    ReadTable,
    /// As it starts: no byte fits.
    FullAtStart,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Full,
        Self::WriteLog,
        Self::SyncLog,
        Self::StuckSync,
        Self::WriteTableUnderLoad,
        Self::SyncTableUnderLoad,
        Self::WriteTable,
        Self::SyncTable,
        Self::SyncManifest,
        Self::ReadTable,
        Self::FullAtStart,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::WriteLog => "writeLog",
            Self::SyncLog => "syncLog",
            Self::StuckSync => "stuckSync",
            Self::WriteTableUnderLoad => "writeTableUnderLoad",
            Self::SyncTableUnderLoad => "syncTableUnderLoad",
            Self::WriteTable => "writeTable",
            Self::SyncTable => "syncTable",
            Self::SyncManifest => "syncManifest",
            Self::ReadTable => "readTable",
            Self::FullAtStart => "fullAtStart",
        }
    }

    /// Whether it strikes a server that starts, which then must refuse to.
    pub const fn is_at_start(self) -> bool {
        matches!(
            self,
            Self::WriteTable
                | Self::SyncTable
                | Self::SyncManifest
                | Self::ReadTable
                | Self::FullAtStart
        )
    }

    /// Whether it strikes a flush, which a server under load makes seldom: one must be asked for.
    pub const fn is_in_flush(self) -> bool {
        matches!(self, Self::WriteTableUnderLoad | Self::SyncTableUnderLoad)
    }

    const fn rule(self) -> Option<Rule> {
        let (operation, file, lasting, action) = match self {
            Self::Full | Self::FullAtStart => return None,
            Self::WriteLog => (Operation::Write, FileKind::Log, true, Action::Fail),
            Self::SyncLog => (Operation::Sync, FileKind::Log, false, Action::Fail),
            Self::StuckSync => (Operation::Sync, FileKind::Log, true, Action::Hang),
            Self::WriteTable | Self::WriteTableUnderLoad => {
                (Operation::Write, FileKind::Table, true, Action::Fail)
            }
            // Once: those after it report success, as Linux does.
            Self::SyncTableUnderLoad => (Operation::Sync, FileKind::Table, false, Action::Fail),
            Self::SyncTable => (Operation::Sync, FileKind::Table, true, Action::Fail),
            Self::SyncManifest => (Operation::Sync, FileKind::Manifest, true, Action::Fail),
            Self::ReadTable => (Operation::Read, FileKind::Table, true, Action::Fail),
        };
        Some(Rule {
            operation,
            file: Some(file),
            thread: None,
            passing: 0,
            lasting,
            action,
        })
    }
}

/// A disk with one fault in store. See the module.
#[derive(Debug)]
pub struct Failing {
    fault: Fault,
    disk: Option<ForgetfulDisk>,
    random: Random,
    capacity: u64,
}

impl Failing {
    /// For this fault.
    pub fn new(fault: Fault, seed: u64) -> Self {
        Self {
            fault,
            disk: None,
            random: Random::new(seed, 4),
            capacity: DiskSettings::default().capacity_bytes,
        }
    }
}

impl Medium for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn prepare(&mut self, folder: &Path, _seed: u64) -> io::Result<PathBuf> {
        let disk = mount(folder, DiskSettings::default())?;
        let data = data_on(&disk);
        self.disk = Some(disk);
        Ok(data)
    }

    fn fail(&mut self) {
        let Some(disk) = &self.disk else { return };
        match self.fault.rule() {
            Some(rule) => disk.arm(rule),
            None => disk.set_capacity(disk.usage().0),
        }
    }

    fn heal(&mut self) {
        if let Some(disk) = &self.disk {
            disk.disarm();
            disk.let_go();
        }
    }

    fn is_stuck(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.hanging() > 0)
    }

    fn cut(&mut self) {
        let seed = self.random.bits();
        if let Some(disk) = &self.disk {
            disk.lose_power(seed);
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        self.cut();
        if let Some(disk) = &self.disk {
            disk.set_capacity(self.capacity);
            disk.power_on();
        }
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        self.disk = None;
        Ok(())
    }
}
