//! `[store]`: the data directory, and the sizes of its writes and checkpoints.

use std::path::PathBuf;

use serde::Serialize;

use super::file_path;
use super::key::{Key, KeyRow, Optional, Required, Size};
use super::reader::Section;
use super::units::ByteSize;

/// The data directory and its limits. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreConfig {
    /// The data directory.
    pub directory: PathBuf,
    /// Maximum journal bytes of one write and sync.
    pub group_bytes_max: ByteSize,
    /// Journal bytes at which dirty pages are checkpointed and the journal is trimmed.
    pub checkpoint_journal_bytes: ByteSize,
    /// The directory of backups; unset, the server makes none.
    pub backup_directory: Option<PathBuf>,
}

const DIRECTORY: Key<Required<PathBuf>> = Key {
    path: "store.directory",
    kind: Required {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The data directory, created if it is missing. Only one server may use it, and its file system must honour fsync, or acknowledged check-ins can be lost.",
};

const GROUP_BYTES_MAX: Key<Size> = Key {
    path: "store.group_bytes_max",
    kind: Size {
        default: ByteSize::from_mib(8),
        min: ByteSize::from_kib(64),
        max: ByteSize::from_mib(1024),
    },
    meaning: "Maximum bytes of journal in one group (one write and one fsync); a single larger commit is written alone. A larger value increases throughput and the duration of an fsync. Memory: one such write.",
};

const CHECKPOINT_JOURNAL_BYTES: Key<Size> = Key {
    path: "store.checkpoint_journal_bytes",
    kind: Size {
        default: ByteSize::from_mib(256),
        min: ByteSize::from_kib(64),
        max: ByteSize::from_mib(65_536),
    },
    meaning: "Minimum bytes of journal, over all shards, at which a checkpoint writes changed pages and trims the journal. More means fewer page writes, a larger directory and a longer recovery. From about six million devices on, the number of devices decides instead. Durability is the same. Not below `store.group_bytes_max`.",
};

const BACKUP_DIRECTORY: Key<Optional<PathBuf>> = Key {
    path: "store.backup_directory",
    kind: Optional {
        allowed: "a path, relative to the configuration file, outside of `store.directory`",
        parse: file_path,
    },
    meaning: "The directory for the backups of `muster backup`, created if it is missing; the server writes backups nowhere else. Its path is resolved again before each backup. If unset, backups are disabled. On the file system of `store.directory` a backup consists of hard links: it is fast and at first takes no space, but it does not protect against a failure of that disk.",
};

impl StoreConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            DIRECTORY.row(),
            GROUP_BYTES_MAX.row(),
            CHECKPOINT_JOURNAL_BYTES.row(),
            BACKUP_DIRECTORY.row(),
        ]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let base = section.base_directory();
        let directory = section.read_required(&DIRECTORY);
        let config = Self {
            directory: directory.map(|path| base.join(path)).unwrap_or_default(),
            group_bytes_max: section.read(&GROUP_BYTES_MAX),
            checkpoint_journal_bytes: section.read(&CHECKPOINT_JOURNAL_BYTES),
            backup_directory: section.read(&BACKUP_DIRECTORY).map(|path| base.join(path)),
        };
        if config.checkpoint_journal_bytes < config.group_bytes_max {
            let message = format!(
                "\"{}\" is less than store.group_bytes_max, which is \"{}\": every write would checkpoint",
                config.checkpoint_journal_bytes, config.group_bytes_max
            );
            section.note(CHECKPOINT_JOURNAL_BYTES.name(), message);
        }
        section.finish();
        config
    }
}
