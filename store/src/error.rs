//! What can go wrong, by operation: opening, reading, writing.
//!
//! Each message says what is wrong, where, and for [`OpenError`] what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use muster_engine::Revision;

use crate::health::PoisonReason;
use crate::keyspace::Keyspace;

/// Why a data directory was refused. Nothing that was acknowledged is changed by a refusal.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open. The operator stops that one or names another directory.
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
        "data directory {} has format {found}, this program reads format {supported}: run the version of \
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
    /// The directory holds something else. The operator names an empty or missing one.
    #[error(
        "{} is not a data directory of Muster ({what}): use an empty or missing directory",
        directory.display()
    )]
    NotADataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What was found or missed.
        what: String,
    },
    /// Bytes are not what was written. The operator restores a copy; Muster does not guess.
    #[error(
        "data directory {} is corrupt: {what}: restore it from a copy; nothing was repaired",
        directory.display()
    )]
    Corrupt {
        /// The data directory.
        directory: PathBuf,
        /// What is damaged, with file or key.
        what: String,
    },
    /// The log ends before what was acknowledged: a part of it was cut off. The operator restores a backup.
    #[error(
        "data directory {} has lost what was acknowledged: its log ends at write {reached}{damage}, write \
         {acknowledged} was acknowledged (file ACKNOWLEDGED): restore it from a backup; nothing was changed",
        directory.display()
    )]
    AcknowledgedMissing {
        /// The data directory.
        directory: PathBuf,
        /// RocksDB's sequence number of the last write that is there.
        reached: u64,
        /// What RocksDB found there, in parentheses; empty if the log just ends.
        damage: String,
        /// The same of the last write that was acknowledged for certain.
        acknowledged: u64,
    },
    /// A restore was cut short, or is at work. The operator lets it end, or orders it again.
    #[error(
        "{} was being restored and is not whole (file RESTORING): run the same muster restore again, or remove it",
        directory.display()
    )]
    Restoring {
        /// The directory that is not whole.
        directory: PathBuf,
    },
    /// Devices are spread over a fixed number of shards. The operator sets the number of the directory.
    #[error(
        "data directory {} has {} shards, the configuration says {configured}: set the \
         number of shards to {}, it cannot change",
        directory.display(), found, found
    )]
    ShardCountDiffers {
        /// The data directory.
        directory: PathBuf,
        /// Number of shards in the directory.
        found: u16,
        /// Number of shards asked for.
        configured: u16,
    },
    /// A new directory needs a number of shards of 1 or more. The operator sets it.
    #[error("data directory {} is new: set a number of shards of 1 or more", directory.display())]
    ShardCountMissing {
        /// The data directory.
        directory: PathBuf,
    },
    /// The operating system refused. The operator reads the cause (permission, disk full, ...).
    #[error("data directory {}: {action}: {source}", directory.display())]
    Io {
        /// The data directory.
        directory: PathBuf,
        /// What was being done.
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

    /// RocksDB tells its errors apart by the beginning of a text only.
    pub(crate) fn database(directory: &Path, error: &rocksdb::Error) -> Self {
        let text = error.as_ref();
        let io = error.kind() == rocksdb::ErrorKind::IOError;
        // Our own lock on FORMAT was free, so this is another tool of RocksDB.
        let locked = text.contains("temporarily unavailable") && text.contains("While lock file");
        if io && (locked || text.contains("lock hold by current process")) {
            return Self::InUse {
                directory: directory.to_path_buf(),
            };
        }
        // A file that the manifest names and that is gone is damage, not a fault of the disk.
        if io && !text.contains("No such file") {
            return Self::io(directory, "open RocksDB", io::Error::other(text.to_owned()));
        }
        Self::corrupt(directory, text)
    }

    pub(crate) fn read(directory: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Corrupt { .. } => Self::corrupt(directory, error.to_string()),
            ReadError::Io { what } => Self::io(directory, "read", io::Error::other(what)),
        }
    }
}

/// Why a read failed. Reads go on after a failed read, and after the store is poisoned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Bytes are not what was written: the operator restores a copy.
    #[error("{keyspace}: {what}")]
    Corrupt {
        /// Column family.
        keyspace: &'static str,
        /// What is wrong, with the key.
        what: String,
    },
    /// The disk or RocksDB refused: the operator reads the cause.
    #[error("reading failed: {what}")]
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

/// Why a control object (tenant, policy set) was not written, or the store not flushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An earlier write failed. The operator restarts the server; recovery reads what is durable.
    #[error("the store refuses writes: {0}")]
    Poisoned(PoisonReason),
    /// What had to be read first could not be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// 65,536 tenants exist; an index is never given twice.
    #[error("no tenant can be added: all 65536 indexes are taken")]
    TenantLimit,
    /// A policy revision never changes once written, since the journal names it.
    #[error("policy revision {revision} exists with other content: use a new revision")]
    PolicyRevisionTaken {
        /// The revision.
        revision: Revision,
    },
}

/// Why no backup was made. What was begun of it is removed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An earlier write failed, so what is on disk is not known. The operator restarts the server.
    #[error("the store is poisoned: {0}")]
    Poisoned(PoisonReason),
    /// Something has the name already, and nothing is overwritten. The operator names another.
    #[error("{} exists: name another directory", target.display())]
    Exists {
        /// The directory that was asked for.
        target: PathBuf,
    },
    /// A data directory holds nothing but its store. The operator makes backups elsewhere.
    #[error(
        "backup {} would lie in the data directory {}: set store.backup_directory to a directory outside of it",
        target.display(), directory.display()
    )]
    InsideStore {
        /// The directory that was asked for.
        target: PathBuf,
        /// The data directory.
        directory: PathBuf,
    },
    /// The copy has another name until it is whole, and the data directory has that name. The operator gives the
    /// backup another.
    #[error(
        "backup {} would be made in {partial}, which is or contains the data directory {}: give the backup another name",
        target.display(), directory.display()
    )]
    OverStore {
        /// The directory that was asked for.
        target: PathBuf,
        /// The path of the copy until it is whole.
        partial: String,
        /// The data directory.
        directory: PathBuf,
    },
    /// RocksDB could not copy itself. The operator reads the cause.
    #[error("RocksDB made no checkpoint: {what}")]
    Database {
        /// The cause.
        what: String,
    },
    /// The operating system refused. The operator reads the cause (permission, disk full, ...).
    #[error("cannot {action} backup {}: {source}", target.display())]
    Io {
        /// The directory that was asked for.
        target: PathBuf,
        /// What was being done.
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

/// Why a directory is not there for a restore. Nothing in it was touched.
#[derive(Debug, thiserror::Error)]
pub enum RestoringError {
    /// Something is there that no restore has put there. The operator removes it or names another directory.
    #[error("{} is there already and not empty: remove it, or use a missing directory", directory.display())]
    Occupied {
        /// What is there.
        directory: PathBuf,
    },
    /// Another process restores into it. The operator lets that one end.
    #[error("{} is being restored by another process: let that one end", directory.display())]
    AtWork {
        /// Where it works.
        directory: PathBuf,
    },
    /// The operating system refused. The operator reads the cause.
    #[error("cannot {action} {}: {source}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What was being done.
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

    pub(crate) fn at_work(directory: &Path) -> Self {
        Self::AtWork {
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
