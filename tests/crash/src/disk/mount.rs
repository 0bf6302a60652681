//! Mounts a disk, unmounts it in every case, and cleans up after killed runs.
//!
//! A mount outlives its process only after SIGKILL. Then the kernel fails every access to it, and
//! [`unmount_abandoned`] of a later run removes it. The source in the mount table has the process id, so that a run
//! never unmounts the disk of another running process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session};
use nix::mount::{MntFlags, umount2};
use nix::unistd::{getgid, getuid};
use tokio::sync::watch;

use super::counts::Counts;
use super::fault::Rule;
use super::file_system::FileSystem;
use super::shared::Shared;
use super::state::{Disk, DiskSettings, PowerLoss};

/// The source of our mounts in the mount table; the process id follows.
const SOURCE: &str = "muster-fault-disk:";

/// The disk cannot be mounted; the user must make FUSE available.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot mount a disk at {}: {source}: FUSE needs the device /dev/fuse, and root or the program \
     fusermount3 (scripts/setup --tests installs it)",
    at.display()
)]
pub struct MountError {
    at: PathBuf,
    source: io::Error,
}

/// A mounted in-memory disk. Unmounted when dropped.
pub struct FaultDisk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    at: PathBuf,
}

impl std::fmt::Debug for FaultDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FaultDisk")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl FaultDisk {
    /// Mounts an empty disk on an existing directory.
    ///
    /// # Errors
    /// If FUSE is not available or not permitted.
    pub fn mount(at: &Path, settings: DiskSettings) -> Result<Self, MountError> {
        unmount_abandoned();
        let shared = Arc::new(Shared::new(Disk::new(settings)));
        let file_system = FileSystem {
            shared: Arc::clone(&shared),
            owner: (getuid().as_raw(), getgid().as_raw()),
        };
        let mut config = Config::default();
        let source = format!("{SOURCE}{}", std::process::id());
        config.mount_options.push(MountOption::FSName(source));
        let session = Session::new(file_system, at, &config).and_then(Session::spawn);
        let session = session.map_err(|source| MountError {
            at: at.to_owned(),
            source,
        })?;
        Ok(Self {
            shared,
            session: Some(session),
            at: at.to_owned(),
        })
    }

    /// The mount point.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Adds a fault rule.
    pub fn arm(&self, rule: Rule) {
        self.shared.with(|state| state.disk.arm(rule));
    }

    /// Removes all fault rules. Syncs that hang still hang.
    pub fn disarm(&self) {
        self.shared.with(|state| state.disk.disarm());
    }

    /// Completes all syncs that hang; returns how many.
    pub fn resume_syncs(&self) -> usize {
        self.shared.with(|state| state.resume_syncs())
    }

    /// Number of syncs that hang.
    pub fn hanging_syncs(&self) -> usize {
        self.shared.with(|state| state.hanging_syncs())
    }

    /// Size of all files, and the capacity.
    pub fn usage(&self) -> (u64, u64) {
        self.shared.with(|state| state.disk.usage())
    }

    /// Sets the capacity.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.with(|state| state.disk.set_capacity(bytes));
    }

    /// The counts of operations so far.
    pub fn counts(&self) -> Counts {
        self.shared.with(|state| state.disk.counts())
    }

    /// Loses power, if it is on; the seed determines what survives. From then on every operation fails. Programs
    /// that use the disk must end before [`FaultDisk::power_on`].
    pub fn lose_power(&self, seed: u64) {
        self.shared.with(|state| state.disk.lose_power(seed));
    }

    /// The power loss, while the power is off.
    pub fn loss(&self) -> Option<PowerLoss> {
        self.shared.with(|state| state.disk.loss().cloned())
    }

    /// True while the disk is without power.
    pub fn power_lost(&self) -> watch::Receiver<bool> {
        self.shared.power_lost()
    }

    /// Waits until a rule cuts the power; false if none does within the timeout.
    pub fn wait_for_power_loss(&self, timeout: Duration) -> bool {
        self.shared.wait_for_power_loss(timeout)
    }

    /// Restores the power, with what has survived, and removes all fault rules.
    pub fn power_on(&self) {
        self.shared.with(|state| state.disk.power_on());
    }
}

impl Drop for FaultDisk {
    fn drop(&mut self) {
        // Operations that hang fail, so that their processes can be killed.
        self.lose_power(0);
        // Detached, since a process that is ending may still have open files. Needs root; otherwise the session
        // unmounts with fusermount3.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        drop(self.session.take());
    }
}

/// Unmounts the disks of processes that have ended. If that fails, the next run tries again.
fn unmount_abandoned() {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return;
    };
    for at in abandoned(&mounts, |process| {
        Path::new("/proc").join(process.to_string()).exists()
    }) {
        let _ = umount2(&at, MntFlags::MNT_DETACH);
    }
}

/// The mount points of our disks in a mount table whose process has ended.
fn abandoned(mounts: &str, is_alive: impl Fn(u32) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        if let Some((process, at)) = parse_mount(line)
            && !is_alive(process)
        {
            found.push(at);
        }
    }
    found
}

/// Process id and mount point of one of our disks.
fn parse_mount(line: &str) -> Option<(u32, PathBuf)> {
    let mut fields = line.split(' ');
    let process = fields.next()?.strip_prefix(SOURCE)?.parse().ok()?;
    // The kernel escapes special characters with a backslash; paths of runs have none.
    let at = fields.next().filter(|at| !at.contains('\\'))?;
    Some((process, PathBuf::from(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_mounts_of_ended_processes_are_abandoned() {
        let mounts = "proc /proc proc rw 0 0\n\
             muster-fault-disk:7 /tmp/alive fuse rw 0 0\n\
             muster-fault-disk:8 /tmp/gone fuse rw 0 0\n\
             /dev/fuse /tmp/other fuse rw 0 0\n";
        let found = abandoned(mounts, |process| process == 7);
        assert_eq!(found, [PathBuf::from("/tmp/gone")]);
    }
}
