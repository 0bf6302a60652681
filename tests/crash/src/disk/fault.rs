//! Fault rules: which operation of the disk fails, and how.
//!
//! Owned by a [disk](super::state). Pure. A rule matches a kind of operation and a kind of file, skips a number of
//! matching operations, and acts on the next one, or on all later ones.

use std::ffi::OsStr;

use serde::Serialize;

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Truncating or extending a file.
    Resize,
    /// fsync or fdatasync of a file.
    Sync,
    /// fsync of a directory.
    SyncDirectory,
    /// Creating a file, a directory or a hard link.
    Create,
    /// Removing a name.
    Unlink,
    /// Renaming a file or directory.
    Rename,
}

impl Operation {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Resize,
        Self::Sync,
        Self::SyncDirectory,
        Self::Create,
        Self::Unlink,
        Self::Rename,
    ];
}

/// The kind of a file in a data directory, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// A write-ahead log of RocksDB.
    Log,
    /// A table file of RocksDB.
    Table,
    /// The manifest of RocksDB.
    Manifest,
    /// The pointer to the manifest, or a temporary file that is renamed to it.
    Current,
    /// Any other file, and directories.
    Other,
}

impl FileKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Log,
        Self::Table,
        Self::Manifest,
        Self::Current,
        Self::Other,
    ];

    /// The kind of the file with this name.
    pub(super) fn of(name: &OsStr) -> Self {
        let Some(name) = name.to_str() else {
            return Self::Other;
        };
        match name.rsplit_once('.') {
            Some((_, "log")) => Self::Log,
            Some((_, "sst")) => Self::Table,
            // RocksDB writes CURRENT and its options as temporary files and renames them.
            Some((_, "dbtmp")) => Self::Current,
            _ if name == "CURRENT" => Self::Current,
            _ if name.starts_with("MANIFEST-") => Self::Manifest,
            _ => Self::Other,
        }
    }
}

/// When power is lost, relative to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Timing {
    /// The operation has no effect.
    Before,
    /// A write is torn; any other operation has no effect.
    During,
    /// The operation takes effect but returns an error.
    After,
}

/// The action of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// The operation fails with EIO and has no effect.
    Fail,
    /// The operation fails with ENOSPC and has no effect.
    Full,
    /// A sync hangs until [`resume_syncs`](super::FaultDisk::resume_syncs). No other operation can hang.
    Hang,
    /// The disk loses power.
    LosePower {
        /// Before, during or after the operation.
        timing: Timing,
        /// Seed of what survives.
        seed: u64,
    },
}

/// A fault rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The kind of operation that it matches.
    pub operation: Operation,
    /// The kind of file that it matches; any if none.
    pub file: Option<FileKind>,
    /// The name of the thread that it matches; any if none. Only create, write and sync requests carry a thread, so a
    /// rule with a name never matches other operations.
    pub thread: Option<&'static str>,
    /// How many matching operations it skips.
    pub skip: u64,
    /// Whether it acts on all later matching operations or only on the first.
    pub persistent: bool,
    /// Its action.
    pub action: Action,
}

/// The armed rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// Adds a rule.
    pub(super) fn arm(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Removes all rules.
    pub(super) fn disarm(&mut self) {
        self.rules.clear();
    }

    /// Whether a rule matches threads by name.
    pub(super) fn needs_thread_names(&self) -> bool {
        self.rules.iter().any(|rule| rule.thread.is_some())
    }

    /// The action of the first rule that acts on this operation, if any. Rules that skip it count it.
    pub(super) fn next_action(
        &mut self,
        operation: Operation,
        file: FileKind,
        thread: Option<&str>,
    ) -> Option<Action> {
        let mut action = None;
        self.rules.retain_mut(|rule| {
            let matches = rule.operation == operation
                && rule.file.is_none_or(|kind| kind == file)
                && (rule.thread.is_none() || rule.thread == thread);
            if !matches || action.is_some() {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            action = Some(rule.action);
            rule.persistent
        });
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_determines_its_kind() {
        for (name, kind) in [
            ("000012.log", FileKind::Log),
            ("000013.sst", FileKind::Table),
            ("MANIFEST-000005", FileKind::Manifest),
            ("CURRENT", FileKind::Current),
            ("000005.dbtmp", FileKind::Current),
            ("LOG", FileKind::Other),
            ("FORMAT", FileKind::Other),
        ] {
            assert_eq!(FileKind::of(OsStr::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn a_rule_acts_after_skipped_operations_once_or_persistently() {
        for persistent in [false, true] {
            let mut faults = Faults::default();
            faults.arm(Rule {
                operation: Operation::Write,
                file: Some(FileKind::Log),
                thread: None,
                skip: 1,
                persistent,
                action: Action::Fail,
            });
            let mut write = |file| faults.next_action(Operation::Write, file, Some("anyone"));
            assert_eq!(write(FileKind::Table), None, "another kind of file");
            assert_eq!(write(FileKind::Log), None, "it is skipped");
            assert_eq!(write(FileKind::Log), Some(Action::Fail));
            assert_eq!(write(FileKind::Log), persistent.then_some(Action::Fail));
            assert_eq!(
                faults.next_action(Operation::Sync, FileKind::Log, None),
                None
            );
            faults.disarm();
            assert_eq!(
                faults.next_action(Operation::Write, FileKind::Log, None),
                None
            );
        }
    }

    #[test]
    fn a_rule_for_a_thread_ignores_other_threads() {
        let mut faults = Faults::default();
        assert!(!faults.needs_thread_names());
        faults.arm(Rule {
            operation: Operation::Sync,
            file: None,
            thread: Some("compacts"),
            skip: 1,
            persistent: false,
            action: Action::Fail,
        });
        assert!(faults.needs_thread_names());
        let mut sync = |thread| faults.next_action(Operation::Sync, FileKind::Table, thread);
        for thread in [None, Some("flushes"), Some("compacts"), Some("flushes")] {
            assert_eq!(sync(thread), None, "{thread:?}");
        }
        assert_eq!(sync(Some("compacts")), Some(Action::Fail));
    }
}
