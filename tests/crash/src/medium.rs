//! What a data directory lies on, and what that does when a server dies.
//!
//! The loop kills processes; a medium adds what happens to the bytes. [`Plain`] is the file system as it
//! is, which keeps everything that a killed process had written. A disk that loses power plugs in here:
//! [`Medium::cut`] is the moment from which nothing arrives any more, [`Medium::settle`] brings back
//! what had been synced. [`Rollback`] is a medium that lies, to show that the checks can fail.

mod failing;
mod forgetful;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::disk::{DiskSettings, ForgetfulDisk};

pub use failing::{Failing, Fault};
pub use forgetful::Forgetful;

/// What data directories lie on. One at a time is in use.
pub trait Medium: Send {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Makes an empty data directory for the servers of `folder`, which belongs to it alone; returns its
    /// path. `seed` is that of the directory.
    ///
    /// # Errors
    /// If it cannot be made.
    fn prepare(&mut self, folder: &Path, seed: u64) -> io::Result<PathBuf>;

    /// A server has just been started on it: cycle `cycle` of the directory.
    fn started(&mut self, _cycle: u64) {}

    /// Becomes true when nothing arrives any more: after [`Medium::cut`], or because the medium gives out by
    /// itself while a server runs. `None` of a medium that never does.
    fn lost(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// The medium goes bad in the way that it has in store.
    fn fail(&mut self) {}

    /// Whether somebody waits for it without an answer.
    fn is_stuck(&self) -> bool {
        false
    }

    /// Nothing goes wrong any more, and who waited gets an answer.
    fn heal(&mut self) {}

    /// The server is about to be killed: what it does from here on must have no effect. Not called
    /// before an end that the server chooses itself.
    fn cut(&mut self) {}

    /// The server is gone, however it went, and nobody has looked yet.
    ///
    /// # Errors
    /// If the directory cannot be brought back.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The directory is no longer needed; the folder is removed next.
    ///
    /// # Errors
    /// If it cannot be given up.
    fn release(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether a loss of power would leave what can be read now: a file system that loses none keeps all.
    fn is_durable(&self) -> bool {
        true
    }

    /// What it did, in numbers for the report.
    fn notes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Whether a medium has given out.
pub fn is_lost(medium: &dyn Medium) -> bool {
    medium.lost().is_some_and(|lost| *lost.borrow())
}

/// The file system as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Medium for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn prepare(&mut self, folder: &Path, _seed: u64) -> io::Result<PathBuf> {
        let data = folder.join("data");
        fs::create_dir(&data)?;
        Ok(data)
    }
}

/// Brings back an older state once: whatever was acknowledged since is lost. For `--sabotage`.
#[derive(Debug, Clone, Default)]
pub struct Rollback {
    data: PathBuf,
    copy: Option<PathBuf>,
    rolled_back: u64,
}

impl Medium for Rollback {
    fn name(&self) -> &'static str {
        "sabotage"
    }

    fn prepare(&mut self, folder: &Path, seed: u64) -> io::Result<PathBuf> {
        self.copy = None;
        self.data = Plain.prepare(folder, seed)?;
        Ok(self.data.clone())
    }

    fn settle(&mut self) -> io::Result<()> {
        match self.copy.take() {
            None => {
                let copy = self.data.with_file_name("older");
                copy_files(&self.data, &copy)?;
                self.copy = Some(copy);
            }
            Some(copy) => {
                fs::remove_dir_all(&self.data)?;
                fs::rename(copy, &self.data)?;
                self.rolled_back += 1;
            }
        }
        Ok(())
    }

    fn notes(&self) -> Vec<(&'static str, u64)> {
        vec![("rolled_back", self.rolled_back)]
    }
}

/// Mounts the disk of a data directory's own, in the folder of its servers.
fn mount(folder: &Path, settings: DiskSettings) -> io::Result<ForgetfulDisk> {
    let at = folder.join("disk");
    fs::create_dir(&at)?;
    ForgetfulDisk::mount(&at, settings).map_err(io::Error::other)
}

/// Where servers make their data directory on such a disk, so that its name must last as well.
fn data_on(disk: &ForgetfulDisk) -> PathBuf {
    disk.path().join("data")
}

/// A data directory has no folders in it.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
