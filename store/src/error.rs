//! Error types, one per operation: open, read, write, backup, restore.
//!
//! Each message names the defect and its location; those of [`OpenError`] also say what to do. Plain values: nothing is
//! logged or retried here.

use std::io;
use std::path::{Path, PathBuf};

use muster_engine::Revision;

use crate::health::PoisonReason;
use crate::keyspace::Keyspace;

/// Why a data directory was not opened. Acknowledged data is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open. The operator stops that process or uses another directory.
    #[error(
        "data directory {} is in use by another process: stop that process or use another directory",
        directory.display()
    )]
    InUse {
        /// The data directory.
        directory: PathBuf,
    },
    /// Written by another version of Muster. The operator runs that version.
    #[error(
        "data directory {} has format {found}, but this program reads format {supported}: run the version of \
         Muster that wrote it",
        directory.display()
    )]
    OtherFormat {
        /// The data directory.
        directory: PathBuf,
        /// Format version in the directory.
        found: u32,
        /// Format version that this program reads.
        supported: u32,
    },
    /// The directory has no store. The operator names the right directory.
    #[error("{} does not exist", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory contains other files. The operator names another directory.
    #[error(
        "{} is not a data directory of Muster ({what}): use another directory; a new one must be empty or missing",
        directory.display()
    )]
    NotADataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What the directory contains or lacks.
        what: String,
    },
    /// Stored data is damaged. The operator restores a backup; Muster does not repair.
    #[error(
        "data directory {} is corrupt: {what}: restore it from a backup; nothing was repaired",
        directory.display()
    )]
    Corrupt {
        /// The data directory.
        directory: PathBuf,
        /// The damage, with file or key.
        what: String,
    },
    /// The log ends before the last acknowledged write. The operator restores a backup.
    #[error(
        "data directory {} has lost acknowledged data: its log ends at write {reached}{damage}, but write \
         {acknowledged} was acknowledged (file ACKNOWLEDGED): restore it from a backup; nothing was changed",
        directory.display()
    )]
    AcknowledgedMissing {
        /// The data directory.
        directory: PathBuf,
        /// RocksDB's sequence number of the last write in the log.
        reached: u64,
        /// The damage that RocksDB reported, in parentheses; empty if there is none.
        damage: String,
        /// RocksDB's sequence number of the last write known to be acknowledged.
        acknowledged: u64,
    },
    /// A restore was interrupted or is running. The operator waits for it or runs it again.
    #[error(
        "{} is an incomplete restore (file RESTORING): run the same muster restore again, or remove the directory",
        directory.display()
    )]
    Restoring {
        /// The incomplete directory.
        directory: PathBuf,
    },
    /// Another version divides the devices differently. The operator runs the version that wrote the directory.
    #[error(
        "data directory {} has {found} shards, and this version of Muster has {expected}: run the version that wrote it",
        directory.display()
    )]
    ShardCountDiffers {
        /// The data directory.
        directory: PathBuf,
        /// Number of shards in the directory.
        found: u16,
        /// Number of shards of this version.
        expected: u16,
    },
    /// The operating system reported an error. The operator reads the cause (permission, disk full, ...).
    #[error("data directory {}: cannot {action}: {source}", directory.display())]
    Io {
        /// The data directory.
        directory: PathBuf,
        /// The operation that failed.
        action: String,
        /// The cause.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(directory: &Path, action: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            directory: directory.to_path_buf(),
            action: action.into(),
            source,
        }
    }

    pub(crate) fn corrupt(directory: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt {
            directory: directory.to_path_buf(),
            what: what.into(),
        }
    }

    /// Classifies an error of RocksDB by its text, because RocksDB exposes no finer kinds.
    pub(crate) fn database(directory: &Path, error: &rocksdb::Error) -> Self {
        let text = error.as_ref();
        let io = error.kind() == rocksdb::ErrorKind::IOError;
        // We hold the lock on FORMAT, so another RocksDB tool has the directory open.
        let locked = text.contains("temporarily unavailable") && text.contains("While lock file");
        if io && (locked || text.contains("lock hold by current process")) {
            return Self::InUse {
                directory: directory.to_path_buf(),
            };
        }
        // A file that the manifest names and that is missing is damage, not an IO error.
        if io && !text.contains("No such file") {
            return Self::io(directory, "open RocksDB", io::Error::other(text.to_owned()));
        }
        Self::corrupt(directory, text)
    }

    pub(crate) fn read(directory: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Corrupt { .. } => Self::corrupt(directory, error.to_string()),
            ReadError::Io { what } => Self::io(directory, "read it", io::Error::other(what)),
        }
    }
}

