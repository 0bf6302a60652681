//! The disk as a state machine: operations in, results out, faults and losses of power in between.
//!
//! Owned by whoever mounts it, behind one lock; [`super::file_system`] is its face to the kernel. Pure: no IO, no
//! clock, no threads, so that a seed and a list of operations are a run. Bounded by its capacity.
//!
//! After a loss of power every operation fails until power is on again. So a program that was running sees
//! nothing succeed that did not last, and can promise nothing to anybody.

use std::ffi::OsStr;

use muster_loadgen::random::Random;
use serde::Serialize;

use super::counts::Counts;
use super::entry::Entries;
use super::fault::{Action, Faults, FileKind, Moment, Operation, Rule};
use super::refusal::Refusal;
use super::survival;
use super::tree::{Attributes, Inode, Lost, ROOT, Tree};

/// What a disk is like.
#[derive(Clone, Copy, Debug)]
pub struct DiskSettings {
    /// How entries of directories become durable.
    pub entries: Entries,
    /// Bytes that all files may have together.
    pub capacity_bytes: u64,
    /// Syncs succeed and make nothing durable: a disk that lies. Only to see that lies are found out.
    pub syncs_lie: bool,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            entries: Entries::Strict,
            capacity_bytes: CAPACITY_BYTES,
            syncs_lie: false,
        }
    }
}

/// All of it may be in memory twice, so this bounds what a runaway program can take.
const CAPACITY_BYTES: u64 = 4 << 30;

/// A loss of power, for a report.
#[derive(Clone, Debug, Serialize)]
pub struct PowerLoss {
    /// The operation that it struck, and its file; none if it came between operations.
    pub at: Option<(Operation, FileKind, Moment)>,
    /// What it took.
    #[serde(flatten)]
    pub lost: Lost,
}

/// How an operation goes on.
enum Way {
    Done,
    Hangs,
    LosesPower { moment: Moment, seed: u64 },
}

/// A disk in memory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    tree: Tree,
    faults: Faults,
    settings: DiskSettings,
    counts: Counts,
    /// The name of the thread that asks for the operation at hand, if it is known.
    thread: Option<String>,
    /// The loss that nobody has recovered from yet.
    loss: Option<PowerLoss>,
}

/// A sync that is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// It is durable.
    Done,
    /// It hangs; it ends with [`Disk::finish_sync`].
    Hanging,
}

impl Disk {
    /// An empty disk.
    pub(super) fn new(settings: DiskSettings) -> Self {
        Self {
            tree: Tree::new(settings.entries),
            faults: Faults::default(),
            settings,
            counts: Counts::default(),
            thread: None,
            loss: None,
        }
    }

    /// The loss of power that the disk is in.
    pub(super) const fn loss(&self) -> Option<&PowerLoss> {
        self.loss.as_ref()
    }

