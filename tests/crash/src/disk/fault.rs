//! Which operation goes wrong, and how: rules that count matching operations.
//!
//! Owned by a [disk](super::state). Pure. A rule names a kind of operation and a kind of file, lets a number of
//! matching operations pass, and then acts on the next one, or on that and all after it.

use std::ffi::OsStr;

use serde::Serialize;

/// What a program asks of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Cutting or extending a file.
    Resize,
    /// fsync or fdatasync of a file.
    Sync,
    /// fsync of a directory.
    SyncDirectory,
    /// A new file.
    Create,
    /// A name is taken away.
    Unlink,
    /// A name is changed.
    Rename,
}

impl Operation {
    /// All of them.
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

/// What a file of a data directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// A write-ahead log of RocksDB.
    Log,
    /// A table file of RocksDB.
    Table,
    /// The manifest of RocksDB.
    Manifest,
    /// The pointer to the manifest, or what is to become it.
    Current,
    /// Anything else, and directories.
    Other,
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Log,
        Self::Table,
        Self::Manifest,
        Self::Current,
        Self::Other,
    ];

    /// The kind of a file with this name.
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

/// When power is lost, seen from the operation that it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Nothing of it has happened.
    Before,
    /// A write is torn. Anything else: as before.
    During,
    /// All of it has happened, but nobody was told.
    After,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It fails with EIO; nothing of it happens.
    Fail,
    /// It fails with ENOSPC; nothing of it happens.
    Full,
    /// A sync waits until it is [let go](super::ForgetfulDisk::let_go). No other operation can hang.
    Hang,
    /// Power is lost; the seed draws what survives.
    LosePower {
        /// Before, during or after.
        moment: Moment,
        /// Draws what survives.
        seed: u64,
    },
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// On operations of this kind,
    pub operation: Operation,
    /// of files of this kind, or of any,
    pub file: Option<FileKind>,
    /// asked for by threads of this name, or by any. Creating, writing and syncing only: who asks for anything
    /// else is not known, and such a rule never strikes it.
    pub thread: Option<&'static str>,
    /// So many matching operations pass before.
    pub passing: u64,
    /// It strikes once, or from then on every time.
    pub lasting: bool,
    /// What happens.
    pub action: Action,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// One more rule.
    pub(super) fn arm(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// No rules any more.
    pub(super) fn disarm(&mut self) {
        self.rules.clear();
    }

    /// Whether it matters who asks.
    pub(super) fn tells_threads(&self) -> bool {
        self.rules.iter().any(|rule| rule.thread.is_some())
    }

    /// What happens to this operation, if it is not simply done. Counts it.
    pub(super) fn strike(
        &mut self,
        operation: Operation,
        file: FileKind,
        thread: Option<&str>,
    ) -> Option<Action> {
        let mut struck = None;
        self.rules.retain_mut(|rule| {
            let matches = rule.operation == operation
                && rule.file.is_none_or(|own| own == file)
                && (rule.thread.is_none() || rule.thread == thread);
            if !matches || struck.is_some() {
                return true;
            }
            if rule.passing > 0 {
                rule.passing -= 1;
                return true;
            }
            struck = Some(rule.action);
            rule.lasting
        });
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_the_names_of_rocksdb() {
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
    fn a_rule_strikes_after_those_that_pass_once_or_for_good() {
        for lasting in [false, true] {
            let mut faults = Faults::default();
            faults.arm(Rule {
                operation: Operation::Write,
                file: Some(FileKind::Log),
                thread: None,
                passing: 1,
                lasting,
                action: Action::Fail,
            });
            let mut write = |file| faults.strike(Operation::Write, file, Some("anyone"));
            assert_eq!(write(FileKind::Table), None, "another kind of file");
            assert_eq!(write(FileKind::Log), None, "it passes");
            assert_eq!(write(FileKind::Log), Some(Action::Fail));
            assert_eq!(write(FileKind::Log), lasting.then_some(Action::Fail));
            assert_eq!(faults.strike(Operation::Sync, FileKind::Log, None), None);
            faults.disarm();
            assert_eq!(faults.strike(Operation::Write, FileKind::Log, None), None);
        }
    }

    #[test]
    fn a_rule_for_a_thread_lets_others_pass_and_does_not_count_them() {
        let mut faults = Faults::default();
        assert!(!faults.tells_threads());
        faults.arm(Rule {
            operation: Operation::Sync,
            file: None,
            thread: Some("compacts"),
            passing: 1,
            lasting: false,
            action: Action::Fail,
        });
        assert!(faults.tells_threads());
        let mut sync = |thread| faults.strike(Operation::Sync, FileKind::Table, thread);
        for thread in [None, Some("flushes"), Some("compacts"), Some("flushes")] {
            assert_eq!(sync(thread), None, "{thread:?}");
        }
        assert_eq!(sync(Some("compacts")), Some(Action::Fail));
    }
}