/// Why a read failed. Other reads still work, even on a poisoned store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Stored data is damaged. The operator restores a backup.
    #[error("{keyspace}: {what}")]
    Corrupt {
        /// Column family.
        keyspace: &'static str,
        /// The damage, with the key.
        what: String,
    },
    /// The disk or RocksDB reported an error. The operator reads the cause.
    #[error("read failed: {what}")]
    Io {
        /// The cause.
        what: String,
    },
}

impl ReadError {
    pub(crate) fn corrupt(keyspace: Keyspace, what: impl Into<String>) -> Self {
        Self::Corrupt {
            keyspace: keyspace.name(),
            what: what.into(),
        }
    }

    pub(crate) fn database(keyspace: Keyspace, error: &rocksdb::Error) -> Self {
        match error.kind() {
            rocksdb::ErrorKind::IOError if !error.as_ref().contains("No such file") => Self::Io {
                what: format!("{}: {}", keyspace.name(), error.as_ref()),
            },
            _ => Self::corrupt(keyspace, error.as_ref()),
        }
    }
}

/// Why a control object (entry, policy set) was not written, or the store was not flushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An earlier write failed. The operator restarts the server, which recovers the durable state.
    #[error("the store refuses writes: {0}")]
    Poisoned(PoisonReason),
    /// A read before the write failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A policy revision is immutable once written, because the journal refers to it.
    #[error("policy revision {revision} exists with different content: use a new revision")]
    PolicyRevisionTaken {
        /// The revision.
        revision: Revision,
    },
    /// The control log has no gap. The caller decides again, on the state of the latest revision.
    #[error("revision {revision} cannot be appended after revision {latest}")]
    NotTheNextRevision {
        /// The revision.
        revision: Revision,
        /// The latest one.
        latest: Revision,
    },
}

/// Why no backup was made. The incomplete copy is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An earlier write failed, so the durable state is unknown. The operator restarts the server.
    #[error("the store is poisoned: {0}")]
    Poisoned(PoisonReason),
    /// The target exists, and nothing is overwritten. The operator names another directory.
    #[error("{} already exists: use another directory", target.display())]
    Exists {
        /// The target directory.
        target: PathBuf,
    },
    /// A data directory contains only its store. The operator backs up to another directory.
    #[error(
        "backup {} would be inside the data directory {}: set store.backup_directory to a directory outside it",
        target.display(), directory.display()
    )]
    InsideStore {
        /// The requested directory.
        target: PathBuf,
        /// The data directory.
        directory: PathBuf,
    },
    /// The temporary name of the copy is that of the data directory. The operator gives the backup another name.
    #[error(
        "backup {} would be made in {partial}, which is or contains the data directory {}: give the backup another name",
        target.display(), directory.display()
    )]
    OverStore {
        /// The requested directory.
        target: PathBuf,
        /// The temporary path of the copy.
        partial: String,
        /// The data directory.
        directory: PathBuf,
    },
    /// RocksDB could not create its checkpoint. The operator reads the cause.
    #[error("cannot create a RocksDB checkpoint: {what}")]
    Database {
        /// The cause.
        what: String,
    },
    /// The operating system reported an error. The operator reads the cause (permission, disk full, ...).
    #[error("cannot {action} backup {}: {source}", target.display())]
    Io {
        /// The target directory.
        target: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl BackupError {
    pub(crate) fn io(target: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            target: target.to_path_buf(),
            action,
            source,
        }
    }
}

/// Why a directory cannot be used for a restore. Its contents are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RestoringError {
    /// It contains files that no restore created. The operator removes them or names another directory.
    #[error("{} exists and is not empty: remove it or use another directory", directory.display())]
    Occupied {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process is restoring into it. The operator waits for that process.
    #[error("{} is being restored by another process: wait for it to finish", directory.display())]
    InProgress {
        /// The directory.
        directory: PathBuf,
    },
    /// The operating system reported an error. The operator reads the cause.
    #[error("cannot {action} {}: {source}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// The operation that failed.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl RestoringError {
    pub(crate) fn occupied(directory: &Path) -> Self {
        Self::Occupied {
            directory: directory.to_path_buf(),
        }
    }

    pub(crate) fn in_progress(directory: &Path) -> Self {
        Self::InProgress {
            directory: directory.to_path_buf(),
        }
    }

    pub(crate) fn io(directory: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            directory: directory.to_path_buf(),
            action,
            source,
        }
    }
}
