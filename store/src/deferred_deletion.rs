//! Deferred deletion: releases the space of files that RocksDB deletes in small steps.
//!
//! RocksDB unlinks a log or table file at once. On a file system mounted with `discard`, freeing its blocks then delays
//! every sync: by 10 ms for a log of 30 MB, where this was measured. So each of these files gets a hard link,
//! `*.deferred`. When that is the only link left, the file is truncated step by step and finally removed, once the
//! deletion of its original name is durable. File systems without hard links or link counts are left alone.
//!
//! Owned by one thread of `ingest`, which calls [`DeferredDeletion::step`] at the interval that it returns; no thread
//! and no clock here. Bounds: one link per file of RocksDB, plus those of files that a backup still links; steps grow
//! with the pending bytes, so about one second of deletions is pending. Correctness does not depend on it: links that
//! are left over are removed after the next start. Does not defer files deleted before a scan has linked them, and
//! never truncates a file that has another link, such as one in a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Suffix of the links. RocksDB ignores file names that it does not know.
const SUFFIX: &str = ".deferred";

/// Interval between scans of the directory. A file that is deleted sooner is not deferred, but it is small.
const SCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Interval between steps while bytes are pending.
const STEP_INTERVAL: Duration = Duration::from_millis(10);

/// Steps between two scans.
const STEPS_PER_SCAN: u32 = 10;

/// Bytes released per step at least: 0.3 ms of disk time where this was measured.
const STEP_BYTES_MIN: u64 = 1 << 20;

/// A step releases the pending bytes divided by this, if that is more: a compaction deletes hundreds of MiB at once,
/// which should be released soon.
const STEP_DIVISOR: u64 = 16;

/// Errors of file systems without hard links.
const NO_LINKS: [ErrorKind; 3] = [
    ErrorKind::PermissionDenied,
    ErrorKind::Unsupported,
    ErrorKind::TooManyLinks,
];

/// The deferred deletion of the files of one data directory.
#[derive(Debug)]
pub struct DeferredDeletion {
    directory: PathBuf,
    /// Deleted files and their lengths, as of the last scan and the steps since.
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

    /// Links new files and releases a part of the deleted ones. Returns the time until the next call.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the file system has no hard links or link counts: permanent. Other errors may be
    /// transient; call again.
    pub fn step(&mut self) -> io::Result<Duration> {
        if self.steps == 0 {
            self.scan()?;
        }
        if self.deleted.is_empty() {
            self.steps = 0;
            return Ok(SCAN_INTERVAL);
        }
        self.steps = (self.steps + 1) % STEPS_PER_SCAN;
        let pending: u64 = self.deleted.iter().map(|(_, bytes)| bytes).sum();
        self.truncate((pending / STEP_DIVISOR).max(STEP_BYTES_MIN))?;
        Ok(STEP_INTERVAL)
    }

    /// Removes all links at once: for shutdown, when no sync is waiting.
    ///
    /// # Errors
    /// The first link that could not be removed; the others are removed.
    pub fn remove(self) -> io::Result<()> {
        let mut result = Ok(());
        for path in files_in(&self.directory)?.filter(|path| is_link(path)) {
            result = result.and(ignore_missing(fs::remove_file(&path)).map(drop));
        }
        result
    }

    fn scan(&mut self) -> io::Result<()> {
        let mut deleted = Vec::new();
        for path in files_in(&self.directory)? {
            if let Some(original) = original_of(&path) {
                let bytes = ignore_missing(deleted_bytes(&path, &original))?.flatten();
                deleted.extend(bytes.map(|bytes| (path, bytes)));
            } else if is_rocksdb_file(&path) {
                ignore_missing(defer(&path))?;
            }
        }
        // A power loss may restore a name that RocksDB has deleted. A complete file under it is harmless, a truncated
        // one may not be. So the directory is synced before a file counts as deleted.
        let is_new =
            |(path, _): &(PathBuf, u64)| self.deleted.iter().all(|(known, _)| known != path);
        if deleted.iter().any(is_new) {
            File::open(&self.directory)?.sync_all()?;
        }
        self.deleted = deleted;
        Ok(())
    }

    /// Truncates deleted files one after the other, by `bytes` in total.
    fn truncate(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0
            && let Some((path, length)) = self.deleted.last_mut()
        {
            if *length > bytes {
                *length -= bytes;
                return ignore_missing(set_length(path, *length)).map(drop);
            }
            bytes -= *length;
            ignore_missing(fs::remove_file(&*path))?;
            self.deleted.pop();
        }
        Ok(())
    }
}

