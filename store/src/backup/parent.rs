//! The directory that a backup goes into, checked and held open.
//!
//! A link on its path may be changed while the server runs, also between a check and the first write. So the directory
//! is opened, the open directory is checked, and everything is done through it: its path in `/proc` leads to the
//! directory that was opened, whatever its name leads to by then. Owned by the call that makes the backup.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::error::BackupError;
use crate::format;
use crate::paths::{is_inside, resolve};
use crate::restoring::partial_of;

/// What RocksDB appends to the name of a checkpoint until it is whole. It removes what it finds there.
const CHECKPOINT_SUFFIX: &str = ".tmp";

/// The open directory, and the name of the backup in it.
pub(super) struct Parent {
    directory: File,
    /// Where it was when it was opened, for messages.
    real_path: PathBuf,
    name: OsString,
}

impl Parent {
    /// Opens the directory above `target`, made if it is missing.
    ///
    /// # Errors
    /// A backup there would lie in the data directory `data`, or replace it; or the operating system refuses.
    pub(super) fn open(target: &Path, data: &Path) -> Result<Self, BackupError> {
        let name = target.file_name().ok_or_else(|| {
            BackupError::io(target, "find the name of", ErrorKind::InvalidInput.into())
        })?;
        let above = match target.parent() {
            Some(above) if above != Path::new("") => above,
            _ => Path::new("."),
        };
        let real_path = resolve(above).map_err(failed(target, "find the directory of"))?;
        // Nothing is made in the data directory either.
        require_outside(target, &real_path, data)?;
        format::create_directory(&real_path).map_err(failed(target, "make the directory of"))?;
        let directory = File::open(&real_path).map_err(failed(target, "open the directory of"))?;
        let parent = Self {
            directory,
            real_path,
            name: name.to_owned(),
        };
        require_outside(target, &parent.path(), data)?;
        parent.require_partial_apart(target, data)?;
        Ok(parent)
    }

    /// What an earlier backup has left under the names that this one begins with is removed.
    fn require_partial_apart(&self, target: &Path, data: &Path) -> Result<(), BackupError> {
        let partial = self.partial();
        let mut checkpoint = partial.clone().into_os_string();
        checkpoint.push(CHECKPOINT_SUFFIX);
        for partial in [partial, PathBuf::from(checkpoint)] {
            if is_inside(data, &partial).map_err(failed(target, "find what is left of"))? {
                let partial = self.with_real_path(&partial.to_string_lossy());
                return Err(BackupError::OverStore {
                    target: target.to_path_buf(),
                    partial,
                    directory: data.to_path_buf(),
                });
            }
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()))
    }

    /// The backup.
    pub(super) fn target(&self) -> PathBuf {
        self.path().join(&self.name)
    }

    /// The backup until it is whole.
    pub(super) fn partial(&self) -> PathBuf {
        partial_of(&self.target())
    }

    /// Makes durable which names the directory has.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    /// `text` with the path of the directory instead of that in `/proc`.
    pub(super) fn with_real_path(&self, text: &str) -> String {
        let real_path = self.real_path.to_string_lossy();
        text.replace(&*self.path().to_string_lossy(), &real_path)
    }
}

fn require_outside(target: &Path, parent: &Path, data: &Path) -> Result<(), BackupError> {
    if is_inside(parent, data).map_err(failed(target, "find the directory of"))? {
        return Err(BackupError::InsideStore {
            target: target.to_path_buf(),
            directory: data.to_path_buf(),
        });
    }
    Ok(())
}

/// The error of a step that the operating system refused.
pub(super) fn failed(target: &Path, action: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    move |error| BackupError::io(target, action, error)
}
