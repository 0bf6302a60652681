//! Files and directories: as programs see them, as the platter has them, and the changes of entries in between.
//!
//! Owned by a [disk](super::state). Pure. An entry that was not synced is forgotten like a byte that was not:
//! a file whose name never became durable is gone, however often the file itself was synced, unless the tree is
//! [`Entries::Ordered`]. Bounded by [`UNSYNCED_ENTRIES_MAX`] for changes of entries, and by the capacity of the
//! disk for bytes. No permissions, times, symbolic links or special files: nobody here needs them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};

use super::content::Content;
use super::entry::{Entries, EntryChange, Place};
use super::refusal::Refusal;

pub use loss::Lost;

/// Number of a file or directory; never given twice.
pub(super) type Inode = u64;

/// The directory that everything is below.
pub(super) const ROOT: Inode = 1;

/// Changes of entries since a sync; the oldest is written back before one more is taken.
const UNSYNCED_ENTRIES_MAX: usize = 4096;

/// A file or a directory.
#[derive(Clone, Debug)]
struct Node {
    /// Its latest name, for faults that go by names.
    name: OsString,
    body: Body,
    /// How often it is open now.
    opens: u32,
}

#[derive(Clone, Debug)]
enum Body {
    File(Content),
    Directory { live: Names, durable: Names },
}

type Names = BTreeMap<OsString, Inode>;

/// What a file or directory is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Which.
    pub(super) inode: Inode,
    /// Bytes of a file, 0 of a directory.
    pub(super) len: u64,
    /// What it is.
    pub(super) directory: bool,
    /// Names of a file; none if it is only open. Programs decide by it whether a file is still somebody's.
    pub(super) names: u32,
}

/// All files and directories of a disk.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
    entries: Entries,
    unsynced: VecDeque<EntryChange>,
}

impl Tree {
    /// An empty root directory.
    pub(super) fn new(entries: Entries) -> Self {
        let root = Node {
            name: OsString::new(),
            body: Body::Directory {
                live: Names::new(),
                durable: Names::new(),
            },
            opens: 1,
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            entries,
            unsynced: VecDeque::new(),
        }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let lens = self.nodes.values().map(|node| match &node.body {
            Body::File(content) => content.len(),
            Body::Directory { .. } => 0,
        });
        lens.sum()
    }

    /// The latest name of a file.
    pub(super) fn name(&self, inode: Inode) -> Option<&OsStr> {
        self.nodes.get(&inode).map(|node| node.name.as_os_str())
    }

    /// What it is like.
    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, Refusal> {
        let node = self.nodes.get(&inode).ok_or(Refusal::Stale)?;
        let (len, directory) = match &node.body {
            Body::File(content) => (content.len(), false),
            Body::Directory { .. } => (0, true),
        };
        Ok(Attributes {
            inode,
            len,
            directory,
            names: self.names_of(inode),
        })
    }

    /// How many names it has.
    fn names_of(&self, inode: Inode) -> u32 {
        let names = self.nodes.values().map(|node| match &node.body {
            Body::Directory { live, .. } => live.values().filter(|named| **named == inode).count(),
            Body::File(_) => 0,
        });
        u32::try_from(names.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Who has a name in a directory.
    pub(super) fn lookup(&self, directory: Inode, name: &OsStr) -> Result<Inode, Refusal> {
        let found = self.names(directory)?.get(name);
        found.copied().ok_or(Refusal::NoEntry)
    }

    /// All names of a directory, sorted.
    pub(super) fn names(&self, directory: Inode) -> Result<&Names, Refusal> {
        match &self.nodes.get(&directory).ok_or(Refusal::Stale)?.body {
            Body::Directory { live, .. } => Ok(live),
            Body::File(_) => Err(Refusal::NotDirectory),
        }
    }

    /// The bytes of a file.
    pub(super) fn content(&self, inode: Inode) -> Result<&Content, Refusal> {
        match &self.nodes.get(&inode).ok_or(Refusal::Stale)?.body {
            Body::File(content) => Ok(content),
            Body::Directory { .. } => Err(Refusal::IsDirectory),
        }
    }

    /// The bytes of a file, to change them.
    pub(super) fn content_mut(&mut self, inode: Inode) -> Result<&mut Content, Refusal> {
        match &mut self.nodes.get_mut(&inode).ok_or(Refusal::Stale)?.body {
            Body::File(content) => Ok(content),
            Body::Directory { .. } => Err(Refusal::IsDirectory),
        }
    }

    /// One more handle on it.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), Refusal> {
        self.nodes.get_mut(&inode).ok_or(Refusal::Stale)?.opens += 1;
        Ok(())
    }

    /// One handle less. A file without name and handle goes.
    pub(super) fn release(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.opens = node.opens.saturating_sub(1);
        }
        self.collect();
    }