/// The length of a file whose deferred link is its only one: RocksDB has deleted the original, and no backup links it.
/// `None` for any other file.
fn deleted_bytes(link: &Path, original: &Path) -> io::Result<Option<u64>> {
    let found = fs::symlink_metadata(link)?;
    if !found.is_file() || found.nlink() > 1 {
        return Ok(None);
    }
    match fs::symlink_metadata(original) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(found.len())),
        Err(error) => Err(error),
        // The link belongs to an earlier file with this number, if the link count is right. Removing the link is safe
        // even if the count is wrong; truncating the file is not.
        Ok(_) => fs::remove_file(link).map(|()| None),
    }
}

/// Creates the deferred link of a file, unless it exists.
fn defer(path: &Path) -> io::Result<()> {
    let link = link_of(path);
    match fs::hard_link(path, &link) {
        // Linked by an earlier scan.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if NO_LINKS.contains(&error.kind()) => {
            return Err(io::Error::new(ErrorKind::Unsupported, error));
        }
        linked => linked?,
    }
    let (original, linked) = (fs::metadata(path)?, fs::metadata(&link)?);
    require_link_count(original.ino() == linked.ino(), linked.nlink())
}

/// On a file system that reports one link for every file, or a different inode number per link, live files would be
/// taken for deleted ones.
fn require_link_count(same_inode: bool, links: u64) -> io::Result<()> {
    if same_inode && links >= 2 {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::Unsupported,
        "this file system does not count hard links",
    ))
}

fn set_length(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

/// Bytes that `path` adds to the directory: 0 for a deferred link whose file has another link.
pub(crate) fn disk_bytes(path: &Path, metadata: &fs::Metadata) -> u64 {
    if is_link(path) && metadata.nlink() > 1 {
        0
    } else {
        metadata.len()
    }
}

fn files_in(directory: &Path) -> io::Result<impl Iterator<Item = PathBuf> + use<>> {
    let entries = fs::read_dir(directory)?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())))
}

fn is_link(path: &Path) -> bool {
    original_of(path).is_some()
}

/// The path that RocksDB gave to the file, if `path` is a deferred link.
fn original_of(path: &Path) -> Option<PathBuf> {
    let original = path.with_file_name(path.file_name()?.to_str()?.strip_suffix(SUFFIX)?);
    is_rocksdb_file(&original).then_some(original)
}

/// Whether this is a log or table file of RocksDB: a number, a point and the kind.
fn is_rocksdb_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.split_once('.'))
        .is_some_and(|(number, kind)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && ["log", "sst"].contains(&kind)
        })
}

