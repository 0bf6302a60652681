//! The disk as a state machine: operations, faults and power losses in, results out.
//!
//! Owned by [`super::shared`], behind one lock; [`super::file_system`] serves the kernel. Pure: no IO, no clock, no
//! threads, so that a seed and a list of operations determine a run. Bounded by its capacity.
//!
//! After a power loss every operation fails until the power is back. So no operation of a running program succeeds
//! unless it survives, and a server cannot acknowledge anything that is lost.

use std::ffi::OsStr;

use muster_testkit::random::Random;
use serde::Serialize;

use super::counts::Counts;
use super::entry::EntryDurability;
use super::error::DiskError;
use super::fault::{Action, Faults, FileKind, Operation, Rule, Timing};
use super::survival;
use super::tree::{Attributes, Inode, Lost, ROOT, Tree};

/// The settings of a disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskSettings {
    /// When directory entries become durable.
    pub entries: EntryDurability,
    /// Maximum size of all files together.
    pub capacity_bytes: u64,
    /// Syncs succeed but make nothing durable. Only to show that checks find such a disk.
    pub syncs_lie: bool,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            entries: EntryDurability::Strict,
            capacity_bytes: CAPACITY_BYTES,
            syncs_lie: false,
        }
    }
}

/// Bounds the memory that a runaway program can use. Live and durable bytes can take twice as much.
const CAPACITY_BYTES: u64 = 4 << 30;

/// A power loss.
#[derive(Clone, Debug, Serialize)]
pub struct PowerLoss {
    /// The operation at which a rule cut the power, and its kind of file; none if it was between operations.
    pub at: Option<(Operation, FileKind, Timing)>,
    /// What was lost.
    #[serde(flatten)]
    pub lost: Lost,
}

/// How an operation continues after the fault rules.
enum Effect {
    Proceed,
    Hang,
    LosePower { timing: Timing, seed: u64 },
}

/// A disk in memory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    tree: Tree,
    faults: Faults,
    settings: DiskSettings,
    counts: Counts,
    /// The name of the thread that requests the current operation, if it is known.
    thread: Option<String>,
    /// The power loss, while the power is off.
    loss: Option<PowerLoss>,
}

