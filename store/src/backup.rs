//! A copy of the whole store at one instant, made while it is written.
//!
//! RocksDB links its table files, which never change, into the copy and copies the end of its log, so on the same file
//! system it costs little time and little space. On another one it copies everything, and files are kept until then.
//! What was acknowledged before the call is in the copy; its ACKNOWLEDGED says so, and an opening compares. The copy is
//! made under another name, synced, and renamed: what has the name asked for is whole. FORMAT comes last, so that
//! nobody takes less for a data directory. The directory it goes into is opened first and stays open: a link that is
//! changed meanwhile leads nothing into the data directory. One caller at a time for each target; the directories are
//! the caller's choice, and nothing here deletes an older backup.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::database::DatabaseError;
use crate::error::BackupError;
use crate::kill_point::kill_point;
use crate::paths::{is_inside, resolve};
use crate::restoring::partial_of;
use crate::store::Store;
use crate::{acknowledged_mark, format};

/// What RocksDB calls a checkpoint that it has begun; it removes what it finds there.
const CHECKPOINT_SUFFIX: &str = ".tmp";

impl Store {
    /// Makes `target`, which must not exist, a data directory with everything that is durable now. What an earlier
    /// call for the same target left unfinished is removed.
    ///
    /// # Errors
    /// The store is poisoned, `target` exists or leads into the data directory, or the disk refuses.
    pub fn backup(&self, target: &Path) -> Result<(), BackupError> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(BackupError::Poisoned(reason.clone()));
        }
        let parent = Parent::open(target, &self.inner.config.directory)?;
        let exists = fs::symlink_metadata(parent.join(parent.name)).map_or_else(
            |error| match error.kind() {
                ErrorKind::NotFound => Ok(false),
                _ => Err(BackupError::io(target, "look at", error)),
            },
            |_| Ok(true),
        )?;
        if exists {
            return Err(BackupError::Exists {
                target: target.to_path_buf(),
            });
        }
        let made = self.backup_into(&parent);
        if made.is_err() {
            // The first error is the one to tell; what cannot be removed is found by the next call.
            let _ = remove(&parent.partial());
        }
        made
    }

    fn backup_into(&self, parent: &Parent<'_>) -> Result<(), BackupError> {
        let on = |action| move |error| BackupError::io(parent.target, action, error);
        let partial = &parent.partial();
        remove(partial).map_err(on("remove what is left of an earlier"))?;
        kill_point("store.backup.before_checkpoint");
        let acknowledged = {
            let _hold = self.inner.trim_gate.hold();
            let checkpoint = self.inner.db.checkpoint(partial);
            checkpoint.map_err(|DatabaseError(what)| BackupError::Database {
                what: parent.spell_out(&what),
            })?
        };
        kill_point("store.backup.after_checkpoint");
        acknowledged_mark::create(partial, acknowledged).map_err(on("write ACKNOWLEDGED of"))?;
        kill_point("store.backup.before_sync");
        sync_all(partial).map_err(on("sync"))?;
        kill_point("store.backup.before_format");
        format::write_whole(partial, self.shards()).map_err(on("write FORMAT of"))?;
        kill_point("store.backup.before_rename");
        fs::rename(partial, parent.join(parent.name)).map_err(on("give its name to"))?;
        kill_point("store.backup.before_directory_sync");
        parent
            .directory
            .sync_all()
            .map_err(on("sync the directory of"))?;
        kill_point("store.backup.after_directory_sync");
        Ok(())
    }
}

/// The directory that a backup goes into, held open, so that it stays the one that was looked at.
struct Parent<'a> {
    target: &'a Path,
    /// The name of the backup in the directory.
    name: &'a OsStr,
    directory: File,
}

impl<'a> Parent<'a> {
    /// Opens the directory of `target`, made if it is missing, unless a backup there would touch the store in `store`.
    fn open(target: &'a Path, store: &Path) -> Result<Self, BackupError> {
        let on = |action| move |error| BackupError::io(target, action, error);
        let name = target
            .file_name()
            .ok_or_else(|| on("find a name for")(ErrorKind::InvalidInput.into()))?;
        let above = target.parent().filter(|above| *above != Path::new(""));
        let above =
            resolve(above.unwrap_or(Path::new("."))).map_err(on("find the directory of"))?;
        // Before anything is made there.
        require_outside(target, &above, store)?;
        format::create_directory(&above).map_err(on("make the directory of"))?;
        let directory = File::open(&above).map_err(on("open the directory of"))?;
        let parent = Self {
            target,
            name,
            directory,
        };
        // A link may have been changed since; what was opened is changed by nobody.
        require_outside(target, &parent.path(), store)?;
        let partial = parent.partial();
        let mut checkpoint = partial.clone().into_os_string();
        checkpoint.push(CHECKPOINT_SUFFIX);
        for begun in [partial, PathBuf::from(checkpoint)] {
            if is_inside(store, &begun).map_err(on("look around"))? {
                return Err(BackupError::OverStore {
                    target: target.to_path_buf(),
                    begun: resolve(&begun).map_err(on("look around"))?,
                    directory: store.to_path_buf(),
                });
            }
        }
        Ok(parent)
    }

    /// Leads to the open directory, whatever its names lead to.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd()))
    }

    fn join(&self, name: &OsStr) -> PathBuf {
        self.path().join(name)
    }

    /// Where the copy is made until it is whole.
    fn partial(&self) -> PathBuf {
        partial_of(&self.join(self.name))
    }

    /// A message of RocksDB with the directory as the operator knows it.
    fn spell_out(&self, message: &str) -> String {
        let above = self.target.parent().unwrap_or(Path::new("."));
        message.replace(
            &*self.path().to_string_lossy(),
            &above.display().to_string(),
        )
    }
}

fn require_outside(target: &Path, parent: &Path, store: &Path) -> Result<(), BackupError> {
    match is_inside(parent, store) {
        Ok(false) => Ok(()),
        Ok(true) => Err(BackupError::InsideStore {
            target: target.to_path_buf(),
            directory: store.to_path_buf(),
        }),
        Err(error) => Err(BackupError::io(target, "find the directory of", error)),
    }
}

fn remove(partial: &Path) -> io::Result<()> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Syncs the files of a directory and the directory. Most are synced already, which costs nothing.
fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}
