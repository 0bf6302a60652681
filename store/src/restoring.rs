//! The file RESTORING: marks a directory that a restore is filling, and lists the files that it creates there.
//!
//! ```text
//! muster-restoring 1
//! 000012.sst
//! CURRENT
//! ```
//!
//! It is durable before the first listed file is created, and removed once the final name of the directory is durable.
//! So a directory that contains it is incomplete, and no server opens it. The next restore removes the listed files,
//! and no others, and starts over. The file is locked (flock) while a restore is running; the kernel releases the lock
//! when the process ends.
//!
//! Owned by the restore. Bounds: one name per file of the backup. Copies no files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::RestoringError;
use crate::kill_point::kill_point;

const NAME: &str = "RESTORING";
const MAGIC: &str = "muster-restoring 1\n";
/// Upper bound for reading the file; the names of any backup fit.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Suffix of the name of an incomplete directory.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// The temporary name of `directory` until it is complete.
#[must_use]
pub fn partial_of(directory: &Path) -> PathBuf {
    // Removes a trailing slash: the temporary directory is a sibling, not a child.
    let directory: PathBuf = directory.components().collect();
    let mut name = directory.into_os_string();
    name.push(PARTIAL_SUFFIX);
    PathBuf::from(name)
}

/// The lock on the RESTORING of a directory, held until this is dropped.
#[derive(Debug)]
pub struct Restoring {
    directory: PathBuf,
    names: Vec<OsString>,
    /// Keeps the lock.
    _file: File,
}

