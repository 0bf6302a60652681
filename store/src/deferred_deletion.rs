//! Gives the space of files that RocksDB has deleted back to the disk a little at a time.
//!
//! RocksDB deletes a log or a table file at once. A file system that hands free space to its disk (`discard`) then keeps
//! everybody who waits for a sync waiting: 10 ms for a log of 30 MB where this was measured. So each of those files gets
//! a second name, `*.deferred`, as soon as it is seen. Where that is the only name left, the file is shortened step by step
//! and removed at last, once a loss of power cannot bring its first name back. Some file systems have no links, or do not
//! count them: there everything stays as RocksDB does it.
//!
//! Owned by one thread of `ingest`, which calls [`DeferredDeletion::step`] as often as that says; no thread and no clock in here.
//! Bounds: a name for each file of RocksDB, and for those of a backup that were deleted since that thread began; steps
//! grow with what waits, so that it is what was deleted in the last second or so. Nothing rests on it: a step that never
//! comes leaves names that the next start removes. It does not hold what RocksDB deletes before it was seen, and never
//! shortens a file that has another name, be it in a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the second name of a file ends in. RocksDB passes over names that it does not know.
const SUFFIX: &str = ".deferred";

/// Between two looks at the directory. A file that lives for less is not held, nor is any that small.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two steps, while there is something to give back.
const STEP_EVERY: Duration = Duration::from_millis(10);

/// Steps until the directory is looked at again.
const STEPS_A_LOOK: u32 = 10;

/// Given back in a step at least: 0.3 ms of the disk where this was measured.
const STEP_BYTES_MIN: u64 = 1 << 20;

/// The part of all that waits that is given back in a step, if that is more: a compaction leaves hundreds of MiB at
/// once, which should not lie there for long.
const STEP_PART: u64 = 16;

/// What file systems say that have no links.
const NO_LINKS: [ErrorKind; 3] = [
    ErrorKind::PermissionDenied,
    ErrorKind::Unsupported,
    ErrorKind::TooManyLinks,
];

/// The second names of the files of a data directory.
#[derive(Debug)]
pub struct DeferredDeletion {
    directory: PathBuf,
    /// Files with no other name and their lengths, as of the last look and the steps since.
    deleted: Vec<(PathBuf, u64)>,
    steps: u32,
}

impl DeferredDeletion {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            deleted: Vec::new(),
            steps: 0,
        }
    }

    /// Holds new files and gives back a part of what was deleted. Returns when to call again.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the file system has no links or does not count them; it will not later either.
    /// Whatever else it refuses, a later step may do it.
    pub fn step(&mut self) -> io::Result<Duration> {
        if self.steps == 0 {
            self.look()?;
        }
        if self.deleted.is_empty() {
            self.steps = 0;
            return Ok(LOOK_EVERY);
        }
        self.steps = (self.steps + 1) % STEPS_A_LOOK;
        let waiting: u64 = self.deleted.iter().map(|(_, bytes)| bytes).sum();
        self.give_back((waiting / STEP_PART).max(STEP_BYTES_MIN))?;
        Ok(STEP_EVERY)
    }

    /// Removes all second names, at once: for the end, when nobody waits for the disk any more.
    ///
    /// # Errors
    /// If one cannot be removed; the others are.
    pub fn remove(self) -> io::Result<()> {
        let mut result = Ok(());
        for path in files_in(&self.directory)?.filter(|path| is_held(path)) {
            result = result.and(if_there(fs::remove_file(&path)).map(drop));
        }
        result
    }

    fn look(&mut self) -> io::Result<()> {
        let mut deleted = Vec::new();
        for path in files_in(&self.directory)? {
            if let Some(own) = own_name(&path) {
                let bytes = if_there(bytes_of_deleted(&path, &own))?.flatten();
                deleted.extend(bytes.map(|bytes| (path, bytes)));
            } else if is_rocksdb_file(&path) {
                if_there(hold(&path))?;
            }
        }
        // A loss of power may bring back the name that RocksDB has deleted. Whole such a file does no harm; what a
        // start makes of one that was cut short need never be asked. Nothing is taken note of unless that is synced.
        let is_new =
            |(path, _): &(PathBuf, u64)| self.deleted.iter().all(|(known, _)| known != path);
        if deleted.iter().any(is_new) {
            File::open(&self.directory)?.sync_all()?;
        }
        self.deleted = deleted;
        Ok(())
    }

    /// Shortens deleted files by so many bytes in all, one after the other.
    fn give_back(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0
            && let Some((path, length)) = self.deleted.last_mut()
        {
            if *length > bytes {
                *length -= bytes;
                return if_there(shorten(path, *length)).map(drop);
            }
            bytes -= *length;
            if_there(fs::remove_file(&*path))?;
            self.deleted.pop();
        }
        Ok(())
    }
}

