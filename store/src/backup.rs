//! A copy of the whole store at one instant, made while it is written.
//!
//! RocksDB links its table files, which never change, into the copy and copies the end of its log, so on the same file
//! system it costs little time and little space. On another one it copies everything, and files are kept until then.
//! What was acknowledged before the call is in the copy; its ACKNOWLEDGED says so, and an opening compares. The copy is
//! made under another name, synced, and renamed: what has the name asked for is whole. FORMAT comes last, so that
//! nobody takes less for a data directory. It never lies in the data directory, whatever its path (`parent`). One
//! caller at a time for each target; the directories are the caller's choice, and nothing here deletes an older backup.

mod parent;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::database::DatabaseError;
use crate::error::BackupError;
use crate::kill_point::kill_point;
use crate::store::Store;
use crate::{acknowledged_mark, format};

use parent::{Parent, failed};

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
        let exists = fs::symlink_metadata(parent.target()).map_or_else(
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
        let made = self.backup_into(&parent, target);
        if made.is_err() {
            // The first error is the one to tell; what cannot be removed is found by the next call.
            let _ = remove(&parent.partial());
        }
        made
    }

    fn backup_into(&self, parent: &Parent, target: &Path) -> Result<(), BackupError> {
        let partial = &parent.partial();
        remove(partial).map_err(failed(target, "remove what is left of an earlier"))?;
        kill_point("store.backup.before_checkpoint");
        let acknowledged = {
            let _hold = self.inner.trim_gate.hold();
            let checkpoint = self.inner.db.checkpoint(partial);
            checkpoint.map_err(|DatabaseError(what)| BackupError::Database {
                what: parent.with_real_path(&what),
            })?
        };
        kill_point("store.backup.after_checkpoint");
        acknowledged_mark::create(partial, acknowledged)
            .map_err(failed(target, "write ACKNOWLEDGED of"))?;
        kill_point("store.backup.before_sync");
        sync_all(partial).map_err(failed(target, "sync"))?;
        kill_point("store.backup.before_format");
        format::write_whole(partial, self.shards()).map_err(failed(target, "write FORMAT of"))?;
        kill_point("store.backup.before_rename");
        fs::rename(partial, parent.target()).map_err(failed(target, "give its name to"))?;
        kill_point("store.backup.before_directory_sync");
        parent
            .sync()
            .map_err(failed(target, "sync the directory of"))?;
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

/// Syncs the files of a directory and the directory. Most are synced already, which costs nothing.
fn sync_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}
