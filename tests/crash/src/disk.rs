//! A disk that forgets what was not synced, for data directories that lose power or go bad.
//!
//! [`ForgetfulDisk`] is a file system in memory, mounted with FUSE by this process. Programs that work on it are
//! real; only the disk below them is not: it loses power at a chosen operation, is full, fails, or hangs. What
//! survives a loss of power is drawn from a seed.
//!
//! The core is pure and knows no FUSE: `state` is the disk, `tree` its files and directories, `entry` their names,
//! `content` the bytes of a file, `survival` the draw, `fault` what goes wrong. `file_system` and `shared`
//! translate for the kernel, `mount` mounts, unmounts, and clears up after runs that were killed.
//!
//! Linux only, and as root or with the program `fusermount3`. Not a measure of speed, and no model of a disk that
//! loses what it called durable (but see [`DiskSettings::syncs_lie`]).

mod content;
mod counts;
mod entry;
mod fault;
mod file_system;
mod mount;
mod refusal;
mod shared;
mod state;
mod survival;
mod tree;

pub use counts::Counts;
pub use entry::Entries;
pub use fault::{Action, FileKind, Moment, Operation, Rule};
pub use mount::{ForgetfulDisk, MountError};
pub use state::{DiskSettings, PowerLoss};
pub use tree::Lost;