impl Restoring {
    /// Whether a restore left `directory` incomplete or is running there.
    pub fn is_in(directory: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(directory.join(NAME)) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Takes over the incomplete restore in `directory`; `None` if the directory is missing or empty.
    ///
    /// # Errors
    /// A restore is running there, or the directory contains files that no restore created.
    pub fn find(directory: &Path) -> Result<Option<Self>, RestoringError> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(cannot("list", directory))?,
        };
        let mut found: Vec<OsString> = Vec::new();
        let mut has_mark = false;
        for entry in entries {
            let entry = entry.map_err(cannot("list", directory))?;
            let is_file = entry
                .file_type()
                .map_err(cannot("inspect", directory))?
                .is_file();
            if !is_file {
                return Err(RestoringError::occupied(directory));
            }
            if entry.file_name() == NAME {
                has_mark = true;
            } else {
                found.push(entry.file_name());
            }
        }
        if !has_mark {
            return if found.is_empty() {
                Ok(None)
            } else {
                Err(RestoringError::occupied(directory))
            };
        }
        let file =
            File::open(directory.join(NAME)).map_err(cannot("open RESTORING of", directory))?;
        lock(directory, &file)?;
        let mut text = String::new();
        (&file)
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(cannot("read RESTORING of", directory))?;
        let Some(names) = parse(&text) else {
            return Err(RestoringError::occupied(directory));
        };
        if found.iter().any(|name| !names.contains(name)) {
            return Err(RestoringError::occupied(directory));
        }
        Ok(Some(Self {
            directory: directory.to_path_buf(),
            names,
            _file: file,
        }))
    }

    /// Marks the empty `directory` before files with these names are created in it.
    ///
    /// # Errors
    /// Another restore has marked it, or the write failed.
    pub fn begin(directory: &Path, names: Vec<OsString>) -> Result<Self, RestoringError> {
        let path = directory.join(NAME);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(RestoringError::in_progress(directory));
            }
            created => created.map_err(cannot("create RESTORING of", directory))?,
        };
        lock(directory, &file)?;
        // Between creation and lock, another restore may have taken the file for an abandoned one and removed it.
        let own = file
            .metadata()
            .map_err(cannot("inspect RESTORING of", directory))?
            .ino();
        if fs::metadata(&path).map_or(true, |there| there.ino() != own) {
            return Err(RestoringError::in_progress(directory));
        }
        let mut text = MAGIC.as_bytes().to_vec();
        for name in &names {
            text.extend_from_slice(name.as_encoded_bytes());
            text.push(b'\n');
        }
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(cannot("write RESTORING of", directory))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            names,
            _file: file,
        })
    }

    /// Removes the mark. The directory, now named `directory`, is complete and durable.
    pub fn finish(self, directory: &Path) -> io::Result<()> {
        fs::remove_file(directory.join(NAME))?;
        File::open(directory)?.sync_all()
    }

    /// Empties the directory: first the listed files, then RESTORING itself.
    pub fn remove(self) -> io::Result<()> {
        for name in &self.names {
            kill_point("store.restoring.between_removals");
            match fs::remove_file(self.directory.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // RESTORING must outlast the files that it lists, also after a power loss.
        File::open(&self.directory)?.sync_all()?;
        kill_point("store.restoring.before_last_removal");
        fs::remove_file(self.directory.join(NAME))
    }
}

/// The listed names. A torn file lists none: it was not durable before any file was created.
fn parse(text: &str) -> Option<Vec<OsString>> {
    match text.strip_prefix(MAGIC) {
        Some(names) => Some(names.lines().map(OsString::from).collect()),
        None => MAGIC.starts_with(text).then(Vec::new),
    }
}

/// Converts an error of the operating system to "cannot {action} {directory}".
fn cannot(action: &'static str, directory: &Path) -> impl FnOnce(io::Error) -> RestoringError {
    move |error| RestoringError::io(directory, action, error)
}

fn lock(directory: &Path, file: &File) -> Result<(), RestoringError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RestoringError::in_progress(directory)),
        Err(TryLockError::Error(error)) => Err(RestoringError::io(directory, "lock", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    fn names_in(directory: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_of_an_incomplete_restore_are_removed_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert!(Restoring::find(&at.join("missing")).unwrap().is_none());
        assert!(Restoring::find(at).unwrap().is_none());
        let running = Restoring::begin(at, names(&["CURRENT", "1.sst"])).unwrap();
        fs::write(at.join("CURRENT"), "half").unwrap();
        assert!(Restoring::is_in(at).unwrap());
        for busy in [
            Restoring::find(at).map(drop),
            Restoring::begin(at, Vec::new()).map(drop),
        ] {
            assert!(
                matches!(busy, Err(RestoringError::InProgress { .. })),
                "{busy:?}"
            );
        }
        drop(running);

        // An unlisted file, a directory, a symbolic link: not created by a restore.
        fs::write(at.join("notes.txt"), "mine").unwrap();
        let occupied = |found: Result<Option<Restoring>, _>| {
            assert!(
                matches!(found, Err(RestoringError::Occupied { .. })),
                "{found:?}"
            );
        };
        occupied(Restoring::find(at));
        fs::remove_file(at.join("notes.txt")).unwrap();
        fs::create_dir(at.join("1.sst")).unwrap();
        occupied(Restoring::find(at));
        fs::remove_dir(at.join("1.sst")).unwrap();
        std::os::unix::fs::symlink("/", at.join("1.sst")).unwrap();
        occupied(Restoring::find(at));
        fs::remove_file(at.join("1.sst")).unwrap();
        assert_eq!(names_in(at), names(&["CURRENT", NAME]));

        Restoring::find(at).unwrap().unwrap().remove().unwrap();
        assert_eq!(names_in(at), names(&[]));
    }

    #[test]
    fn a_torn_mark_lists_no_files_and_other_contents_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for length in 0..=MAGIC.len() {
            fs::write(at.join(NAME), &MAGIC[..length]).unwrap();
            fs::write(at.join("CURRENT"), "?").unwrap();
            assert!(Restoring::find(at).is_err(), "{length} bytes");
            fs::remove_file(at.join("CURRENT")).unwrap();
            Restoring::find(at).unwrap().unwrap().remove().unwrap();
            assert_eq!(names_in(at), names(&[]));
        }
        for other in ["muster-restoring 2\n", "a list", "\0\0\0\0"] {
            fs::write(at.join(NAME), other).unwrap();
            assert!(Restoring::find(at).is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_temporary_directory_is_a_sibling() {
        for directory in ["a/data", "a/data/", "a/data/."] {
            assert_eq!(
                partial_of(Path::new(directory)),
                Path::new("a/data.partial")
            );
        }
    }
}
