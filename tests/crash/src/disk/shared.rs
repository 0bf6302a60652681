//! The state that the `fuser` thread and the owner of a mounted disk share: the disk, open handles, and hanging syncs.
//!
//! One lock. A sync that hangs is queued with its reply and does not hold the lock, so that other requests continue.
//! Bounded by the requests and handles that the kernel has open.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{Errno, FileHandle, ReplyEmpty};
use tokio::sync::watch;

use super::error::DiskError;
use super::state::{Disk, SyncStatus};
use super::tree::{Attributes, Inode};

/// The shared state of a mounted disk.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notifies threads of a power loss.
    power_lost: Condvar,
    /// Notifies tasks of a power loss.
    is_power_lost: watch::Sender<bool>,
}

pub(super) struct State {
    pub(super) disk: Disk,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
    hanging_syncs: Vec<(Inode, ReplyEmpty)>,
}

struct Handle {
    inode: Inode,
    /// The entries of a directory when it was opened, so that a listing is consistent.
    listing: Vec<(OsString, Attributes)>,
}

impl Shared {
    pub(super) fn new(disk: Disk) -> Self {
        let state = State {
            disk,
            handles: HashMap::new(),
            next_handle: 1,
            hanging_syncs: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            power_lost: Condvar::new(),
            is_power_lost: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // If a test has panicked, its server still needs answers from the disk.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with the state. After a power loss all handles are invalid and hanging syncs fail.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = f(&mut state);
        let is_power_lost = state.disk.loss().is_some();
        if is_power_lost {
            state.handles.clear();
            for (_, reply) in state.hanging_syncs.drain(..) {
                reply.error(Errno::EIO);
            }
            self.power_lost.notify_all();
        }
        self.is_power_lost
            .send_if_modified(|value| std::mem::replace(value, is_power_lost) != is_power_lost);
        result
    }

    /// The same for a request of the thread with this id.
    pub(super) fn with_thread<T>(&self, thread: u32, f: impl FnOnce(&mut State) -> T) -> T {
        self.with(|state| {
            if !state.disk.needs_thread_names() {
                return f(state);
            }
            // A thread that has ended has no name.
            let name = std::fs::read_to_string(format!("/proc/{thread}/comm")).ok();
            let name = name.map(|name| name.trim_end().to_owned());
            state.disk.set_thread(name);
            let result = f(state);
            state.disk.set_thread(None);
            result
        })
    }

    /// True while the disk is without power.
    pub(super) fn power_lost(&self) -> watch::Receiver<bool> {
        self.is_power_lost.subscribe()
    }

    /// Waits for a power loss; false if there is none within the timeout.
    pub(super) fn wait_for_power_loss(&self, timeout: Duration) -> bool {
        let waited = self
            .power_lost
            .wait_timeout_while(self.lock(), timeout, |state| state.disk.loss().is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.disk.loss().is_some()
    }
}

impl State {
    /// Completes all syncs that hang; returns how many.
    pub(super) fn resume_syncs(&mut self) -> usize {
        let hanging = std::mem::take(&mut self.hanging_syncs);
        let count = hanging.len();
        for (inode, reply) in hanging {
            match self.disk.finish_sync(inode) {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(to_errno(error)),
            }
        }
        count
    }

    pub(super) fn hanging_syncs(&self) -> usize {
        self.hanging_syncs.len()
    }

    pub(super) fn open(&mut self, inode: Inode) -> Result<FileHandle, DiskError> {
        let mut listing = Vec::new();
        if self.disk.attributes(inode)?.is_directory {
            let names: Vec<_> = self
                .disk
                .names(inode)?
                .map(|(name, inode)| (name.to_owned(), inode))
                .collect();
            for (name, inode) in names {
                listing.push((name, self.disk.attributes(inode)?));
            }
        }
        self.disk.open(inode)?;
        let number = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(number, Handle { inode, listing });
        Ok(FileHandle(number))
    }

    /// The file or directory of a handle. Handles from before a power loss are invalid.
    pub(super) fn inode(&self, handle: FileHandle) -> Result<Inode, DiskError> {
        let found = self.handles.get(&handle.0);
        found.map(|handle| handle.inode).ok_or(DiskError::Io)
    }

    pub(super) fn release(&mut self, handle: FileHandle) {
        if let Some(handle) = self.handles.remove(&handle.0) {
            self.disk.release(handle.inode);
        }
    }

    /// Syncs the file or directory of a handle, now or when hanging syncs resume.
    pub(super) fn sync(&mut self, handle: FileHandle, reply: ReplyEmpty) {
        let synced = self
            .inode(handle)
            .and_then(|inode| Ok((inode, self.disk.sync(inode)?)));
        match synced {
            Ok((_, SyncStatus::Done)) => reply.ok(),
            Ok((inode, SyncStatus::Hanging)) => self.hanging_syncs.push((inode, reply)),
            Err(error) => reply.error(to_errno(error)),
        }
    }

    /// The directory of a handle, and its entries when it was opened.
    pub(super) fn listing(&self, handle: FileHandle) -> Option<(Inode, &[(OsString, Attributes)])> {
        let handle = self.handles.get(&handle.0)?;
        Some((handle.inode, &handle.listing))
    }
}

/// The error number of the operating system for an error.
pub(super) const fn to_errno(error: DiskError) -> Errno {
    match error {
        DiskError::NotFound => Errno::ENOENT,
        DiskError::AlreadyExists => Errno::EEXIST,
        DiskError::NotADirectory => Errno::ENOTDIR,
        DiskError::IsADirectory => Errno::EISDIR,
        DiskError::DirectoryNotEmpty => Errno::ENOTEMPTY,
        DiskError::Stale => Errno::ESTALE,
        DiskError::NoSpace => Errno::ENOSPC,
        DiskError::Io => Errno::EIO,
    }
}
