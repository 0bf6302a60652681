//! Kill points: named places before and after every step towards durability, at which a test build can end the
//! process as SIGKILL does, so that a crash loop visits each moment a crash can fall into.
//!
//! With the feature `failpoints`, which is off unless asked for, the `fail` crate decides at each point what
//! happens there. Without it a point is an empty function, and nothing of this is in the program.

use crate::commit::{CheckpointMark, Commit};

/// Every kill point of this crate and the moment it stands for, in the order in which a process meets them.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "store.create.before_format",
        "creation: nothing is there but the directory",
    ),
    (
        "store.create.after_format",
        "creation: FORMAT.creating is written and synced",
    ),
    (
        "store.create.before_meta",
        "creation: RocksDB is made, meta is empty",
    ),
    (
        "store.create.before_rename",
        "creation: everything is made, FORMAT.creating has its old name",
    ),
    (
        "store.create.before_directory_sync",
        "creation: FORMAT has its name, the directory is not synced",
    ),
    ("store.create.after_directory_sync", "creation: done"),
    (
        "store.open.after_database",
        "open: RocksDB has read its logs and begun new ones",
    ),
    (
        "store.recover.after_journal",
        "recovery: everything is read, nothing new is written",
    ),
    (
        "store.tenant.before_put",
        "a new tenant has an index and is not written",
    ),
    (
        "store.tenant.after_put",
        "a new tenant is durable, nobody knows it yet",
    ),
    (
        "store.policy_set.before_put",
        "a new policy set is not written",
    ),
    (
        "store.policy_set.after_put",
        "a new policy set is durable, nobody knows it yet",
    ),
    (
        "store.group.before_write",
        "a group of commits is put together and not written",
    ),
    (
        "store.group.after_sync",
        "a group of commits is durable, nobody knows it yet",
    ),
    (
        "store.mark.before_write",
        "something is durable, the acknowledged mark does not say so",
    ),
    (
        "store.mark.after_write",
        "the acknowledged mark has advanced, nobody knows it yet",
    ),
    (
        "store.group.between_completions",
        "a group is durable, some of its commits were told so",
    ),
    (
        "store.group.after_completions",
        "every commit of a group was told that it is durable",
    ),
    (
        "store.checkpoint.before_begin",
        "a commit that begins a checkpoint is not written",
    ),
    (
        "store.checkpoint.after_begin",
        "a commit that begins a checkpoint is durable",
    ),
    (
        "store.checkpoint.before_pages",
        "a slice of a checkpoint's pages is not written",
    ),
    (
        "store.checkpoint.after_pages",
        "a slice of a checkpoint's pages is durable",
    ),
    (
        "store.checkpoint.before_complete",
        "a commit that completes a checkpoint is not written",
    ),
    (
        "store.checkpoint.after_complete",
        "a commit that completes a checkpoint is durable",
    ),
    (
        "store.trim.before_files",
        "the trim point is durable, no journal file is dropped",
    ),
    (
        "store.trim.after_files",
        "journal files below the trim point are dropped",
    ),
    (
        "store.trim.before_range",
        "trim: the tombstone over the rest is not written",
    ),
    (
        "store.trim.after_range",
        "trim: the tombstone over the rest is durable",
    ),
    (
        "store.backup.before_checkpoint",
        "a backup: nothing of it is made",
    ),
    (
        "store.backup.after_checkpoint",
        "a backup: RocksDB has copied itself, nothing says how far the copy must reach",
    ),
    (
        "store.backup.before_sync",
        "a backup: ACKNOWLEDGED is written, not everything is synced",
    ),
    (
        "store.backup.before_format",
        "a backup: everything but FORMAT is there and synced",
    ),
    (
        "store.backup.before_rename",
        "a backup: it is whole and has not its name",
    ),
    (
        "store.backup.before_directory_sync",
        "a backup: it has its name, the directory above is not synced",
    ),
    (
        "store.backup.after_directory_sync",
        "a backup: done, nobody was told so",
    ),
    (
        "store.restoring.between_removals",
        "a restore: it removes what an earlier one left",
    ),
    (
        "store.restoring.before_last_removal",
        "a restore: of what an earlier one left only RESTORING is there",
    ),
    (
        "store.close.before_flush",
        "an orderly end: nothing is flushed",
    ),
    (
        "store.close.between_flushes",
        "an orderly end: some column families are flushed",
    ),
    (
        "store.close.after_flush",
        "an orderly end: everything is flushed, the directory is still ours",
    ),
];

/// Ends the process here if the crash loop asked for it.
#[cfg(feature = "failpoints")]
pub fn kill_point(name: &'static str) {
    fail::fail_point!(name, |_| kill());
}

/// Nothing: this program has no kill points.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn kill_point(_name: &'static str) {}

/// As from outside: no destructor, no buffer, no other thread gets another turn.
#[cfg(feature = "failpoints")]
fn kill() {
    use rustix::process::{Signal, getpid, kill_process};
    // Refused by nobody, since it is this process. Should it be, the end is a little louder.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}

/// The points on one side of the write of a group: of every group, and by what is in it.
pub(crate) struct GroupPoints {
    group: fn(),
    pages: fn(),
    begin: fn(),
    complete: fn(),
}

/// In front of the write.
pub(crate) const BEFORE_WRITE: GroupPoints = GroupPoints {
    group: || kill_point("store.group.before_write"),
    pages: || kill_point("store.checkpoint.before_pages"),
    begin: || kill_point("store.checkpoint.before_begin"),
    complete: || kill_point("store.checkpoint.before_complete"),
};

/// Behind the sync.
pub(crate) const AFTER_SYNC: GroupPoints = GroupPoints {
    group: || kill_point("store.group.after_sync"),
    pages: || kill_point("store.checkpoint.after_pages"),
    begin: || kill_point("store.checkpoint.after_begin"),
    complete: || kill_point("store.checkpoint.after_complete"),
};

impl GroupPoints {
    /// Passes those that this group has.
    pub(crate) fn pass<P>(&self, commits: &[Commit<P>]) {
        (self.group)();
        if !cfg!(feature = "failpoints") {
            return;
        }
        for commit in commits {
            if !commit.pages.is_empty() {
                (self.pages)();
            }
            match commit.checkpoint {
                None => {}
                Some(CheckpointMark::Begin) => (self.begin)(),
                Some(CheckpointMark::Complete) => (self.complete)(),
            }
        }
    }
}
