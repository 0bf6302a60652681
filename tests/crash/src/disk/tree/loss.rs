//! The effect of a power loss on a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use muster_testkit::random::Random;

use super::{Body, Inode, ROOT, Tree, Version};
use crate::disk::entry::{EntryChange, EntryDurability, survivors};
use crate::disk::fault::FileKind;
use crate::disk::survival::{self, LossMode};

/// What a power loss has lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// Files whose bytes have changed.
    pub files_changed: u64,
    /// Changes of entries that are lost.
    pub entries_lost: u64,
}

impl Tree {
    /// Loses the unsynced changes that do not survive, and closes all handles. The newest write of the file `torn`
    /// is torn.
    pub(in crate::disk) fn lose_power(
        &mut self,
        mode: LossMode,
        torn: Option<Inode>,
        random: &mut Random,
    ) -> Lost {
        let mut lost = Lost::default();
        let unsynced: Vec<EntryChange> = self.unsynced.drain(..).collect();
        let survivors = survivors(self.entries, unsynced.len(), mode, random);
        for (change, survives) in unsynced.iter().zip(&survivors) {
            if *survives {
                self.apply(change, Version::Durable);
            }
        }
        lost.entries_lost = survivors.iter().filter(|survives| !**survives).count() as u64;
        let entries = self.entries;
        for (inode, node) in &mut self.nodes {
            let mode = mode_of_file(mode, entries, &node.name);
            node.handles = u32::from(*inode == ROOT);
            match &mut node.body {
                Body::Directory { live, durable } => live.clone_from(durable),
                Body::File(content) => {
                    let survival = if torn == Some(*inode) {
                        survival::torn_newest(content, random)
                    } else {
                        survival::sample(mode, content, random)
                    };
                    lost.files_changed += u64::from(content.lose_power(&survival));
                }
            }
        }
        self.remove_unreachable();
        lost
    }

    /// Removes files and directories that cannot be reached from the root, and sets the names of the others.
    fn remove_unreachable(&mut self) {
        let mut found = BTreeMap::from([(ROOT, OsString::new())]);
        let mut directories = vec![ROOT];
        while let Some(directory) = directories.pop() {
            let Ok(names) = self.names(directory) else {
                continue;
            };
            for (name, inode) in names {
                if found.insert(*inode, name.clone()).is_none() {
                    directories.push(*inode);
                }
            }
        }
        self.nodes.retain(|inode, node| {
            let name = found.remove(inode);
            if let Some(name) = &name {
                node.name.clone_from(name);
            }
            name.is_some()
        });
    }
}

/// The mode for the bytes of one file. With a metadata journal (ext4 in its default mode, XFS) the length is
/// written after the bytes below it, so appends are lost from the end and leave no holes. Without one every mode is
/// possible, but a manifest never gets a hole: RocksDB refuses one whose last record has a hole, so Muster refuses
/// to start, which would end every run. docs/reference/STORAGE.md documents that limitation.
fn mode_of_file(mode: LossMode, entries: EntryDurability, name: &OsStr) -> LossMode {
    let leaves_holes = matches!(mode, LossMode::Sectors | LossMode::Bytes | LossMode::Mixed);
    let allows_holes =
        entries == EntryDurability::Strict && FileKind::of(name) != FileKind::Manifest;
    if leaves_holes && !allows_holes {
        LossMode::Tail
    } else {
        mode
    }
}