/// The status of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncStatus {
    /// It is complete.
    Done,
    /// It hangs until [`Disk::finish_sync`].
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

    /// The power loss, while the power is off.
    pub(super) const fn loss(&self) -> Option<&PowerLoss> {
        self.loss.as_ref()
    }

    /// The counts of operations so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Size of all files, and the capacity.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.tree.bytes(), self.settings.capacity_bytes)
    }

    /// Sets the capacity.
    pub(super) const fn set_capacity(&mut self, bytes: u64) {
        self.settings.capacity_bytes = bytes;
    }

    /// Adds a fault rule.
    pub(super) fn arm(&mut self, rule: Rule) {
        self.faults.arm(rule);
    }

    /// Whether a rule needs the name of the requesting thread; then [`Self::set_thread`] must precede operations.
    pub(super) fn needs_thread_names(&self) -> bool {
        self.faults.needs_thread_names()
    }

    /// Sets the name of the thread that requests the next operations, if it is known.
    pub(super) fn set_thread(&mut self, thread: Option<String>) {
        self.thread = thread;
    }

    /// Removes all fault rules.
    pub(super) fn disarm(&mut self) {
        self.faults.disarm();
    }

    /// Loses power between two operations; the seed determines what survives. Without power it has no effect.
    pub(super) fn lose_power(&mut self, seed: u64) {
        self.lose_power_at(None, None, seed);
    }

    /// Restores the power, with what has survived, and removes all fault rules.
    pub(super) fn power_on(&mut self) {
        self.loss = None;
        self.faults.disarm();
    }

    fn lose_power_at(
        &mut self,
        at: Option<(Operation, FileKind, Timing)>,
        torn: Option<Inode>,
        seed: u64,
    ) {
        if self.loss.is_none() {
            let mut random = Random::new(seed, 0);
            let mode = survival::sample_mode(&mut random);
            let lost = self.tree.lose_power(mode, torn, &mut random);
            self.loss = Some(PowerLoss { at, lost });
        }
    }

    fn check_power(&self) -> Result<(), DiskError> {
        if self.loss.is_some() {
            return Err(DiskError::Io);
        }
        Ok(())
    }

    fn kind(&self, inode: Inode) -> FileKind {
        self.tree.name(inode).map_or(FileKind::Other, FileKind::of)
    }

    /// Counts an operation and applies the fault rules to it.
    fn begin(&mut self, operation: Operation, file: FileKind) -> Result<Effect, DiskError> {
        self.check_power()?;
        self.counts.add(operation, file);
        match self
            .faults
            .next_action(operation, file, self.thread.as_deref())
        {
            Some(Action::Fail) => Err(DiskError::Io),
            Some(Action::Full) => Err(DiskError::NoSpace),
            Some(Action::LosePower { timing, seed }) => Ok(Effect::LosePower { timing, seed }),
            Some(Action::Hang) => Ok(Effect::Hang),
            None => Ok(Effect::Proceed),
        }
    }

    /// Performs an operation, as far as the fault rules allow. `writes` is the file that it writes to, if any.
    fn perform<T>(
        &mut self,
        operation: Operation,
        file: FileKind,
        writes: Option<Inode>,
        act: impl FnOnce(&mut Tree) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let Effect::LosePower { timing, seed } = self.begin(operation, file)? else {
            return act(&mut self.tree);
        };
        let torn = writes.filter(|_| timing == Timing::During);
        if timing == Timing::After || torn.is_some() {
            // The program gets EIO, whatever the result is.
            let _ = act(&mut self.tree);
        }
        self.lose_power_at(Some((operation, file, timing)), torn, seed);
        Err(DiskError::Io)
    }

    /// The attributes of a file or directory.
    pub(super) fn attributes(&self, inode: Inode) -> Result<Attributes, DiskError> {
        // The root stays visible without power, so that the mount point can be accessed.
        if inode != ROOT {
            self.check_power()?;
        }
        self.tree.attributes(inode)
    }

    /// Looks up a name in a directory.
    pub(super) fn lookup(&self, directory: Inode, name: &OsStr) -> Result<Attributes, DiskError> {
        self.check_power()?;
        self.tree.attributes(self.tree.lookup(directory, name)?)
    }

    /// The names of a directory.
    pub(super) fn names(
        &self,
        directory: Inode,
    ) -> Result<impl Iterator<Item = (&OsStr, Inode)>, DiskError> {
        self.check_power()?;
        let names = self.tree.names(directory)?;
        Ok(names.iter().map(|(name, inode)| (name.as_os_str(), *inode)))
    }

    /// Opens a handle.
    pub(super) fn open(&mut self, inode: Inode) -> Result<(), DiskError> {
        self.check_power()?;
        self.tree.open(inode)
    }

    /// Closes a handle.
    pub(super) fn release(&mut self, inode: Inode) {
        self.tree.release(inode);
    }

    /// Reads from a file.
    pub(super) fn read(
        &mut self,
        inode: Inode,
        offset: u64,
        len: usize,
    ) -> Result<&[u8], DiskError> {
        let kind = self.kind(inode);
        self.perform(Operation::Read, kind, None, |_| Ok(()))?;
        Ok(self.tree.content(inode)?.read(offset, len))
    }

    /// Writes as many bytes as fit; returns how many.
    pub(super) fn write(
        &mut self,
        inode: Inode,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, DiskError> {
        self.check_power()?;
        let room = self.room_for(inode, offset, bytes.len())?;
        let bytes = &bytes[..room];
        let kind = self.kind(inode);
        self.perform(Operation::Write, kind, Some(inode), |tree| {
            tree.content_mut(inode)?.write(offset, bytes);
            Ok(bytes.len())
        })
    }

    /// How many of `len` bytes at `offset` fit. If none does, the disk is full.
    fn room_for(&self, inode: Inode, offset: u64, len: usize) -> Result<usize, DiskError> {
        let (used, capacity) = self.usage();
        let free = capacity.saturating_sub(used);
        let end_max = self.tree.content(inode)?.len().saturating_add(free);
        let fits = end_max.saturating_sub(offset).min(len as u64);
        if fits == 0 && len > 0 {
            return Err(DiskError::NoSpace);
        }
        Ok(usize::try_from(fits).unwrap_or(len))
    }

    /// Truncates or extends a file.
    pub(super) fn resize(&mut self, inode: Inode, len: u64) -> Result<(), DiskError> {
        self.check_power()?;
        let growth = len.saturating_sub(self.tree.content(inode)?.len());
        let (used, capacity) = self.usage();
        if growth > capacity.saturating_sub(used) {
            return Err(DiskError::NoSpace);
        }
        let kind = self.kind(inode);
        self.perform(Operation::Resize, kind, None, |tree| {
            tree.content_mut(inode)?.resize(len);
            Ok(())
        })
    }

    /// Creates a file or directory.
    pub(super) fn create(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<Attributes, DiskError> {
        self.perform(Operation::Create, FileKind::of(name), None, |tree| {
            let inode = tree.create(directory, name, is_directory)?;
            tree.attributes(inode)
        })
    }

    /// Adds a name to a file.
    pub(super) fn link(
        &mut self,
        inode: Inode,
        directory: Inode,
        name: &OsStr,
    ) -> Result<Attributes, DiskError> {
        self.perform(Operation::Create, FileKind::of(name), None, |tree| {
            tree.link(inode, directory, name)?;
            tree.attributes(inode)
        })
    }

    /// Removes a name.
    pub(super) fn remove(
        &mut self,
        directory: Inode,
        name: &OsStr,
        is_directory: bool,
    ) -> Result<(), DiskError> {
        self.perform(Operation::Unlink, FileKind::of(name), None, |tree| {
            tree.remove(directory, name, is_directory)
        })
    }

    /// Renames a file or directory. Rules match it by the new name.
    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        may_replace: bool,
    ) -> Result<(), DiskError> {
        self.perform(Operation::Rename, FileKind::of(to.1), None, |tree| {
            tree.rename(from, to, may_replace)
        })
    }

    /// Makes a file or directory durable, unless the sync hangs.
    pub(super) fn sync(&mut self, inode: Inode) -> Result<SyncStatus, DiskError> {
        self.check_power()?;
        let (operation, file) = self.sync_of(inode)?;
        let effect = self.begin(operation, file);
        if effect.is_err() && operation == Operation::Sync {
            // As in Linux: a failed fsync marks the pages clean, so no later one writes them.
            self.tree.content_mut(inode)?.drop_unsynced();
        }
        match effect? {
            Effect::Hang => return Ok(SyncStatus::Hanging),
            Effect::Proceed => self.make_durable(operation, inode)?,
            Effect::LosePower { timing, seed } => {
                if timing == Timing::After {
                    self.make_durable(operation, inode)?;
                }
                self.lose_power_at(Some((operation, file, timing)), None, seed);
                return Err(DiskError::Io);
            }
        }
        Ok(SyncStatus::Done)
    }

    /// Completes a sync that hangs.
    pub(super) fn finish_sync(&mut self, inode: Inode) -> Result<(), DiskError> {
        self.check_power()?;
        let (operation, _) = self.sync_of(inode)?;
        self.make_durable(operation, inode)
    }

    fn make_durable(&mut self, operation: Operation, inode: Inode) -> Result<(), DiskError> {
        match operation {
            _ if self.settings.syncs_lie => Ok(()),
            Operation::SyncDirectory => self.tree.sync_directory(inode),
            _ => self.tree.sync_file(inode),
        }
    }

    fn sync_of(&self, inode: Inode) -> Result<(Operation, FileKind), DiskError> {
        let operation = if self.tree.attributes(inode)?.is_directory {
            Operation::SyncDirectory
        } else {
            Operation::Sync
        };
        Ok((operation, self.kind(inode)))
    }
}

#[cfg(test)]
mod tests;
