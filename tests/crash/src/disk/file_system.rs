//! The FUSE interface of a disk: translates requests of the kernel into operations of the [disk](super::state).
//!
//! Owned by the `fuser` thread, which serves one request at a time.
//!
//! The kernel caches nothing: names and attributes expire at once, and direct IO bypasses the page cache, so that
//! programs do not see lost data after a power loss.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::error::DiskError;
use super::shared::{Shared, to_errno};
use super::tree::Attributes;

const NOT_CACHED: Duration = Duration::ZERO;
const BLOCK_BYTES: u32 = 4096;

fn kernel_attributes(attributes: Attributes, owner: (u32, u32)) -> FileAttr {
    let time: SystemTime = UNIX_EPOCH;
    let (kind, perm, nlink) = if attributes.is_directory {
        (FileType::Directory, 0o755, 2)
    } else {
        (FileType::RegularFile, 0o644, attributes.names)
    };
    FileAttr {
        ino: INodeNo(attributes.inode),
        size: attributes.len,
        blocks: attributes.len.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink,
        uid: owner.0,
        gid: owner.1,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// The disk as a file system of `fuser`.
pub(super) struct FileSystem {
    pub(super) shared: Arc<Shared>,
    /// User and group of all files.
    pub(super) owner: (u32, u32),
}

impl FileSystem {
    fn reply_entry(&self, reply: ReplyEntry, found: Result<Attributes, DiskError>) {
        match found {
            Ok(attributes) => reply.entry(
                &NOT_CACHED,
                &kernel_attributes(attributes, self.owner),
                Generation(0),
            ),
            Err(error) => reply.error(to_errno(error)),
        }
    }

    fn reply_attributes(&self, reply: ReplyAttr, found: Result<Attributes, DiskError>) {
        match found {
            Ok(attributes) => {
                reply.attr(&NOT_CACHED, &kernel_attributes(attributes, self.owner));
            }
            Err(error) => reply.error(to_errno(error)),
        }
    }

    fn open_any(&self, inode: INodeNo, reply: ReplyOpen) {
        match self.shared.with(|state| state.open(inode.0)) {
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(to_errno(error)),
        }
    }

    fn sync_any(&self, request: &Request, handle: FileHandle, reply: ReplyEmpty) {
        self.shared
            .with_thread(request.pid(), |state| state.sync(handle, reply));
    }
}

fn reply_empty(reply: ReplyEmpty, result: Result<(), DiskError>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(to_errno(error)),
    }
}

impl Filesystem for FileSystem {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.shared.with(|state| state.disk.lookup(parent.0, name));
        self.reply_entry(reply, found);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.shared.with(|state| state.disk.attributes(inode.0));
        self.reply_attributes(reply, found);
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let found = self.shared.with(|state| {
            if let Some(len) = size {
                state.disk.resize(inode.0, len)?;
            }
            state.disk.attributes(inode.0)
        });
        self.reply_attributes(reply, found);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let created = self
            .shared
            .with(|state| state.disk.create(parent.0, name, true));
        self.reply_entry(reply, created);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self
            .shared
            .with(|state| state.disk.remove(parent.0, name, false));
        reply_empty(reply, removed);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self
            .shared
            .with(|state| state.disk.remove(parent.0, name, true));
        reply_empty(reply, removed);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            reply.error(Errno::EINVAL);
            return;
        }
        let renamed = self.shared.with(|state| {
            let (from, to) = ((parent.0, name), (to_parent.0, to_name));
            state.disk.rename(from, to, flags.is_empty())
        });
        reply_empty(reply, renamed);
    }

    fn link(&self, _: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self
            .shared
            .with(|state| state.disk.link(inode.0, parent.0, name));
        self.reply_entry(reply, linked);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.open_any(inode, reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let created = self.shared.with_thread(request.pid(), |state| {
            let attributes = state.disk.create(parent.0, name, false)?;
            Ok((attributes, state.open(attributes.inode)?))
        });
        match created {
            Ok((attributes, handle)) => reply.created(
                &NOT_CACHED,
                &kernel_attributes(attributes, self.owner),
                Generation(0),
                handle,
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(to_errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.shared.with(|state| {
            let read = state
                .inode(handle)
                .and_then(|inode| state.disk.read(inode, offset, size as usize));
            match read {
                Ok(bytes) => reply.data(bytes),
                Err(error) => reply.error(to_errno(error)),
            }
        });
    }

    fn write(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.shared.with_thread(request.pid(), |state| {
            let inode = state.inode(handle)?;
            state.disk.write(inode, offset, data)
        });
        match written {
            Ok(bytes) => reply.written(bytes as u32),
            Err(error) => reply.error(to_errno(error)),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.shared.with(|state| state.release(handle));
        reply.ok();
    }

    fn fsync(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.sync_any(request, handle, reply);
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.open_any(inode, reply);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.shared.with(|state| {
            let Some((inode, listing)) = state.listing(handle) else {
                reply.error(Errno::EIO);
                return;
            };
            let own = [".", ".."].map(|name| (inode, FileType::Directory, OsStr::new(name)));
            let below = listing.iter().map(|(name, attributes)| {
                let kind = if attributes.is_directory {
                    FileType::Directory
                } else {
                    FileType::RegularFile
                };
                (attributes.inode, kind, name.as_os_str())
            });
            let all = (1u64..).zip(own.into_iter().chain(below));
            for (next, (inode, kind, name)) in all.skip(offset as usize) {
                if reply.add(INodeNo(inode), next, kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.shared.with(|state| state.release(handle));
        reply.ok();
    }

    fn fsyncdir(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.sync_any(request, handle, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (used, capacity) = self.shared.with(|state| state.disk.usage());
        let blocks = capacity / u64::from(BLOCK_BYTES);
        let free = capacity.saturating_sub(used) / u64::from(BLOCK_BYTES);
        // The number of files is not limited.
        let files = u64::from(u32::MAX);
        reply.statfs(
            blocks,
            free,
            free,
            files,
            files,
            BLOCK_BYTES,
            255,
            BLOCK_BYTES,
        );
    }
}
