//! A fault-injection disk for data directories: it can lose power, fill up, fail and hang.
//!
//! [`FaultDisk`] is an in-memory file system that this process mounts with FUSE. Programs use it as any other file
//! system; the disk loses power at a chosen operation, is full, fails, or hangs. A seed determines what survives a
//! power loss.
//!
//! The core is pure and independent of FUSE: `state` is the disk, `tree` its files and directories, `entry` changes of
//! directory entries, `content` the bytes of a file, `survival` samples what survives, `fault` has the rules.
//! `file_system` and `shared` serve the kernel; `mount` mounts, unmounts, and cleans up after killed runs.
//!
//! Linux only, as root or with the program `fusermount3`. Not for measurements. The disk keeps what it has reported as
//! durable, unless [`DiskSettings::syncs_lie`] is set.

mod content;
mod counts;
mod entry;
mod error;
mod fault;
mod file_system;
mod mount;
mod shared;
mod state;
mod survival;
mod tree;

pub use counts::Counts;
pub use entry::EntryDurability;
pub use fault::{Action, FileKind, Operation, Rule, Timing};
pub use mount::{FaultDisk, MountError};
pub use state::{DiskSettings, PowerLoss};
pub use tree::Lost;
