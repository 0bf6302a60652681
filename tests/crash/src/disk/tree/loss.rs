//! What a loss of power makes of a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use muster_loadgen::random::Random;

use super::{Body, Inode, ROOT, Tree};
use crate::disk::entry::{Entries, EntryChange, survivors};
use crate::disk::fault::FileKind;
use crate::disk::survival::{self, Style};

/// What a loss of power took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Lost {
    /// Files whose bytes differ from what programs had seen.
    pub files_changed: u64,
    /// Changes of entries that were forgotten.
    pub entries_forgotten: u64,
}

impl Tree {
    /// Power is lost: what was synced stays, of the rest what the draws let survive, and that is durable. Nothing
    /// is open any more. `torn` is a file whose newest write was under way.
    pub(in crate::disk) fn lose(
        &mut self,
        style: Style,
        torn: Option<Inode>,
        random: &mut Random,
    ) -> Lost {
        let mut lost = Lost::default();
        let unsynced: Vec<EntryChange> = self.unsynced.drain(..).collect();
        let survivors = survivors(self.entries, unsynced.len(), style, random);
        for (change, survives) in unsynced.iter().zip(&survivors) {
            if *survives {
                self.apply(change, true);
            }
        }
        lost.entries_forgotten = survivors.iter().filter(|survives| !**survives).count() as u64;
        let entries = self.entries;
        for (inode, node) in &mut self.nodes {
            let style = possible(style, entries, &node.name);
            node.opens = u32::from(*inode == ROOT);
            match &mut node.body {
                Body::Directory { live, durable } => live.clone_from(durable),
                Body::File(content) => {
                    let survival = if torn == Some(*inode) {
                        survival::torn_newest(content, random)
                    } else {
                        survival::of_content(style, content, random)
                    };
                    lost.files_changed += u64::from(content.lose(&survival));
                }
            }
        }
        self.keep_reachable();
        lost
    }

    /// After a loss only what can be found from the root is there; names follow the entries.
    fn keep_reachable(&mut self) {
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

/// What can become of the bytes of a file. With a journal of metadata (ext4 in its default mode, XFS) a length is
/// written after the bytes below it, so appends are lost from the end and leave no holes. Without one anything
/// goes, but for a manifest: RocksDB refuses one whose last record has a hole, and Muster says so and stops. That is
/// clear but not repaired, and it would end every run; docs/reference/STORAGE.md names it.
fn possible(style: Style, entries: Entries, name: &OsStr) -> Style {
    let has_holes = matches!(style, Style::Sectors | Style::Bytes | Style::Mixed);
    let is_whole = entries == Entries::Ordered || FileKind::of(name) == FileKind::Manifest;
    if has_holes && is_whole {
        Style::Tail
    } else {
        style
    }
}
