//! Mounting a disk, unmounting it on every way out, and clearing up after runs that were killed.
//!
//! A mount outlives its process only if that is killed with SIGKILL; the kernel then fails every access to it, and
//! [`clear_abandoned`] of a later run takes it away. It is told by its source in the table of mounts, which names
//! the process, so that a run never touches the mount of another that lives.

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

/// How our mounts are called; the number of the process follows.
const SOURCE: &str = "muster-forgetful-disk:";

/// The disk cannot be mounted here. Whoever runs it makes FUSE available.
#[derive(Debug, thiserror::Error)]
#[error(
    "a disk cannot be mounted at {}: {source}: FUSE needs the device /dev/fuse, and root or the program \
     fusermount3 (scripts/setup --tests installs it)",
    at.display()
)]
pub struct MountError {
    at: PathBuf,
    source: io::Error,
}

/// A disk in memory, mounted. Unmounted and gone when dropped.
pub struct ForgetfulDisk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    at: PathBuf,
}

impl std::fmt::Debug for ForgetfulDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ForgetfulDisk")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl ForgetfulDisk {
    /// Mounts an empty disk over a directory that exists.
    ///
    /// # Errors
    /// Where FUSE is missing or not allowed.
    pub fn mount(at: &Path, settings: DiskSettings) -> Result<Self, MountError> {
        clear_abandoned();
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

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// One more thing that goes wrong.
    pub fn arm(&self, rule: Rule) {
        self.shared.with(|state| state.disk.arm(rule));
    }

    /// Nothing goes wrong any more. What hangs still hangs.
    pub fn disarm(&self) {
        self.shared.with(|state| state.disk.disarm());
    }

    /// Ends all syncs that hang; returns how many.
    pub fn let_go(&self) -> usize {
        self.shared.with(|state| state.let_go())
    }

    /// Syncs that hang now.
    pub fn hanging(&self) -> usize {
        self.shared.with(|state| state.hanging())
    }

    /// Bytes of all files, and how many there may be.
    pub fn usage(&self) -> (u64, u64) {
        self.shared.with(|state| state.disk.usage())
    }

    /// Changes how many bytes there may be.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.with(|state| state.disk.set_capacity(bytes));
    }

    /// Operations so far.
    pub fn counts(&self) -> Counts {
        self.shared.with(|state| state.disk.counts())
    }

    /// Power is lost now, if it is on; the seed draws what survives. Whoever works on the disk sees nothing
    /// succeed any more, and must be ended before [`ForgetfulDisk::power_on`].
    pub fn lose_power(&self, seed: u64) {
        self.shared.with(|state| state.disk.lose_power(seed));
    }

    /// The loss of power that the disk is in.
    pub fn loss(&self) -> Option<PowerLoss> {
        self.shared.with(|state| state.disk.loss().cloned())
    }

    /// True while power is lost.
    pub fn lost(&self) -> watch::Receiver<bool> {
        self.shared.lost()
    }

    /// Waits until a rule takes the power; false if none does within this time.
    pub fn wait_for_loss(&self, timeout: Duration) -> bool {
        self.shared.wait_for_loss(timeout)
    }

    /// What survived is there again, and nothing goes wrong any more.
    pub fn power_on(&self) {
        self.shared.with(|state| state.disk.power_on());
    }
}

impl Drop for ForgetfulDisk {
    fn drop(&mut self) {
        // Whoever still waits for the disk gets an answer and can be killed.
        self.lose_power(0);
        // Lazily, since a process that is about to end may still have files open. Not allowed without root;
        // then the session unmounts through fusermount3.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        drop(self.session.take());
    }
}

/// Takes away the mounts of processes that are no more. What fails is left to the next run.
fn clear_abandoned() {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mounts") else {
        return;
    };
    for at in abandoned(&mounts, |process| {
        Path::new("/proc").join(process.to_string()).exists()
    }) {
        let _ = umount2(&at, MntFlags::MNT_DETACH);
    }
}

/// The mount points of disks in a table of mounts whose process does not live.
fn abandoned(mounts: &str, lives: impl Fn(u32) -> bool) -> Vec<PathBuf> {
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let process: u32 = words.next()?.strip_prefix(SOURCE)?.parse().ok()?;
        // The kernel writes a space in a path as \040; no run of ours makes such a path.
        let at = words.next().filter(|at| !at.contains('\\'))?;
        (!lives(process)).then(|| PathBuf::from(at))
    };
    mounts.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_ours_whose_process_is_gone_are_abandoned() {
        let mounts = "proc /proc proc rw 0 0\n\
             muster-forgetful-disk:7 /tmp/lives fuse rw 0 0\n\
             muster-forgetful-disk:8 /tmp/gone fuse rw 0 0\n\
             /dev/fuse /tmp/other fuse rw 0 0\n";
        let found = abandoned(mounts, |process| process == 7);
        assert_eq!(found, [PathBuf::from("/tmp/gone")]);
    }
}