    /// A new empty file, or directory.
    pub(super) fn create(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<Inode, Refusal> {
        if self.names(directory)?.contains_key(name) {
            return Err(Refusal::Exists);
        }
        let inode = self.next;
        self.next += 1;
        let body = if is_directory {
            Body::Directory {
                live: Names::new(),
                durable: Names::new(),
            }
        } else {
            Body::File(Content::default())
        };
        let node = Node {
            name: name.to_owned(),
            body,
            opens: 0,
        };
        self.nodes.insert(inode, node);
        self.change(EntryChange::Add {
            to: Place::new(directory, name),
            inode,
        });
        Ok(inode)
    }

    /// One more name of a file.
    pub(super) fn link(
        &mut self,
        inode: Inode,
        directory: Inode,
        name: &OsStr,
    ) -> Result<(), Refusal> {
        self.content(inode)?;
        if self.names(directory)?.contains_key(name) {
            return Err(Refusal::Exists);
        }
        self.change(EntryChange::Add {
            to: Place::new(directory, name),
            inode,
        });
        Ok(())
    }

    /// Takes a name away. A directory must be empty.
    pub(super) fn remove(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<(), Refusal> {
        let inode = self.lookup(directory, name)?;
        match (self.attributes(inode)?.directory, is_directory) {
            (true, false) => return Err(Refusal::IsDirectory),
            (false, true) => return Err(Refusal::NotDirectory),
            (true, true) if !self.names(inode)?.is_empty() => return Err(Refusal::NotEmpty),
            _ => {}
        }
        self.change(EntryChange::Remove {
            from: Place::new(directory, name),
            inode,
        });
        self.collect();
        Ok(())
    }

    /// Gives another name, in one step; who had that name loses it.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        may_replace: bool,
    ) -> Result<(), Refusal> {
        let inode = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Ok(same) if same == inode => return Ok(()),
            Ok(_) if !may_replace => return Err(Refusal::Exists),
            Ok(other) => {
                let (moved, replaced) = (self.attributes(inode)?, self.attributes(other)?);
                match (moved.directory, replaced.directory) {
                    (false, true) => return Err(Refusal::IsDirectory),
                    (true, false) => return Err(Refusal::NotDirectory),
                    (true, true) if !self.names(other)?.is_empty() => {
                        return Err(Refusal::NotEmpty);
                    }
                    _ => {}
                }
            }
            Err(Refusal::NoEntry) => {}
            Err(refusal) => return Err(refusal),
        }
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.name = to.1.to_owned();
        }
        self.change(EntryChange::Move {
            from: Place::new(from.0, from.1),
            to: Place::new(to.0, to.1),
            inode,
        });
        self.collect();
        Ok(())
    }

    /// Makes a file durable, and with [`Entries::Ordered`] every earlier change of entries.
    pub(super) fn sync_file(&mut self, inode: Inode) -> Result<(), Refusal> {
        self.content_mut(inode)?.sync();
        if self.entries == Entries::Ordered {
            self.sync_entries(|_| true);
        }
        Ok(())
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync_directory(&mut self, directory: Inode) -> Result<(), Refusal> {
        self.names(directory)?;
        if self.entries == Entries::Ordered {
            self.sync_entries(|_| true);
            return Ok(());
        }
        // A move between two directories is one step, so it takes along what came before it in the other.
        let mut wanted = BTreeSet::from([directory]);
        for change in self.unsynced.iter().rev() {
            if change.directories().any(|own| wanted.contains(&own)) {
                wanted.extend(change.directories());
            }
        }
        self.sync_entries(|change| change.directories().any(|own| wanted.contains(&own)));
        Ok(())
    }

    fn sync_entries(&mut self, mut which: impl FnMut(&EntryChange) -> bool) {
        let changes = std::mem::take(&mut self.unsynced);
        for change in changes {
            if which(&change) {
                self.apply(&change, true);
            } else {
                self.unsynced.push_back(change);
            }
        }
        self.collect();
    }

    fn change(&mut self, change: EntryChange) {
        if self.unsynced.len() >= UNSYNCED_ENTRIES_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            self.apply(&oldest, true);
        }
        self.apply(&change, false);
        self.unsynced.push_back(change);
    }

    fn apply(&mut self, change: &EntryChange, durable: bool) {
        match change {
            EntryChange::Add { to, inode } => self.put(to, *inode, durable),
            EntryChange::Remove { from, inode } => self.take(from, *inode, durable),
            EntryChange::Move { from, to, inode } => {
                self.take(from, *inode, durable);
                self.put(to, *inode, durable);
            }
        }
    }

    fn put(&mut self, place: &Place, inode: Inode, durable: bool) {
        if let Some(names) = self.image(place.directory, durable) {
            names.insert(place.name.clone(), inode);
        }
    }

    fn take(&mut self, place: &Place, inode: Inode, durable: bool) {
        if let Some(names) = self.image(place.directory, durable)
            && names.get(&place.name) == Some(&inode)
        {
            names.remove(&place.name);
        }
    }

    fn image(&mut self, directory: Inode, of_platter: bool) -> Option<&mut Names> {
        match &mut self.nodes.get_mut(&directory)?.body {
            Body::Directory { live, durable } => Some(if of_platter { durable } else { live }),
            Body::File(_) => None,
        }
    }

    /// Forgets what has no name, no handle, and no part in a change that may still be lost.
    fn collect(&mut self) {
        let mut used: BTreeSet<Inode> = self.unsynced.iter().map(EntryChange::inode).collect();
        for node in self.nodes.values() {
            if let Body::Directory { live, durable } = &node.body {
                used.extend(live.values().chain(durable.values()));
            }
        }
        self.nodes
            .retain(|inode, node| node.opens > 0 || used.contains(inode));
    }
}

mod loss;
#[cfg(test)]
mod tests;
