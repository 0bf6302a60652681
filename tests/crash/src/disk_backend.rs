//! Disk backends: what a data directory is stored on, and what happens to its bytes when a server terminates.
//!
//! The loop kills processes; a backend decides which writes survive. [`PlainBackend`] is the file system as it is,
//! which keeps everything that a killed process has written. [`PowerLossBackend`] loses unsynced data:
//! [`DiskBackend::cut_power`] discards all later writes, [`DiskBackend::server_ended`] restores what survived.
//! [`FailingBackend`] injects a fault. [`RollbackBackend`] loses synced data, to show that the checks can fail.

mod failing;
mod power_loss;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::disk::{DiskSettings, FaultDisk};

pub use failing::{FailingBackend, Fault};
pub use power_loss::PowerLossBackend;

/// A disk backend. It has one data directory at a time.
pub trait DiskBackend: Send {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Prepares an empty data directory in `directory`, which has the files of its servers, and returns its path.
    /// `seed` is that of the data directory.
    ///
    /// # Errors
    /// If the data directory cannot be prepared.
    fn prepare(&mut self, directory: &Path, seed: u64) -> io::Result<PathBuf>;

    /// Called after a server was started.
    fn server_started(&mut self) {}

    /// Becomes true when the disk loses power, by [`DiskBackend::cut_power`] or by itself while a server runs.
    /// `None` if it never does.
    fn power_lost(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// Injects the fault of the backend, if it has one.
    fn inject_fault(&mut self) {}

    /// Whether an operation hangs.
    fn is_hanging(&self) -> bool {
        false
    }

    /// Removes the fault and completes operations that hang.
    fn remove_fault(&mut self) {}

    /// Discards all later writes. Called just before a server is killed, not before it terminates by itself.
    fn cut_power(&mut self) {}

    /// Called after a server has terminated, before its disk is checked.
    ///
    /// # Errors
    /// If the directory cannot be restored.
    fn server_ended(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Called when the data directory is no longer needed, before its files are removed.
    ///
    /// # Errors
    /// If it cannot be released.
    fn release(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether everything that can be read now would survive a power loss.
    fn is_durable(&self) -> bool {
        true
    }

    /// Counters for the report.
    fn statistics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Whether a disk is without power.
pub fn is_power_lost(disk: &dyn DiskBackend) -> bool {
    disk.power_lost().is_some_and(|lost| *lost.borrow())
}

/// The file system as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainBackend;

impl DiskBackend for PlainBackend {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn prepare(&mut self, directory: &Path, _seed: u64) -> io::Result<PathBuf> {
        let data = directory.join("data");
        fs::create_dir(&data)?;
        Ok(data)
    }
}

/// Restores an older copy after every second server, which loses everything acknowledged in between. For `--sabotage`.
#[derive(Debug, Clone, Default)]
pub struct RollbackBackend {
    data: PathBuf,
    copy: Option<PathBuf>,
    rollbacks: u64,
}

impl DiskBackend for RollbackBackend {
    fn name(&self) -> &'static str {
        "sabotage"
    }

    fn prepare(&mut self, directory: &Path, seed: u64) -> io::Result<PathBuf> {
        self.copy = None;
        self.data = PlainBackend.prepare(directory, seed)?;
        Ok(self.data.clone())
    }

    fn server_ended(&mut self) -> io::Result<()> {
        match self.copy.take() {
            None => {
                let copy = self.data.with_file_name("older");
                copy_files(&self.data, &copy)?;
                self.copy = Some(copy);
            }
            Some(copy) => {
                fs::remove_dir_all(&self.data)?;
                fs::rename(copy, &self.data)?;
                self.rollbacks += 1;
            }
        }
        Ok(())
    }

    fn statistics(&self) -> Vec<(&'static str, u64)> {
        vec![("rollbacks", self.rollbacks)]
    }
}

/// Mounts the disk of a data directory in the directory with the files of its servers.
fn mount(directory: &Path, settings: DiskSettings) -> io::Result<FaultDisk> {
    let at = directory.join("disk");
    fs::create_dir(&at)?;
    FaultDisk::mount(&at, settings).map_err(io::Error::other)
}

/// The data directory on a mounted disk. Servers create it, so its name must become durable as well.
fn data_on(disk: &FaultDisk) -> PathBuf {
    disk.path().join("data")
}

/// Copies a data directory, which has no subdirectories.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
