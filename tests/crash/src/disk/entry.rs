//! Changes of entries: how one is kept until a sync, and which survive a loss of power.
//!
//! Owned by a [tree](super::tree). Pure. A change goes by the inode as well as by the name, so that any selection
//! of changes makes sense on any image of a directory.

use std::ffi::{OsStr, OsString};

use muster_loadgen::random::Random;

use super::survival::Style;
use super::tree::Inode;

/// When changes of entries become durable, and in which order they are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Entries {
    /// What POSIX promises and no more: with a sync of their directory, else in any order or never.
    Strict,
    /// As with a journal of metadata (ext4, XFS): with any sync of anything later, and in order. The length of a
    /// file never runs ahead of its bytes.
    Ordered,
}

/// One change of entries since a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryChange {
    Add {
        to: Place,
        inode: Inode,
    },
    Remove {
        from: Place,
        inode: Inode,
    },
    Move {
        from: Place,
        to: Place,
        inode: Inode,
    },
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: Inode,
    pub(super) name: OsString,
}

impl Place {
    pub(super) fn new(directory: Inode, name: &OsStr) -> Self {
        Self {
            directory,
            name: name.to_owned(),
        }
    }
}

impl EntryChange {
    pub(super) fn directories(&self) -> impl Iterator<Item = Inode> {
        let (one, other) = match self {
            Self::Add { to: place, .. } | Self::Remove { from: place, .. } => (place, None),
            Self::Move { from, to, .. } => (from, Some(to)),
        };
        [Some(one), other]
            .into_iter()
            .flatten()
            .map(|place| place.directory)
    }

    pub(super) const fn inode(&self) -> Inode {
        match self {
            Self::Add { inode, .. } | Self::Remove { inode, .. } | Self::Move { inode, .. } => {
                *inode
            }
        }
    }
}

/// Which of so many changes of entries survive.
pub(super) fn survivors(
    entries: Entries,
    changes: usize,
    style: Style,
    random: &mut Random,
) -> Vec<bool> {
    let kept = match style {
        Style::Everything => 0,
        Style::Nothing => changes,
        _ => random.below(changes as u64 + 1) as usize,
    };
    let out_of_order = entries == Entries::Strict
        && matches!(style, Style::Sectors | Style::Mixed)
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
