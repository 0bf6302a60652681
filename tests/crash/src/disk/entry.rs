//! Unsynced changes of directory entries, and which of them survive a power loss.
//!
//! Owned by a [tree](super::tree). Pure. A change has inode and name, so that any subset of changes can be applied
//! to any version of a directory.

use std::ffi::{OsStr, OsString};

use muster_testkit::random::Random;

use super::survival::LossMode;
use super::tree::Inode;

/// When changes of directory entries become durable, and in which order they are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryDurability {
    /// As POSIX requires: only with a sync of their directory; without one, any of them may be lost.
    Strict,
    /// As with a metadata journal (ext4, XFS): with any later sync, in order. The length of a file never covers bytes
    /// that were not written.
    Ordered,
}

/// A change of directory entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryChange {
    Add {
        to: EntryKey,
        inode: Inode,
    },
    Remove {
        from: EntryKey,
        inode: Inode,
    },
    Move {
        from: EntryKey,
        to: EntryKey,
        inode: Inode,
    },
}

/// The key of a directory entry: its directory and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryKey {
    pub(super) directory: Inode,
    pub(super) name: OsString,
}

impl EntryKey {
    pub(super) fn new(directory: Inode, name: &OsStr) -> Self {
        Self {
            directory,
            name: name.to_owned(),
        }
    }
}

impl EntryChange {
    /// The directories that it changes.
    pub(super) fn directories(&self) -> impl Iterator<Item = Inode> {
        let (first, second) = match self {
            Self::Add { to: key, .. } | Self::Remove { from: key, .. } => (key, None),
            Self::Move { from, to, .. } => (from, Some(to)),
        };
        [Some(first), second]
            .into_iter()
            .flatten()
            .map(|key| key.directory)
    }

    pub(super) const fn inode(&self) -> Inode {
        match self {
            Self::Add { inode, .. } | Self::Remove { inode, .. } | Self::Move { inode, .. } => {
                *inode
            }
        }
    }
}

/// For each of `changes` changes whether it survives.
pub(super) fn survivors(
    durability: EntryDurability,
    changes: usize,
    mode: LossMode,
    random: &mut Random,
) -> Vec<bool> {
    let kept = match mode {
        LossMode::Everything => 0,
        LossMode::Nothing => changes,
        _ => random.below(changes as u64 + 1) as usize,
    };
    let out_of_order = durability == EntryDurability::Strict
        && matches!(mode, LossMode::Sectors | LossMode::Mixed)
        && random.per_mille(500);
    (0..changes)
        .map(|number| {
            if out_of_order {
                random.per_mille(500)
            } else {
                number < kept
            }
        })
        .collect()
}