/// The length of a file whose second name is its only one: RocksDB has deleted its own, and no backup has it. None for
/// any other.
fn bytes_of_deleted(path: &Path, own: &Path) -> io::Result<Option<u64>> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() || found.nlink() > 1 {
        return Ok(None);
    }
    match fs::symlink_metadata(own) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(found.len())),
        Err(error) => Err(error),
        // Of an earlier file of this number, if names are counted right. To take a name away is harmless even if they
        // are not; to shorten the file would not be.
        Ok(_) => fs::remove_file(path).map(|()| None),
    }
}

/// Gives a file its second name, unless it has one.
fn hold(path: &Path) -> io::Result<()> {
    let held = held(path);
    match fs::hard_link(path, &held) {
        // Held since an earlier look.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if NO_LINKS.contains(&error.kind()) => {
            return Err(io::Error::new(ErrorKind::Unsupported, error));
        }
        linked => linked?,
    }
    let (own, second) = (fs::metadata(path)?, fs::metadata(&held)?);
    require_count(own.ino() == second.ino(), second.nlink())
}

/// A file system that says of each file that it has one name, or has a number for each name, would have live files taken
/// for deleted ones.
fn require_count(same_file: bool, names: u64) -> io::Result<()> {
    if same_file && names >= 2 {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::Unsupported,
        "this file system does not count the names of a file",
    ))
}

fn shorten(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

/// Bytes that `path` adds to the directory: none for a second name of a file that has its first.
pub(crate) fn own_bytes(path: &Path, metadata: &fs::Metadata) -> u64 {
    if is_held(path) && metadata.nlink() > 1 {
        0
    } else {
        metadata.len()
    }
}

fn files_in(directory: &Path) -> io::Result<impl Iterator<Item = PathBuf> + use<>> {
    let entries = fs::read_dir(directory)?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())))
}

fn is_held(path: &Path) -> bool {
    own_name(path).is_some()
}

/// The name that RocksDB gave to the file of this second name, if it is one.
fn own_name(path: &Path) -> Option<PathBuf> {
    let own = path.with_file_name(path.file_name()?.to_str()?.strip_suffix(SUFFIX)?);
    is_rocksdb_file(&own).then_some(own)
}

/// A log or a table of RocksDB: a number, a point and the kind.
fn is_rocksdb_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.split_once('.'))
        .is_some_and(|(number, kind)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && ["log", "sst"].contains(&kind)
        })
}

