//! Online backup: a consistent copy of the whole store, made while it is written.
//!
//! RocksDB hard-links its immutable table files into the copy and copies the tail of its log, so a backup on the same
//! file system takes little time and space. On another file system it copies every file, and trimmed files stay until
//! then. The copy contains everything acknowledged before the call; its file ACKNOWLEDGED records how far, and opening
//! verifies that. The copy is made under a temporary name, synced, then renamed, so a directory with the final name is
//! complete. FORMAT is written last, so that an incomplete copy is not taken for a data directory.
//!
//! A copy is never made inside the data directory, even through symbolic links (`parent`). One caller at a time per
//! target. The caller chooses the directories; no older backup is deleted.

mod parent;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::database::DatabaseError;
use crate::error::BackupError;
use crate::kill_point::kill_point;
use crate::store::Store;
use crate::{acknowledged_mark, format};

use parent::{Parent, cannot};

impl Store {
    /// Backs up the store to `target`, a directory that must not exist. Removes the incomplete copy that an earlier
    /// call for the same target left.
    ///
    /// # Errors
    /// The store is poisoned, `target` exists or is inside the data directory, or the operating system returned an
    /// error.
    pub fn backup(&self, target: &Path) -> Result<(), BackupError> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(BackupError::Poisoned(reason.clone()));
        }
        let parent = Parent::open(target, &self.inner.config.directory)?;
        let exists = fs::symlink_metadata(parent.target()).map_or_else(
            |error| match error.kind() {
                ErrorKind::NotFound => Ok(false),
                _ => Err(BackupError::io(target, "inspect", error)),
            },
            |_| Ok(true),
        )?;
        if exists {
            return Err(BackupError::Exists {
                target: target.to_path_buf(),
            });
        }
        let result = self.backup_into(&parent, target);
        if result.is_err() {
            // The first error is the one to report. The next call removes what this one cannot.
            let _ = remove(&parent.partial());
        }
        result
    }

    fn backup_into(&self, parent: &Parent, target: &Path) -> Result<(), BackupError> {
        let partial = &parent.partial();
        remove(partial).map_err(cannot("remove an incomplete copy of", target))?;
        kill_point("store.backup.before_checkpoint");
        let acknowledged = {
            let _guard = self.inner.trim_gate.block();
            let checkpoint = self.inner.db.checkpoint(partial);
            checkpoint.map_err(|DatabaseError(what)| BackupError::Database {
                what: parent.with_real_path(&what),
            })?
        };
        kill_point("store.backup.after_checkpoint");
        acknowledged_mark::create(partial, acknowledged)
            .map_err(cannot("write ACKNOWLEDGED of", target))?;
        kill_point("store.backup.before_sync");
        sync_all(partial).map_err(cannot("sync", target))?;
        kill_point("store.backup.before_format");
        format::write_whole(partial, self.shards()).map_err(cannot("write FORMAT of", target))?;
        kill_point("store.backup.before_rename");
        fs::rename(partial, parent.target()).map_err(cannot("rename", target))?;
        kill_point("store.backup.before_directory_sync");
        parent
            .sync()
            .map_err(cannot("sync the parent directory of", target))?;
        kill_point("store.backup.after_directory_sync");
        Ok(())
    }
}

fn remove(partial: &Path) -> io::Result<()> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Syncs the files of a directory and the directory. Most files are synced already, so that is cheap.
fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}