    /// Operations so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of all files, and how many there may be.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.tree.bytes(), self.settings.capacity_bytes)
    }

    /// Changes how many bytes there may be.
    pub(super) const fn set_capacity(&mut self, bytes: u64) {
        self.settings.capacity_bytes = bytes;
    }

    /// One more thing that goes wrong.
    pub(super) fn arm(&mut self, rule: Rule) {
        self.faults.arm(rule);
    }

    /// Whether it matters who asks for an operation: then [`Self::asked_by`] is to be told before.
    pub(super) fn tells_threads(&self) -> bool {
        self.faults.tells_threads()
    }

    /// The name of the thread that asks for what comes next, if it is known.
    pub(super) fn asked_by(&mut self, thread: Option<String>) {
        self.thread = thread;
    }

    /// Nothing goes wrong any more.
    pub(super) fn disarm(&mut self) {
        self.faults.disarm();
    }

    /// Power is lost between two operations; the seed draws what survives. Lost power is not lost again.
    pub(super) fn lose_power(&mut self, seed: u64) {
        self.lose(None, None, seed);
    }

    /// What survived is there again, and nothing goes wrong any more.
    pub(super) fn power_on(&mut self) {
        self.loss = None;
        self.faults.disarm();
    }

    fn lose(&mut self, at: Option<(Operation, FileKind, Moment)>, torn: Option<Inode>, seed: u64) {
        if self.loss.is_none() {
            let mut random = Random::new(seed, 0);
            let style = survival::style(&mut random);
            let lost = self.tree.lose(style, torn, &mut random);
            self.loss = Some(PowerLoss { at, lost });
        }
    }

    fn powered(&self) -> Result<(), Refusal> {
        match self.loss {
            None => Ok(()),
            Some(_) => Err(Refusal::InputOutput),
        }
    }

    fn kind(&self, inode: Inode) -> FileKind {
        self.tree.name(inode).map_or(FileKind::Other, FileKind::of)
    }

    /// Counts an operation and looks whether a fault strikes it.
    fn begin(&mut self, operation: Operation, file: FileKind) -> Result<Way, Refusal> {
        self.powered()?;
        self.counts.note(operation, file);
        match self.faults.strike(operation, file, self.thread.as_deref()) {
            Some(Action::Fail) => Err(Refusal::InputOutput),
            Some(Action::Full) => Err(Refusal::NoSpace),
            Some(Action::LosePower { moment, seed }) => Ok(Way::LosesPower { moment, seed }),
            Some(Action::Hang) => Ok(Way::Hangs),
            None => Ok(Way::Done),
        }
    }

    /// Does one operation, or what a fault leaves of it. `writes` is the file whose newest change it makes.
    fn perform<T>(
        &mut self,
        operation: Operation,
        file: FileKind,
        writes: Option<Inode>,
        act: impl FnOnce(&mut Tree) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Way::LosesPower { moment, seed } = self.begin(operation, file)? else {
            return act(&mut self.tree);
        };
        let torn = writes.filter(|_| moment == Moment::During);
        if moment == Moment::After || torn.is_some() {
            // Refused or not: the program is not told any more.
            let _ = act(&mut self.tree);
        }
        self.lose(Some((operation, file, moment)), torn, seed);
        Err(Refusal::InputOutput)
    }

    /// What a file or directory is like.
    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, Refusal> {
        // A mounted disk without power still has its root, or nobody could see that it is mounted.
        if inode != ROOT {
            self.powered()?;
        }
        self.tree.attributes(inode)
    }

    /// Who has a name in a directory.
    pub(super) fn lookup(&self, directory: Inode, name: &OsStr) -> Result<Attributes, Refusal> {
        self.powered()?;
        self.tree.attributes(self.tree.lookup(directory, name)?)
    }

    /// The names of a directory.
    pub(super) fn names(
        &self,
        directory: Inode,
    ) -> Result<impl Iterator<Item = (&OsStr, Inode)>, Refusal> {
        self.powered()?;
        let names = self.tree.names(directory)?;
        Ok(names.iter().map(|(name, inode)| (name.as_os_str(), *inode)))
    }

    /// One more handle.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), Refusal> {
        self.powered()?;
        self.tree.open(inode)
    }

    /// One handle less.
    pub(super) fn release(&mut self, inode: Inode) {
        self.tree.release(inode);
    }

    /// Bytes of a file.
    pub(super) fn read(&mut self, inode: Inode, offset: u64, len: usize) -> Result<&[u8], Refusal> {
        let kind = self.kind(inode);
        self.perform(Operation::Read, kind, None, |_| Ok(()))?;
        Ok(self.tree.content(inode)?.read(offset, len))
    }

    /// Writes as many of the bytes as fit, and says how many.
    pub(super) fn write(
        &mut self,
        inode: Inode,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, Refusal> {
        self.powered()?;
        let room = self.room_for(inode, offset, bytes.len())?;
        let bytes = &bytes[..room];
        let kind = self.kind(inode);
        self.perform(Operation::Write, kind, Some(inode), |tree| {
            tree.content_mut(inode)?.write(offset, bytes);
            Ok(bytes.len())
        })
    }

    /// How many of `len` bytes at `offset` fit; a full disk refuses the first one that does not.
    fn room_for(&self, inode: Inode, offset: u64, len: usize) -> Result<usize, Refusal> {
        let own = self.tree.content(inode)?.len();
        let free = self
            .settings
            .capacity_bytes
            .saturating_sub(self.tree.bytes());
        let end_max = own.max(own.saturating_add(free));
        let fits = end_max.saturating_sub(offset).min(len as u64);
        if fits == 0 && len > 0 {
            return Err(Refusal::NoSpace);
        }
        Ok(usize::try_from(fits).unwrap_or(len))
    }

    /// Cuts or extends a file.
    pub(super) fn resize(&mut self, inode: Inode, len: u64) -> Result<(), Refusal> {
        self.powered()?;
        let own = self.tree.content(inode)?.len();
        let (bytes, capacity) = self.usage();
        if len > own && len - own > capacity.saturating_sub(bytes) {
            return Err(Refusal::NoSpace);
        }
        let kind = self.kind(inode);
        self.perform(Operation::Resize, kind, None, |tree| {
            tree.content_mut(inode)?.resize(len);
            Ok(())
        })
    }

    /// A new file or directory.
    pub(super) fn create(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<Attributes, Refusal> {
        self.perform(Operation::Create, FileKind::of(name), None, |tree| {
            let inode = tree.create(directory, name, is_directory)?;
            tree.attributes(inode)
        })
    }

    /// One more name of a file.
    pub(super) fn link(
        &mut self,
        inode: Inode,
        directory: Inode,
        name: &OsStr,
    ) -> Result<Attributes, Refusal> {
        self.perform(Operation::Create, FileKind::of(name), None, |tree| {
            tree.link(inode, directory, name)?;
            tree.attributes(inode)
        })
    }

    /// Takes a name away.
    pub(super) fn remove(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<(), Refusal> {
        self.perform(Operation::Unlink, FileKind::of(name), None, |tree| {
            tree.remove(directory, name, is_directory)
        })
    }

    /// Changes a name. Its kind of file is that of the new name.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        may_replace: bool,
    ) -> Result<(), Refusal> {
        self.perform(Operation::Rename, FileKind::of(to.1), None, |tree| {
            tree.rename(from, to, may_replace)
        })
    }

    /// Makes a file or directory durable, unless the sync hangs.
    pub(super) fn sync(&mut self, inode: Inode) -> Result<Synced, Refusal> {
        self.powered()?;
        let (operation, file) = self.sync_of(inode)?;
        let way = self.begin(operation, file);
        if way.is_err() && operation == Operation::Sync {
            // The kernel takes the bytes for clean, so that no later sync writes them.
            self.tree.content_mut(inode)?.drop_unsynced();
        }
        match way? {
            Way::Hangs => return Ok(Synced::Hanging),
            Way::Done => self.make_durable(operation, inode)?,
            Way::LosesPower { moment, seed } => {
                if moment == Moment::After {
                    self.make_durable(operation, inode)?;
                }
                self.lose(Some((operation, file, moment)), None, seed);
                return Err(Refusal::InputOutput);
            }
        }
        Ok(Synced::Done)
    }

    /// Ends a sync that hung.
    pub(super) fn finish_sync(&mut self, inode: Inode) -> Result<(), Refusal> {
        self.powered()?;
        let (operation, _) = self.sync_of(inode)?;
        self.make_durable(operation, inode)
    }

    fn make_durable(&mut self, operation: Operation, inode: Inode) -> Result<(), Refusal> {
        match operation {
            _ if self.settings.syncs_lie => Ok(()),
            Operation::SyncDirectory => self.tree.sync_directory(inode),
            _ => self.tree.sync_file(inode),
        }
    }

    fn sync_of(&self, inode: Inode) -> Result<(Operation, FileKind), Refusal> {
        let directory = self.tree.attributes(inode)?.directory;
        let operation = if directory {
            Operation::SyncDirectory
        } else {
            Operation::Sync
        };
        Ok((operation, self.kind(inode)))
    }
}

#[cfg(test)]
mod tests;
