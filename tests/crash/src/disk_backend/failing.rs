//! A disk with an injected fault: full, failing or hanging, while a server runs or when it starts.
//!
//! Owner: the run of disk faults, which injects one fault. When the server that meets the fault terminates, the
//! disk also loses power, so that unsynced data does not count as recovered. Afterwards the disk works and has
//! room.

use std::io;
use std::path::{Path, PathBuf};

use muster_testkit::random::Random;
use serde::Serialize;

use super::{DiskBackend, data_on, mount};
use crate::disk::{Action, DiskSettings, FaultDisk, FileKind, Operation, Rule};

/// A fault of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Under load: the disk is full.
    Full,
    /// Under load: writes of the log fail.
    WriteLog,
    /// Under load: one sync of the log fails, and later ones succeed, as on Linux.
    SyncLog,
    /// Under load: syncs of the log hang for some time.
    HangingSync,
    /// Under load: writes of a table fail, in a flush that a backup causes.
    WriteTableUnderLoad,
    /// Under load: one sync of a table fails, in a flush that a backup causes.
    SyncTableUnderLoad,
    /// At start: writes of a table fail.
    WriteTable,
    /// At start: syncs of a table fail.
    SyncTable,
    /// At start: syncs of the manifest fail.
    SyncManifest,
    /// At start: reads of a table fail.
    ReadTable,
    /// At start: the disk is full.
    FullAtStart,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 11] = [
        Self::Full,
        Self::WriteLog,
        Self::SyncLog,
        Self::HangingSync,
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
            Self::HangingSync => "hangingSync",
            Self::WriteTableUnderLoad => "writeTableUnderLoad",
            Self::SyncTableUnderLoad => "syncTableUnderLoad",
            Self::WriteTable => "writeTable",
            Self::SyncTable => "syncTable",
            Self::SyncManifest => "syncManifest",
            Self::ReadTable => "readTable",
            Self::FullAtStart => "fullAtStart",
        }
    }

    /// Whether it occurs when a server starts, which must then fail.
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

    /// Whether it occurs in a flush. A server under load rarely flushes, so a backup must cause one.
    pub const fn is_in_flush(self) -> bool {
        matches!(self, Self::WriteTableUnderLoad | Self::SyncTableUnderLoad)
    }

    const fn rule(self) -> Option<Rule> {
        let (operation, file, persistent, action) = match self {
            Self::Full | Self::FullAtStart => return None,
            Self::WriteLog => (Operation::Write, FileKind::Log, true, Action::Fail),
            Self::SyncLog => (Operation::Sync, FileKind::Log, false, Action::Fail),
            Self::HangingSync => (Operation::Sync, FileKind::Log, true, Action::Hang),
            Self::WriteTable | Self::WriteTableUnderLoad => {
                (Operation::Write, FileKind::Table, true, Action::Fail)
            }
            // Once: later ones succeed, as on Linux.
            Self::SyncTableUnderLoad => (Operation::Sync, FileKind::Table, false, Action::Fail),
            Self::SyncTable => (Operation::Sync, FileKind::Table, true, Action::Fail),
            Self::SyncManifest => (Operation::Sync, FileKind::Manifest, true, Action::Fail),
            Self::ReadTable => (Operation::Read, FileKind::Table, true, Action::Fail),
        };
        Some(Rule {
            operation,
            file: Some(file),
            thread: None,
            skip: 0,
            persistent,
            action,
        })
    }
}

/// The backend with an injected fault.
#[derive(Debug)]
pub struct FailingBackend {
    fault: Fault,
    disk: Option<FaultDisk>,
    random: Random,
    capacity: u64,
}

impl FailingBackend {
    /// A backend for this fault.
    pub fn new(fault: Fault, seed: u64) -> Self {
        Self {
            fault,
            disk: None,
            random: Random::new(seed, 4),
            capacity: DiskSettings::default().capacity_bytes,
        }
    }
}

impl DiskBackend for FailingBackend {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn prepare(&mut self, directory: &Path, _seed: u64) -> io::Result<PathBuf> {
        let disk = mount(directory, DiskSettings::default())?;
        let data = data_on(&disk);
        self.disk = Some(disk);
        Ok(data)
    }

    fn inject_fault(&mut self) {
        let Some(disk) = &self.disk else { return };
        match self.fault.rule() {
            Some(rule) => disk.arm(rule),
            None => disk.set_capacity(disk.usage().0),
        }
    }

    fn remove_fault(&mut self) {
        if let Some(disk) = &self.disk {
            disk.disarm();
            disk.resume_syncs();
        }
    }

    fn is_hanging(&self) -> bool {
        self.disk
            .as_ref()
            .is_some_and(|disk| disk.hanging_syncs() > 0)
    }

    fn cut_power(&mut self) {
        let seed = self.random.bits();
        if let Some(disk) = &self.disk {
            disk.lose_power(seed);
        }
    }

    fn server_ended(&mut self) -> io::Result<()> {
        self.cut_power();
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
