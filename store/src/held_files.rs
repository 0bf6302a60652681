//! Gives the space of files that RocksDB has deleted back to the disk a little at a time.
//!
//! RocksDB deletes a log or a table file at once. A file system that hands free space to its disk (`discard`) then keeps
//! everybody who waits for a sync waiting: 10 ms for a log of 30 MB where this was measured. So each of those files gets
//! a second name, `*.held`, as soon as it is seen. Where that is the only name left, the file is shortened step by step
//! and removed at last, once a loss of power cannot bring its first name back. Some file systems have no links, or do not
//! count them: there everything stays as RocksDB does it.
//!
//! Owned by one thread of `ingest`, which calls [`HeldFiles::step`] as often as that says; no thread and no clock in here.
//! Bounds: a name for each file of RocksDB; steps grow with what waits, so that it is what was deleted in the last third
//! of a second. Nothing rests on it: a step that never comes leaves names that the next start removes. It does not hold
//! what RocksDB deletes before it was seen, and never touches a file that has another name, be it in a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::Store;

/// What the second name of a file ends in. RocksDB passes over names that it does not know.
const SUFFIX: &str = ".held";

/// Between two looks at the directory. A file that lives for less is not held, nor is any that small.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two steps, while there is something to give back.
const STEP_EVERY: Duration = Duration::from_millis(10);

/// Steps until the directory is looked at again.
const STEPS_A_LOOK: u32 = 10;

/// Given back in a step at least: 0.3 ms of the disk where this was measured.
const STEP_BYTES_MIN: u64 = 1 << 20;

/// The part of all that waits that is given back in a step, if that is more: what waits is then 32 steps old.
const STEP_PART: u64 = 32;

/// The second names of the files of a data directory.
#[derive(Debug)]
pub struct HeldFiles {
    directory: PathBuf,
    /// Files with no other name and their lengths, as of the last look and the steps since.
    deleted: Vec<(PathBuf, u64)>,
    steps: u32,
}

impl HeldFiles {
    /// Those of an open store, with what an earlier process has left.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self::in_directory(&store.inner.config.directory)
    }

    fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            deleted: Vec::new(),
            steps: 0,
        }
    }

    /// Holds new files and gives back a part of what was deleted. Returns when to call again.
    ///
    /// # Errors
    /// If the file system has no links or does not count them, or refuses something else. What is held stays then, until
    /// [`HeldFiles::remove`].
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
            result = result.and(or_gone(fs::remove_file(&path)));
        }
        result
    }

    fn look(&mut self) -> io::Result<()> {
        let before = std::mem::take(&mut self.deleted);
        for path in files_in(&self.directory)? {
            if is_held(&path) {
                match fs::metadata(&path) {
                    // The only name: RocksDB has deleted its own, and no backup has the file.
                    Ok(found) if found.nlink() == 1 => self.deleted.push((path, found.len())),
                    Ok(_) => {}
                    Err(error) => or_gone(Err(error))?,
                }
            } else if is_rocksdb_file(&path) {
                or_gone(hold(&path))?;
            }
        }
        // A loss of power may bring back the name that RocksDB has deleted. Whole such a file does no harm; what a
        // start makes of one that was cut short need never be asked.
        let is_new = |(path, _): &(PathBuf, u64)| before.iter().all(|(known, _)| known != path);
        if self.deleted.iter().any(is_new) {
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Shortens deleted files by so many bytes in all, one after the other.
    fn give_back(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0
            && let Some((path, length)) = self.deleted.last_mut()
        {
            if *length > bytes {
                *length -= bytes;
                let file = OpenOptions::new().write(true).open(&*path)?;
                return file.set_len(*length);
            }
            bytes -= *length;
            fs::remove_file(&*path)?;
            self.deleted.pop();
        }
        Ok(())
    }
}

/// Gives a file its second name, unless it has one.
fn hold(path: &Path) -> io::Result<()> {
    let held = held(path);
    match fs::hard_link(path, &held) {
        // Held since an earlier look, or by an earlier file of this name, which goes first.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        linked => linked?,
    }
    let (own, second) = (fs::metadata(path)?, fs::metadata(&held)?);
    require_count(own.ino() == second.ino(), own.nlink())
}

/// A file system that says of each file that it has one name would have live files taken for deleted ones.
fn require_count(same_file: bool, names: u64) -> io::Result<()> {
    match same_file && names < 2 {
        true => Err(io::Error::other(
            "this file system does not count the names of a file",
        )),
        false => Ok(()),
    }
}

/// Bytes that `path` adds to the directory: none for a second name of a file that has its first.
pub(crate) fn own_bytes(path: &Path, metadata: &fs::Metadata) -> u64 {
    match is_held(path) && metadata.nlink() > 1 {
        true => 0,
        false => metadata.len(),
    }
}

fn files_in(directory: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(directory)?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())))
}

