//! Kill points: named points before and after every step towards durability, at which a test build can end the process
//! as SIGKILL does, so that a crash loop covers every state that a crash can leave.
//!
//! With the feature `failpoints`, off by default, the `fail` crate configures each point. Without it a kill point is an
//! empty function that is compiled away. Has no state.

use crate::commit::{CheckpointMark, Commit};

/// Every kill point of this crate and the state at that point, in the order in which a process passes them.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "store.create.before_format",
        "creation: only the directory exists",
    ),
    (
        "store.create.after_format",
        "creation: FORMAT.creating is written and synced",
    ),
    (
        "store.create.before_meta",
        "creation: the database is created, meta is empty",
    ),
    (
        "store.create.before_rename",
        "creation: everything is written, FORMAT.creating is not renamed",
    ),
    (
        "store.create.before_directory_sync",
        "creation: FORMAT is renamed, the directory is not synced",
    ),
    ("store.create.after_directory_sync", "creation: done"),
    (
        "store.open.after_database",
        "open: RocksDB has replayed its logs and begun new ones",
    ),
    (
        "store.recover.after_journal",
        "recovery: the journal is read, nothing is written",
    ),
    (
        "store.policy_set.before_put",
        "a new policy set is not written",
    ),
    (
        "store.policy_set.after_put",
        "a new policy set is durable, not yet reported",
    ),
    (
        "store.policy_set.before_delete",
        "policy sets that nothing refers to are not deleted",
    ),
    (
        "store.policy_set.after_delete",
        "policy sets that nothing refers to are deleted",
    ),
    (
        "store.control.before_append",
        "a control entry and its policy set are not written",
    ),
    (
        "store.control.after_append",
        "a control entry and its policy set are durable, in force nowhere",
    ),
    (
        "store.group.before_write",
        "a group of commits is assembled, not written",
    ),
    (
        "store.group.after_sync",
        "a group of commits is durable, not yet acknowledged",
    ),
    (
        "store.mark.before_write",
        "a write is durable, the acknowledged mark has not advanced",
    ),
    (
        "store.mark.after_write",
        "the acknowledged mark has advanced, nothing is acknowledged yet",
    ),
    (
        "store.group.between_completions",
        "a group is durable, some of its commits are completed",
    ),
    (
        "store.group.after_completions",
        "every commit of a group is completed",
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
        "some pages of a checkpoint are not written",
    ),
    (
        "store.checkpoint.after_pages",
        "some pages of a checkpoint are durable",
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
        "trim: the range tombstone over the rest is not written",
    ),
    (
        "store.trim.after_range",
        "trim: the range tombstone over the rest is durable",
    ),
    (
        "store.backup.before_checkpoint",
        "backup: nothing is written",
    ),
    (
        "store.backup.after_checkpoint",
        "backup: the RocksDB checkpoint is created, ACKNOWLEDGED is not written",
    ),
    (
        "store.backup.before_sync",
        "backup: ACKNOWLEDGED is written, some files are not synced",
    ),
    (
        "store.backup.before_format",
        "backup: everything except FORMAT is written and synced",
    ),
    (
        "store.backup.before_rename",
        "backup: the copy is complete, not renamed",
    ),
    (
        "store.backup.before_directory_sync",
        "backup: the copy is renamed, the parent directory is not synced",
    ),
    (
        "store.backup.after_directory_sync",
        "backup: done, not yet reported",
    ),
    (
        "store.restoring.between_removals",
        "restore: the files of an earlier restore are being removed",
    ),
    (
        "store.restoring.before_last_removal",
        "restore: only RESTORING is left of an earlier restore",
    ),
    ("store.close.before_flush", "close: nothing is flushed"),
    (
        "store.close.between_flushes",
        "close: some column families are flushed",
    ),
    (
        "store.close.after_flush",
        "close: everything is flushed, the directory is still locked",
    ),
];

/// Ends the process here if the crash loop has configured this point.
#[cfg(feature = "failpoints")]
pub fn kill_point(name: &'static str) {
    fail::fail_point!(name, |_| kill());
}

/// Does nothing: this build has no kill points.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn kill_point(_name: &'static str) {}

/// As SIGKILL from another process: no destructor runs, no buffer is flushed, no thread continues.
#[cfg(feature = "failpoints")]
fn kill() {
    use rustix::process::{Signal, getpid, kill_process};
    // A process may always signal itself. If that fails nevertheless, abort.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}

/// The kill points on one side of a group write: one for every group, others by the contents of the group.
pub(crate) struct GroupPoints {
    group: fn(),
    pages: fn(),
    begin: fn(),
    complete: fn(),
}

/// Before the write.
pub(crate) const BEFORE_WRITE: GroupPoints = GroupPoints {
    group: || kill_point("store.group.before_write"),
    pages: || kill_point("store.checkpoint.before_pages"),
    begin: || kill_point("store.checkpoint.before_begin"),
    complete: || kill_point("store.checkpoint.before_complete"),
};

/// After the sync.
pub(crate) const AFTER_SYNC: GroupPoints = GroupPoints {
    group: || kill_point("store.group.after_sync"),
    pages: || kill_point("store.checkpoint.after_pages"),
    begin: || kill_point("store.checkpoint.after_begin"),
    complete: || kill_point("store.checkpoint.after_complete"),
};

impl GroupPoints {
    /// Passes the points that apply to this group.
    pub(crate) fn pass<P>(&self, commits: &[Commit<P>]) {
        (self.group)();
        if !cfg!(feature = "failpoints") {
            return;
        }
        for part in commits.iter().flat_map(|commit| &commit.parts) {
            if !part.pages.is_empty() {
                (self.pages)();
            }
            match part.checkpoint {
                None => {}
                Some(CheckpointMark::Begin) => (self.begin)(),
                Some(CheckpointMark::Complete) => (self.complete)(),
            }
        }
    }
}
