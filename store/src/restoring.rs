//! The file RESTORING: a directory that a restore is filling, and the names of all that it puts there.
//!
//! ```text
//! muster-restoring 1
//! 000012.sst
//! CURRENT
//! ```
//!
//! It is durable before the first file that it names, and removed when the directory has its own name for good.
//! So a directory with it is unfinished and served by nobody, and whoever finds it may remove what it names and
//! nothing else: a restore that was cut short is simply ordered again. It is locked (flock) while a restore is at
//! work, and the kernel releases the lock with the process.
//!
//! Owned by the restore; it copies nothing itself. Bounds: as many names as a backup has files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::RestoringError;
use crate::kill_point::kill_point;

const NAME: &str = "RESTORING";
const MAGIC: &str = "muster-restoring 1\n";
/// More than the names of any backup; a longer file is something else.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a directory is called until it is whole.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// The name of `directory` until it is whole.
#[must_use]
pub fn partial_of(directory: &Path) -> PathBuf {
    // Without the slash that may end it: the name goes beside the directory, not into it.
    let directory: PathBuf = directory.components().collect();
    let mut name = directory.into_os_string();
    name.push(PARTIAL_SUFFIX);
    PathBuf::from(name)
}

/// A directory with a RESTORING that is ours until this is dropped.
#[derive(Debug)]
pub struct Restoring {
    directory: PathBuf,
    names: Vec<OsString>,
    /// Holds the lock.
    _file: File,
}

impl Restoring {
    /// Whether a restore has left `directory` unfinished, or is at work there.
    pub fn is_in(directory: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(directory.join(NAME)) {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Takes over what an earlier restore left in `directory`; none if it is missing or empty.
    ///
    /// # Errors
    /// A restore is at work there, or something lies there that no restore has put.
    pub fn find(directory: &Path) -> Result<Option<Self>, RestoringError> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(failed(directory, "list"))?,
        };
        let mut found: Vec<OsString> = Vec::new();
        let mut has_file = false;
        for entry in entries {
            let entry = entry.map_err(failed(directory, "list"))?;
            let is_file = entry
                .file_type()
                .map_err(failed(directory, "look at"))?
                .is_file();
            if !is_file {
                return Err(RestoringError::occupied(directory));
            }
            if entry.file_name() == NAME {
                has_file = true;
            } else {
                found.push(entry.file_name());
            }
        }
        if !has_file {
            return if found.is_empty() {
                Ok(None)
            } else {
                Err(RestoringError::occupied(directory))
            };
        }
        let file =
            File::open(directory.join(NAME)).map_err(failed(directory, "open RESTORING of"))?;
        lock(directory, &file)?;
        let mut text = String::new();
        (&file)
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed(directory, "read RESTORING of"))?;
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

    /// Marks `directory`, which is empty, before files of these names are put into it.
    ///
    /// # Errors
    /// Another restore was quicker, or the disk refuses.
    pub fn begin(directory: &Path, names: Vec<OsString>) -> Result<Self, RestoringError> {
        let path = directory.join(NAME);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(RestoringError::at_work(directory));
            }
            made => made.map_err(failed(directory, "make RESTORING of"))?,
        };
        lock(directory, &file)?;
        // Between the two, another restore may have taken the file for one that was left, and removed it.
        let own = file
            .metadata()
            .map_err(failed(directory, "look at RESTORING of"))?
            .ino();
        if fs::metadata(&path).map_or(true, |there| there.ino() != own) {
            return Err(RestoringError::at_work(directory));
        }
        let mut text = MAGIC.as_bytes().to_vec();
        for name in &names {
            text.extend_from_slice(name.as_encoded_bytes());
            text.push(b'\n');
        }
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(failed(directory, "write RESTORING of"))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            names,
            _file: file,
        })
    }

    /// Everything is in the directory and durable, which is now called `directory`: anybody may have it.
    pub fn finish(self, directory: &Path) -> io::Result<()> {
        fs::remove_file(directory.join(NAME))?;
        File::open(directory)?.sync_all()
    }

    /// Empties the directory: what RESTORING names, then RESTORING itself.
    pub fn remove(self) -> io::Result<()> {
        for name in &self.names {
            kill_point("store.restoring.between_removals");
            match fs::remove_file(self.directory.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // As long as one of the files may come back, what names them must.
        File::open(&self.directory)?.sync_all()?;
        kill_point("store.restoring.before_last_removal");
        fs::remove_file(self.directory.join(NAME))
    }
}

/// The names that it has. One that was cut short names nothing: it is older than all it would have named.
fn parse(text: &str) -> Option<Vec<OsString>> {
    match text.strip_prefix(MAGIC) {
        Some(names) => Some(names.lines().map(OsString::from).collect()),
        None => MAGIC.starts_with(text).then(Vec::new),
    }
}

/// The error of a step that the operating system refused.
fn failed(directory: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RestoringError {
    move |error| RestoringError::io(directory, action, error)
}

fn lock(directory: &Path, file: &File) -> Result<(), RestoringError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RestoringError::at_work(directory)),
        Err(TryLockError::Error(error)) => Err(RestoringError::io(directory, "lock", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    fn left(directory: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(directory).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        left
    }

    #[test]
    fn what_was_begun_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert!(Restoring::find(&at.join("missing")).unwrap().is_none());
        assert!(Restoring::find(at).unwrap().is_none());
        let begun = Restoring::begin(at, names(&["CURRENT", "1.sst"])).unwrap();
        fs::write(at.join("CURRENT"), "half").unwrap();
        assert!(Restoring::is_in(at).unwrap());
        for busy in [
            Restoring::find(at).map(drop),
            Restoring::begin(at, Vec::new()).map(drop),
        ] {
            assert!(
                matches!(busy, Err(RestoringError::AtWork { .. })),
                "{busy:?}"
            );
        }
        drop(begun);

        // A file that it does not name, a folder, a link: somebody else's.
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
        assert_eq!(left(at), names(&["CURRENT", NAME]));

        Restoring::find(at).unwrap().unwrap().remove().unwrap();
        assert_eq!(left(at), names(&[]));
    }

    #[test]
    fn a_mark_cut_short_names_nothing_and_another_file_is_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for length in 0..=MAGIC.len() {
            fs::write(at.join(NAME), &MAGIC[..length]).unwrap();
            fs::write(at.join("CURRENT"), "?").unwrap();
            assert!(Restoring::find(at).is_err(), "{length} bytes");
            fs::remove_file(at.join("CURRENT")).unwrap();
            Restoring::find(at).unwrap().unwrap().remove().unwrap();
            assert_eq!(left(at), names(&[]));
        }
        for other in ["muster-restoring 2\n", "a list", "\0\0\0\0"] {
            fs::write(at.join(NAME), other).unwrap();
            assert!(Restoring::find(at).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_name_stands_beside_its_directory() {
        for directory in ["a/data", "a/data/", "a/data/."] {
            assert_eq!(
                partial_of(Path::new(directory)),
                Path::new("a/data.partial")
            );
        }
    }
}
