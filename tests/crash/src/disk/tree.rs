//! Files and directories: the live ones that programs see, the durable ones, and the unsynced changes of entries in
//! between.
//!
//! Owned by a [disk](super::state). Pure. A power loss loses unsynced entries like unsynced bytes: a file whose
//! name is not durable is lost even if the file was synced, unless entries are [`EntryDurability::Ordered`].
//! Bounded by [`UNSYNCED_ENTRIES_MAX`] for changes of entries, and by the capacity of the disk for bytes.
//! Permissions, times, symbolic links and special files are not supported.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};

use super::content::Content;
use super::entry::{EntryChange, EntryDurability, EntryKey};
use super::error::DiskError;

pub use loss::Lost;

/// Number of a file or directory; never reused.
pub(super) type Inode = u64;

/// The root directory.
pub(super) const ROOT: Inode = 1;

/// Maximum number of unsynced changes of entries; when the list is full the oldest is written back.
const UNSYNCED_ENTRIES_MAX: usize = 4096;

/// A file or a directory.
#[derive(Clone, Debug)]
struct Node {
    /// Its latest name, which fault rules match.
    name: OsString,
    body: Body,
    /// Number of open handles.
    handles: u32,
}

#[derive(Clone, Debug)]
enum Body {
    File(Content),
    Directory { live: Names, durable: Names },
}

type Names = BTreeMap<OsString, Inode>;

/// One of the two versions of the entries of a directory.
#[derive(Clone, Copy, Debug)]
enum Version {
    Live,
    Durable,
}

/// The attributes of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    /// The file or directory.
    pub(super) inode: Inode,
    /// Size of a file; 0 for a directory.
    pub(super) len: u64,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    /// Number of names (the link count); 0 for an unlinked file that is open.
    pub(super) names: u32,
}

/// All files and directories of a disk.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Inode, Node>,
    next: Inode,
    entries: EntryDurability,
    unsynced: VecDeque<EntryChange>,
}

impl Tree {
    /// An empty root directory.
    pub(super) fn new(entries: EntryDurability) -> Self {
        let root = Node {
            name: OsString::new(),
            body: Body::Directory {
                live: Names::new(),
                durable: Names::new(),
            },
            handles: 1,
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            entries,
            unsynced: VecDeque::new(),
        }
    }

    /// Size of all files.
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

    /// The attributes of a file or directory.
    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, DiskError> {
        let node = self.nodes.get(&inode).ok_or(DiskError::Stale)?;
        let (len, is_directory) = match &node.body {
            Body::File(content) => (content.len(), false),
            Body::Directory { .. } => (0, true),
        };
        Ok(Attributes {
            inode,
            len,
            is_directory,
            names: self.count_names(inode),
        })
    }

