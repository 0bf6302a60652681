//! The parent directory of a backup, checked and held open.
//!
//! A symbolic link in its path may change while the server runs, even between the check and the first write. So the
//! directory is opened, the open directory is checked, and all operations go through its path in `/proc/self/fd`, which
//! always resolves to the directory that was opened. Owner: the call that makes the backup.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::error::BackupError;
use crate::format;
use crate::paths::{is_inside, resolve};
use crate::restoring::partial_of;

/// The suffix of an incomplete RocksDB checkpoint. RocksDB removes an existing directory with that name.
const CHECKPOINT_SUFFIX: &str = ".tmp";

/// The open directory, and the name of the backup in it.
pub(super) struct Parent {
    directory: File,
    /// Its path when it was opened, for messages.
    real_path: PathBuf,
    name: OsString,
}

impl Parent {
    /// Opens the parent directory of `target`, which is created if it is missing.
    ///
    /// # Errors
    /// The backup would be inside the data directory `data`, or would replace it; or the operating system returned an
    /// error.
    pub(super) fn open(target: &Path, data: &Path) -> Result<Self, BackupError> {
        let name = target.file_name().ok_or_else(|| {
            BackupError::io(target, "get the name of", ErrorKind::InvalidInput.into())
        })?;
        let path = match target.parent() {
            Some(path) if path != Path::new("") => path,
            _ => Path::new("."),
        };
        let real_path = resolve(path).map_err(cannot("resolve the parent directory of", target))?;
        // Checked first, so that no directory is created in the data directory.
        require_outside(target, &real_path, data)?;
        format::create_directory(&real_path)
            .map_err(cannot("create the parent directory of", target))?;
        let directory =
            File::open(&real_path).map_err(cannot("open the parent directory of", target))?;
        let parent = Self {
            directory,
            real_path,
            name: name.to_owned(),
        };
        require_outside(target, &parent.path(), data)?;
        parent.require_partial_outside(target, data)?;
        Ok(parent)
    }

    /// Ensures that the temporary paths of the backup are not the data directory or a parent of it: a backup first
    /// removes whatever an earlier one left there.
    fn require_partial_outside(&self, target: &Path, data: &Path) -> Result<(), BackupError> {
        let partial = self.partial();
        let mut checkpoint = partial.clone().into_os_string();
        checkpoint.push(CHECKPOINT_SUFFIX);
        for partial in [partial, PathBuf::from(checkpoint)] {
            if is_inside(data, &partial).map_err(cannot("resolve the temporary path of", target))? {
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

    /// The path of the backup.
    pub(super) fn target(&self) -> PathBuf {
        self.path().join(&self.name)
    }

    /// The temporary path of the backup until it is complete.
    pub(super) fn partial(&self) -> PathBuf {
        partial_of(&self.target())
    }

    /// Makes the directory entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    /// `text` with the real path of the directory instead of that in `/proc`.
    pub(super) fn with_real_path(&self, text: &str) -> String {
        let real_path = self.real_path.to_string_lossy();
        text.replace(&*self.path().to_string_lossy(), &real_path)
    }
}

fn require_outside(target: &Path, parent: &Path, data: &Path) -> Result<(), BackupError> {
    if is_inside(parent, data).map_err(cannot("resolve the parent directory of", target))? {
        return Err(BackupError::InsideStore {
            target: target.to_path_buf(),
            directory: data.to_path_buf(),
        });
    }
    Ok(())
}

/// Converts an error of the operating system to "cannot {action} backup {target}".
pub(super) fn cannot(action: &'static str, target: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |error| BackupError::io(target, action, error)
}