fn is_held(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .ends_with(SUFFIX.as_bytes())
}

fn is_rocksdb_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "log" || extension == "sst")
}

fn held(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// RocksDB deletes whenever it likes: what is gone is no failure.
fn or_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
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

        fn held_files(&self) -> HeldFiles {
            HeldFiles::in_directory(self.0.path())
        }
    }

    #[test]
    fn logs_and_tables_get_a_second_name_and_nothing_else_does() {
        let directory = Directory::with(&[("000001.log", 5), ("000002.sst", 5), ("CURRENT", 5)]);
        let mut held = directory.held_files();
        assert_eq!(held.step().unwrap(), LOOK_EVERY);
        directory.write("000003.log", 5);
        assert_eq!(held.step().unwrap(), LOOK_EVERY);
        let expected = [
            "000001.log",
            "000001.log.held",
            "000002.sst",
            "000002.sst.held",
            "000003.log",
            "000003.log.held",
            "CURRENT",
        ];
        assert_eq!(directory.names(), expected);
        held.remove().unwrap();
        let own = ["000001.log", "000002.sst", "000003.log", "CURRENT"];
        assert_eq!(directory.names(), own);
    }

    #[test]
    fn a_deleted_file_shrinks_by_a_step_at_a_time_until_it_is_gone() {
        let directory = Directory::with(&[("000001.log", 2 * MIB + 1), ("000002.log", 9)]);
        let mut held = directory.held_files();
        held.step().unwrap();
        directory.delete("000001.log");
        let mut lengths = Vec::new();
        while held.step().unwrap() == STEP_EVERY {
            lengths.push(directory.length("000001.log.held"));
        }
        assert_eq!(lengths, [Some(MIB as u64 + 1), Some(1), None]);
        assert_eq!(directory.length("000002.log"), Some(9));
    }

    #[test]
    fn the_more_waits_the_more_a_step_gives_back() {
        let directory = Directory::with(&[("1.sst", 50 * MIB), ("2.sst", 46 * MIB)]);
        let mut held = directory.held_files();
        held.step().unwrap();
        directory.delete("1.sst");
        directory.delete("2.sst");
        let mut steps = 0;
        let waiting = |held: &HeldFiles| held.deleted.iter().map(|(_, bytes)| bytes).sum::<u64>();
        held.step().unwrap();
        assert_eq!(waiting(&held), 93 * MIB as u64);
        while held.step().unwrap() == STEP_EVERY {
            steps += 1;
        }
        // By a 32nd each down to 32 MiB, then by one MiB: not the 96 steps of one MiB each.
        assert!((60..75).contains(&steps), "{steps}");
        assert_eq!(directory.names(), [""; 0]);
    }

    #[test]
    fn a_file_that_a_backup_has_is_left_whole() {
        let directory = Directory::with(&[("000001.sst", 3 * MIB)]);
        let mut held = directory.held_files();
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
        let directory = Directory::with(&[("000001.log.held", 3 * MIB), ("000001.log", 11)]);
        let mut held = directory.held_files();
        while held.step().unwrap() == STEP_EVERY {
            assert_eq!(directory.length("000001.log"), Some(11));
        }
        assert_eq!(directory.names(), ["000001.log"]);
        held.step().unwrap();
        assert_eq!(directory.names(), ["000001.log", "000001.log.held"]);
        assert_eq!(directory.length("000001.log.held"), Some(11));
    }

    #[test]
    fn a_file_system_that_does_not_count_names_is_refused_before_anything_is_cut() {
        assert!(require_count(true, 1).is_err());
        assert!(require_count(true, 2).is_ok());
        assert!(require_count(true, 3).is_ok());
        assert!(
            require_count(false, 1).is_ok(),
            "an earlier file of this name"
        );
    }

    #[test]
    fn a_second_name_counts_once() {
        let directory = Directory::with(&[("000001.log", 11), ("000002.log.held", 7)]);
        let mut held = directory.held_files();
        held.look().unwrap();
        let bytes = |name| {
            let path = directory.path(name);
            own_bytes(&path, &fs::metadata(&path).unwrap())
        };
        assert_eq!(bytes("000001.log"), 11);
        assert_eq!(bytes("000001.log.held"), 0);
        assert_eq!(bytes("000002.log.held"), 7);
    }
}