    /// The number of names of a file or directory.
    fn count_names(&self, inode: Inode) -> u32 {
        let names = self.nodes.values().map(|node| match &node.body {
            Body::Directory { live, .. } => live.values().filter(|named| **named == inode).count(),
            Body::File(_) => 0,
        });
        u32::try_from(names.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Looks up a name in a directory.
    pub(super) fn lookup(&self, directory: Inode, name: &OsStr) -> Result<Inode, DiskError> {
        let found = self.names(directory)?.get(name);
        found.copied().ok_or(DiskError::NotFound)
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, directory: Inode) -> Result<&Names, DiskError> {
        match &self.nodes.get(&directory).ok_or(DiskError::Stale)?.body {
            Body::Directory { live, .. } => Ok(live),
            Body::File(_) => Err(DiskError::NotADirectory),
        }
    }

    /// The bytes of a file.
    pub(super) fn content(&self, inode: Inode) -> Result<&Content, DiskError> {
        match &self.nodes.get(&inode).ok_or(DiskError::Stale)?.body {
            Body::File(content) => Ok(content),
            Body::Directory { .. } => Err(DiskError::IsADirectory),
        }
    }

    /// The bytes of a file, mutable.
    pub(super) fn content_mut(&mut self, inode: Inode) -> Result<&mut Content, DiskError> {
        match &mut self.nodes.get_mut(&inode).ok_or(DiskError::Stale)?.body {
            Body::File(content) => Ok(content),
            Body::Directory { .. } => Err(DiskError::IsADirectory),
        }
    }

    /// Opens a handle.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), DiskError> {
        self.nodes.get_mut(&inode).ok_or(DiskError::Stale)?.handles += 1;
        Ok(())
    }

    /// Closes a handle. A file without names and handles is removed.
    pub(super) fn release(&mut self, inode: Inode) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.handles = node.handles.saturating_sub(1);
        }
        self.remove_unused();
    }

    /// Creates an empty file or directory.
    pub(super) fn create(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<Inode, DiskError> {
        if self.names(directory)?.contains_key(name) {
            return Err(DiskError::AlreadyExists);
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
            handles: 0,
        };
        self.nodes.insert(inode, node);
        self.change(EntryChange::Add {
            to: EntryKey::new(directory, name),
            inode,
        });
        Ok(inode)
    }

    /// Adds a name to a file.
    pub(super) fn link(
        &mut self,
        inode: Inode,
        directory: Inode,
        name: &OsStr,
    ) -> Result<(), DiskError> {
        self.content(inode)?;
        if self.names(directory)?.contains_key(name) {
            return Err(DiskError::AlreadyExists);
        }
        self.change(EntryChange::Add {
            to: EntryKey::new(directory, name),
            inode,
        });
        Ok(())
    }

    /// Removes a name. A directory must be empty.
    pub(super) fn remove(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<(), DiskError> {
        let inode = self.lookup(directory, name)?;
        match (self.attributes(inode)?.is_directory, is_directory) {
            (true, false) => return Err(DiskError::IsADirectory),
            (false, true) => return Err(DiskError::NotADirectory),
            (true, true) if !self.names(inode)?.is_empty() => {
                return Err(DiskError::DirectoryNotEmpty);
            }
            _ => {}
        }
        self.change(EntryChange::Remove {
            from: EntryKey::new(directory, name),
            inode,
        });
        self.remove_unused();
        Ok(())
    }

    /// Renames a file or directory atomically; replaces an existing target.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        may_replace: bool,
    ) -> Result<(), DiskError> {
        let inode = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Ok(same) if same == inode => return Ok(()),
            Ok(_) if !may_replace => return Err(DiskError::AlreadyExists),
            Ok(other) => {
                let (moved, replaced) = (self.attributes(inode)?, self.attributes(other)?);
                match (moved.is_directory, replaced.is_directory) {
                    (false, true) => return Err(DiskError::IsADirectory),
                    (true, false) => return Err(DiskError::NotADirectory),
                    (true, true) if !self.names(other)?.is_empty() => {
                        return Err(DiskError::DirectoryNotEmpty);
                    }
                    _ => {}
                }
            }
            Err(DiskError::NotFound) => {}
            Err(error) => return Err(error),
        }
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.name = to.1.to_owned();
        }
        self.change(EntryChange::Move {
            from: EntryKey::new(from.0, from.1),
            to: EntryKey::new(to.0, to.1),
            inode,
        });
        self.remove_unused();
        Ok(())
    }

    /// Makes a file durable, and with [`EntryDurability::Ordered`] all earlier changes of entries.
    pub(super) fn sync_file(&mut self, inode: Inode) -> Result<(), DiskError> {
        self.content_mut(inode)?.sync();
        if self.entries == EntryDurability::Ordered {
            self.sync_entries(|_| true);
        }
        Ok(())
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync_directory(&mut self, directory: Inode) -> Result<(), DiskError> {
        self.names(directory)?;
        if self.entries == EntryDurability::Ordered {
            self.sync_entries(|_| true);
            return Ok(());
        }
        // A move between two directories is atomic, so earlier changes in the other directory become durable with it.
        let mut directories = BTreeSet::from([directory]);
        for change in self.unsynced.iter().rev() {
            if change
                .directories()
                .any(|other| directories.contains(&other))
            {
                directories.extend(change.directories());
            }
        }
        self.sync_entries(|change| {
            change
                .directories()
                .any(|other| directories.contains(&other))
        });
        Ok(())
    }

    fn sync_entries(&mut self, mut which: impl FnMut(&EntryChange) -> bool) {
        let changes = std::mem::take(&mut self.unsynced);
        for change in changes {
            if which(&change) {
                self.apply(&change, Version::Durable);
            } else {
                self.unsynced.push_back(change);
            }
        }
        self.remove_unused();
    }

    fn change(&mut self, change: EntryChange) {
        if self.unsynced.len() >= UNSYNCED_ENTRIES_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            self.apply(&oldest, Version::Durable);
        }
        self.apply(&change, Version::Live);
        self.unsynced.push_back(change);
    }

    fn apply(&mut self, change: &EntryChange, version: Version) {
        match change {
            EntryChange::Add { to, inode } => self.insert_entry(to, *inode, version),
            EntryChange::Remove { from, inode } => self.remove_entry(from, *inode, version),
            EntryChange::Move { from, to, inode } => {
                self.remove_entry(from, *inode, version);
                self.insert_entry(to, *inode, version);
            }
        }
    }

    fn insert_entry(&mut self, key: &EntryKey, inode: Inode, version: Version) {
        if let Some(names) = self.entries_mut(key.directory, version) {
            names.insert(key.name.clone(), inode);
        }
    }

    fn remove_entry(&mut self, key: &EntryKey, inode: Inode, version: Version) {
        if let Some(names) = self.entries_mut(key.directory, version)
            && names.get(&key.name) == Some(&inode)
        {
            names.remove(&key.name);
        }
    }

    fn entries_mut(&mut self, directory: Inode, version: Version) -> Option<&mut Names> {
        match &mut self.nodes.get_mut(&directory)?.body {
            Body::Directory { live, durable } => Some(match version {
                Version::Live => live,
                Version::Durable => durable,
            }),
            Body::File(_) => None,
        }
    }

    /// Removes files and directories without handles that neither a name nor an unsynced change refers to.
    fn remove_unused(&mut self) {
        let mut used: BTreeSet<Inode> = self.unsynced.iter().map(EntryChange::inode).collect();
        for node in self.nodes.values() {
            if let Body::Directory { live, durable } = &node.body {
                used.extend(live.values().chain(durable.values()));
            }
        }
        self.nodes
            .retain(|inode, node| node.handles > 0 || used.contains(inode));
    }
}

mod loss;
#[cfg(test)]
mod tests;