fn held(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// RocksDB deletes whenever it likes: what is gone is no failure.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::{TempDir, tempdir};

    const MIB: usize = 1 << 20;

    struct Directory(TempDir);

    impl Directory {
        fn with(files: &[(&str, usize)]) -> Self {
            let directory = Self(tempdir().unwrap());
            for (name, bytes) in files {
                directory.write(name, *bytes);
            }
            directory
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, bytes: usize) {
            fs::write(self.path(name), vec![7; bytes]).unwrap();
        }

        fn delete(&self, name: &str) {
            fs::remove_file(self.path(name)).unwrap();
        }

        fn length(&self, name: &str) -> Option<u64> {
            fs::metadata(self.path(name)).ok().map(|found| found.len())
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> = files_in(self.0.path())
                .unwrap()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        }

        fn deferred_deletion(&self) -> DeferredDeletion {
            DeferredDeletion::in_directory(self.0.path())
        }
    }

    /// Steps until nothing waits, that last look not counted.
    fn steps_to_end(held: &mut DeferredDeletion) -> usize {
        std::iter::from_fn(|| (held.step().unwrap() == STEP_EVERY).then_some(())).count()
    }

    #[test]
    fn logs_and_tables_get_a_second_name_and_nothing_else_does() {
        let others = [("CURRENT", 5), ("notes.deferred", 5), ("muster.log", 5)];
        let directory = Directory::with(&others);
        directory.write("000001.log", 5);
        directory.write("000002.sst", 5);
        let mut held = directory.deferred_deletion();
        assert_eq!(held.step().unwrap(), LOOK_EVERY);
        directory.write("000003.log", 5);
        assert_eq!(held.step().unwrap(), LOOK_EVERY);
        let expected = [
            "000001.log",
            "000001.log.deferred",
            "000002.sst",
            "000002.sst.deferred",
            "000003.log",
            "000003.log.deferred",
            "CURRENT",
            "muster.log",
            "notes.deferred",
        ];
        assert_eq!(directory.names(), expected);
        held.remove().unwrap();
        let own = ["000001.log", "000002.sst", "000003.log"];
        let others = ["CURRENT", "muster.log", "notes.deferred"];
        assert_eq!(directory.names(), [&own[..], &others].concat());
    }

    #[test]
    fn a_deleted_file_shrinks_by_a_step_at_a_time_until_it_is_gone() {
        let directory = Directory::with(&[("000001.log", 2 * MIB + 1), ("000002.log", 9)]);
        let mut held = directory.deferred_deletion();
        held.step().unwrap();
        directory.delete("000001.log");
        let mut lengths = Vec::new();
        while held.step().unwrap() == STEP_EVERY {
            lengths.push(directory.length("000001.log.deferred"));
        }
        assert_eq!(lengths, [Some(MIB as u64 + 1), Some(1), None]);
        assert_eq!(directory.length("000002.log"), Some(9));
    }

    #[test]
    fn the_more_waits_the_more_a_step_gives_back() {
        let directory = Directory::with(&[("1.sst", 50 * MIB), ("2.sst", 46 * MIB)]);
        let mut held = directory.deferred_deletion();
        held.step().unwrap();
        directory.delete("1.sst");
        directory.delete("2.sst");
        let waiting =
            |held: &DeferredDeletion| held.deleted.iter().map(|(_, bytes)| bytes).sum::<u64>();
        held.step().unwrap();
        assert_eq!(waiting(&held), 90 * MIB as u64);
        let steps = steps_to_end(&mut held);
        // By a 16th each down to 16 MiB, then by one MiB: not the 96 steps of one MiB each.
        assert!((38..48).contains(&steps), "{steps}");
        assert_eq!(directory.names(), [""; 0]);
    }

    #[test]
    fn a_file_that_a_backup_has_is_left_whole() {
        let directory = Directory::with(&[("000001.sst", 3 * MIB)]);
        let mut held = directory.deferred_deletion();
        held.step().unwrap();
        let backup = tempdir().unwrap();
        let copy = backup.path().join("000001.sst");
        fs::hard_link(directory.path("000001.sst"), &copy).unwrap();
        directory.delete("000001.sst");
        assert_eq!(held.step().unwrap(), LOOK_EVERY);
        assert_eq!(fs::metadata(&copy).unwrap().len(), 3 * MIB as u64);
        fs::remove_file(&copy).unwrap();
        assert_eq!(held.step().unwrap(), STEP_EVERY);
    }

    #[test]
    fn what_a_killed_process_left_goes_and_a_number_may_come_again() {
        let directory = Directory::with(&[("000001.log.deferred", 3 * MIB), ("000001.log", 11)]);
        directory.write("000002.log.deferred", 3 * MIB);
        let mut held = directory.deferred_deletion();
        assert_eq!(steps_to_end(&mut held), 3, "the second, which nobody has");
        assert_eq!(directory.length("000001.log"), Some(11));
        held.step().unwrap();
        assert_eq!(directory.names(), ["000001.log", "000001.log.deferred"]);
        assert_eq!(directory.length("000001.log.deferred"), Some(11));
    }

    /// As on a file system that says of every file that it has one name.
    #[test]
    fn a_file_that_has_its_first_name_is_never_cut() {
        let directory =
            Directory::with(&[("000001.sst", 3 * MIB), ("000001.sst.deferred", 3 * MIB)]);
        let mut held = directory.deferred_deletion();
        held.step().unwrap();
        held.step().unwrap();
        assert_eq!(directory.length("000001.sst"), Some(3 * MIB as u64));
        assert!(held.deleted.is_empty());
    }

    #[test]
    fn a_file_that_somebody_removed_is_passed_over() {
        let directory =
            Directory::with(&[("1.sst.deferred", 3 * MIB), ("2.sst.deferred", 3 * MIB)]);
        let mut held = directory.deferred_deletion();
        held.step().unwrap();
        directory.delete("1.sst.deferred");
        directory.delete("2.sst.deferred");
        steps_to_end(&mut held);
        assert_eq!(directory.names(), [""; 0]);
    }

    /// What a look that failed has seen was not synced: the next one must not take it for known.
    #[test]
    fn a_look_that_fails_takes_note_of_nothing() {
        let directory = Directory::with(&[]);
        // In whatever order they are read, some of them most likely come before the one that fails.
        for number in 0..20 {
            directory.write(&format!("{number}.sst.deferred"), 5);
        }
        // No file system links a directory.
        fs::create_dir(directory.path("20.log")).unwrap();
        let mut held = directory.deferred_deletion();
        let error = held.step().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(held.deleted.is_empty());
    }

    #[test]
    fn a_file_system_that_does_not_count_names_is_refused_before_anything_is_cut() {
        assert!(require_count(true, 1).is_err());
        assert!(require_count(true, 2).is_ok());
        assert!(require_count(true, 3).is_ok());
        assert!(require_count(false, 1).is_err(), "a number for each name");
        assert!(require_count(false, 2).is_err());
    }

    #[test]
    fn a_second_name_counts_once() {
        let directory = Directory::with(&[("000001.log", 11), ("000002.log.deferred", 7)]);
        let mut held = directory.deferred_deletion();
        held.look().unwrap();
        let bytes = |name| {
            let path = directory.path(name);
            own_bytes(&path, &fs::metadata(&path).unwrap())
        };
        assert_eq!(bytes("000001.log"), 11);
        assert_eq!(bytes("000001.log.deferred"), 0);
        assert_eq!(bytes("000002.log.deferred"), 7);
    }
}
