//! What the thread of `fuser` and the owner of a mounted disk share: the disk, open handles, and what hangs.
//!
//! One lock, which nobody holds while he waits: a sync that hangs is put aside with its reply, so that others go on.
//! Bounded by what the kernel has in flight and open.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{Errno, FileHandle, ReplyEmpty};
use tokio::sync::watch;

use super::refusal::Refusal;
use super::state::{Disk, Synced};
use super::tree::{Attributes, Inode};

/// What the thread of `fuser` and the owner of the disk share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Whether the disk is without power, for threads and for tasks that wait.
    lost: Condvar,
    is_lost: watch::Sender<bool>,
}

pub(super) struct State {
    pub(super) disk: Disk,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
    hanging: Vec<(Inode, ReplyEmpty)>,
}

struct Handle {
    inode: Inode,
    /// The names of a directory when it was opened: a listing is of one moment.
    listing: Vec<(OsString, Attributes)>,
}

impl Shared {
    pub(super) fn new(disk: Disk) -> Self {
        let state = State {
            disk,
            handles: HashMap::new(),
            next_handle: 1,
            hanging: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            lost: Condvar::new(),
            is_lost: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The disk of a test that panicked is still a disk that its server waits for.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the disk. If power went meanwhile, handles are void and what hung has failed.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state);
        if state.disk.loss().is_some() {
            state.handles.clear();
            for (_, reply) in state.hanging.drain(..) {
                reply.error(Errno::EIO);
            }
            self.lost.notify_all();
        }
        let is_lost = state.disk.loss().is_some();
        self.is_lost
            .send_if_modified(|told| std::mem::replace(told, is_lost) != is_lost);
        result
    }

    /// Does what a thread asks for, by the number that the kernel has for it.
    pub(super) fn asked_by<T>(&self, thread: u32, act: impl FnOnce(&mut State) -> T) -> T {
        self.with(|state| {
            if !state.disk.tells_threads() {
                return act(state);
            }
            // A thread that has ended meanwhile has no name any more.
            let name = std::fs::read_to_string(format!("/proc/{thread}/comm")).ok();
            let name = name.map(|name| name.trim_end().to_owned());
            state.disk.asked_by(name);
            let result = act(state);
            state.disk.asked_by(None);
            result
        })
    }

    /// True while the disk is without power.
    pub(super) fn lost(&self) -> watch::Receiver<bool> {
        self.is_lost.subscribe()
    }

    /// Waits until power is lost; false if it is not within this time.
    pub(super) fn wait_for_loss(&self, timeout: Duration) -> bool {
        let waited = self
            .lost
            .wait_timeout_while(self.lock(), timeout, |state| state.disk.loss().is_none());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.disk.loss().is_some()
    }
}

impl State {
    /// Ends all syncs that hang.
    pub(super) fn let_go(&mut self) -> usize {
        let hanging = std::mem::take(&mut self.hanging);
        let ended = hanging.len();
        for (inode, reply) in hanging {
            match self.disk.finish_sync(inode) {
                Ok(()) => reply.ok(),
                Err(refusal) => reply.error(errno(refusal)),
            }
        }
        ended
    }

    pub(super) fn hanging(&self) -> usize {
        self.hanging.len()
    }

    pub(super) fn open(&mut self, inode: Inode) -> Result<FileHandle, Refusal> {
        let mut listing = Vec::new();
        if self.disk.attributes(inode)?.directory {
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

    /// The file of a handle; none is left of before a loss of power.
    pub(super) fn of(&self, handle: FileHandle) -> Result<Inode, Refusal> {
        let found = self.handles.get(&handle.0);
        found.map(|handle| handle.inode).ok_or(Refusal::InputOutput)
    }

    pub(super) fn release(&mut self, handle: FileHandle) {
        if let Some(handle) = self.handles.remove(&handle.0) {
            self.disk.release(handle.inode);
        }
    }

    /// Syncs what a handle is of, now or when it is let go.
    pub(super) fn sync(&mut self, handle: FileHandle, reply: ReplyEmpty) {
        let synced = self
            .of(handle)
            .and_then(|inode| Ok((inode, self.disk.sync(inode)?)));
        match synced {
            Ok((_, Synced::Done)) => reply.ok(),
            Ok((inode, Synced::Hanging)) => self.hanging.push((inode, reply)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    /// The directory of a handle, and its names when it was opened.
    pub(super) fn listing(&self, handle: FileHandle) -> Option<(Inode, &[(OsString, Attributes)])> {
        let handle = self.handles.get(&handle.0)?;
        Some((handle.inode, &handle.listing))
    }
}

/// The number of the operating system for a refusal.
pub(super) const fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NoEntry => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotDirectory => Errno::ENOTDIR,
        Refusal::IsDirectory => Errno::EISDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::Stale => Errno::ESTALE,
        Refusal::NoSpace => Errno::ENOSPC,
        Refusal::InputOutput => Errno::EIO,
    }
}