fn link_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// RocksDB deletes files concurrently, so a missing file is not an error.
fn ignore_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
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

    /// Steps until nothing is pending; returns the number of steps that released bytes.
    fn steps_to_end(deletion: &mut DeferredDeletion) -> usize {
        std::iter::from_fn(|| (deletion.step().unwrap() == STEP_INTERVAL).then_some(())).count()
    }

    #[test]
    fn log_and_table_files_are_linked_and_no_others() {
        let others = [("CURRENT", 5), ("notes.deferred", 5), ("muster.log", 5)];
        let directory = Directory::with(&others);
        directory.write("000001.log", 5);
        directory.write("000002.sst", 5);
        let mut deletion = directory.deferred_deletion();
        assert_eq!(deletion.step().unwrap(), SCAN_INTERVAL);
        directory.write("000003.log", 5);
        assert_eq!(deletion.step().unwrap(), SCAN_INTERVAL);
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
        deletion.remove().unwrap();
        let originals = ["000001.log", "000002.sst", "000003.log"];
        let others = ["CURRENT", "muster.log", "notes.deferred"];
        assert_eq!(directory.names(), [&originals[..], &others].concat());
    }

    #[test]
    fn a_deleted_file_is_truncated_step_by_step_and_removed() {
        let directory = Directory::with(&[("000001.log", 2 * MIB + 1), ("000002.log", 9)]);
        let mut deletion = directory.deferred_deletion();
        deletion.step().unwrap();
        directory.delete("000001.log");
        let mut lengths = Vec::new();
        while deletion.step().unwrap() == STEP_INTERVAL {
            lengths.push(directory.length("000001.log.deferred"));
        }
        assert_eq!(lengths, [Some(MIB as u64 + 1), Some(1), None]);
        assert_eq!(directory.length("000002.log"), Some(9));
    }

    #[test]
    fn a_step_releases_more_when_more_is_pending() {
        let directory = Directory::with(&[("1.sst", 50 * MIB), ("2.sst", 46 * MIB)]);
        let mut deletion = directory.deferred_deletion();
        deletion.step().unwrap();
        directory.delete("1.sst");
        directory.delete("2.sst");
        deletion.step().unwrap();
        let pending: u64 = deletion.deleted.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(pending, 90 * MIB as u64);
        let steps = steps_to_end(&mut deletion);
        // A 16th each down to 16 MiB, then one MiB each, instead of 96 steps of one MiB.
        assert!((38..48).contains(&steps), "{steps}");
        assert_eq!(directory.names(), [""; 0]);
    }

    #[test]
    fn a_file_that_a_backup_links_is_not_truncated() {
        let directory = Directory::with(&[("000001.sst", 3 * MIB)]);
        let mut deletion = directory.deferred_deletion();
        deletion.step().unwrap();
        let backup = tempdir().unwrap();
        let copy = backup.path().join("000001.sst");
        fs::hard_link(directory.path("000001.sst"), &copy).unwrap();
        directory.delete("000001.sst");
        assert_eq!(deletion.step().unwrap(), SCAN_INTERVAL);
        assert_eq!(fs::metadata(&copy).unwrap().len(), 3 * MIB as u64);
        fs::remove_file(&copy).unwrap();
        assert_eq!(deletion.step().unwrap(), STEP_INTERVAL);
    }

    #[test]
    fn links_of_a_killed_process_are_removed_and_a_file_number_may_be_reused() {
        let directory = Directory::with(&[("000001.log.deferred", 3 * MIB), ("000001.log", 11)]);
        directory.write("000002.log.deferred", 3 * MIB);
        let mut deletion = directory.deferred_deletion();
        assert_eq!(
            steps_to_end(&mut deletion),
            3,
            "the file without another link"
        );
        assert_eq!(directory.length("000001.log"), Some(11));
        deletion.step().unwrap();
        assert_eq!(directory.names(), ["000001.log", "000001.log.deferred"]);
        assert_eq!(directory.length("000001.log.deferred"), Some(11));
    }

    /// As on a file system that reports one link for every file.
    #[test]
    fn a_file_with_its_original_name_is_never_truncated() {
        let directory =
            Directory::with(&[("000001.sst", 3 * MIB), ("000001.sst.deferred", 3 * MIB)]);
        let mut deletion = directory.deferred_deletion();
        deletion.step().unwrap();
        deletion.step().unwrap();
        assert_eq!(directory.length("000001.sst"), Some(3 * MIB as u64));
        assert!(deletion.deleted.is_empty());
    }

    #[test]
    fn a_missing_link_is_ignored() {
        let directory =
            Directory::with(&[("1.sst.deferred", 3 * MIB), ("2.sst.deferred", 3 * MIB)]);
        let mut deletion = directory.deferred_deletion();
        deletion.step().unwrap();
        directory.delete("1.sst.deferred");
        directory.delete("2.sst.deferred");
        steps_to_end(&mut deletion);
        assert_eq!(directory.names(), [""; 0]);
    }

    /// A failed scan has not synced the directory, so the next one must not take its files for known.
    #[test]
    fn a_failed_scan_records_no_deleted_files() {
        let directory = Directory::with(&[]);
        // In any directory order, some of them most likely precede the one that fails.
        for number in 0..20 {
            directory.write(&format!("{number}.sst.deferred"), 5);
        }
        // Directories cannot be hard-linked.
        fs::create_dir(directory.path("20.log")).unwrap();
        let mut deletion = directory.deferred_deletion();
        let error = deletion.step().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(deletion.deleted.is_empty());
    }

    #[test]
    fn a_file_system_without_link_counts_is_refused() {
        assert!(require_link_count(true, 1).is_err());
        assert!(require_link_count(true, 2).is_ok());
        assert!(require_link_count(true, 3).is_ok());
        assert!(
            require_link_count(false, 1).is_err(),
            "an inode number per link"
        );
        assert!(require_link_count(false, 2).is_err());
    }

    #[test]
    fn a_linked_file_counts_once() {
        let directory = Directory::with(&[("000001.log", 11), ("000002.log.deferred", 7)]);
        let mut deletion = directory.deferred_deletion();
        deletion.scan().unwrap();
        let bytes = |name| {
            let path = directory.path(name);
            disk_bytes(&path, &fs::metadata(&path).unwrap())
        };
        assert_eq!(bytes("000001.log"), 11);
        assert_eq!(bytes("000001.log.deferred"), 0);
        assert_eq!(bytes("000002.log.deferred"), 7);
    }
}
