//! The file FORMAT: identifies a data directory, and its lock. Verified before RocksDB is opened.
//!
//! ```text
//! muster-store 1
//! shards 48
//! ```
//!
//! The file is locked (flock) while a store is open: exclusively by a server, shared by offline readers. The kernel
//! releases the lock when the process ends, however it ends.
//!
//! Creation: the file is written as FORMAT.creating, then the database is created, then the file is renamed. A crash in
//! between leaves FORMAT.creating and no acknowledged data; the next start continues.
//!
//! Owned by the store until it is closed. A file of a few dozen bytes; does not read the database.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::kill_point::kill_point;
use crate::restoring::{Restoring, partial_of};

/// The format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const NAME: &str = "FORMAT";
const NAME_CREATING: &str = "FORMAT.creating";
const MAGIC: &str = "muster-store";
/// Upper bound for reading the file. A valid one is far smaller.
const FILE_BYTES_MAX: u64 = 4096;

/// The lock on a data directory, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    directory: PathBuf,
    /// Keeps the lock.
    _file: File,
    pub(crate) shards: u16,
    /// Creation is incomplete: [`Claim::finish_creation`] must follow.
    pub(crate) creating: bool,
}

/// Locks a directory for writing. Begins its creation if it is missing or empty.
pub(crate) fn claim(directory: &Path, shards: u16) -> Result<Claim, OpenError> {
    require_restored(directory)?;
    if let Some(mut file) = open(directory, NAME)? {
        lock(directory, &file, File::try_lock)?;
        require_shards(directory, &mut file, shards)?;
        return Ok(claimed(directory, file, shards, false));
    }
    let resumed = open(directory, NAME_CREATING)?.is_some();
    if !resumed {
        require_empty(directory)?;
        // A new store under the name of one that is being restored would be mistaken for it.
        require_restored(&partial_of(directory))?;
    }
    let file = begin_creation(directory, shards)?;
    Ok(claimed(directory, file, shards, true))
}

/// Locks a directory for reading. Several readers may, but not a reader and a server.
pub(crate) fn claim_read_only(directory: &Path, shards: u16) -> Result<Claim, OpenError> {
    let Some(mut file) = open(directory, NAME)? else {
        let is_there = directory.try_exists();
        if !is_there.map_err(|error| OpenError::io(directory, "access it", error))? {
            return Err(OpenError::Missing {
                directory: directory.to_path_buf(),
            });
        }
        let what = format!("no file {NAME} in it");
        let directory = directory.to_path_buf();
        return Err(OpenError::NotADataDirectory { directory, what });
    };
    lock(directory, &file, File::try_lock_shared)?;
    require_shards(directory, &mut file, shards)?;
    Ok(claimed(directory, file, shards, false))
}

/// Reads FORMAT and refuses another number of shards.
fn require_shards(directory: &Path, file: &mut File, expected: u16) -> Result<(), OpenError> {
    let found = parse(directory, &read(directory, file)?)?;
    if found == expected {
        return Ok(());
    }
    Err(OpenError::ShardCountDiffers {
        directory: directory.to_path_buf(),
        found,
        expected,
    })
}

impl Claim {
    /// Completes the creation: from now on a missing file is damage.
    pub(crate) fn finish_creation(&mut self) -> Result<(), OpenError> {
        kill_point("store.create.before_rename");
        let done = fs::rename(
            self.directory.join(NAME_CREATING),
            self.directory.join(NAME),
        )
        .and_then(|()| {
            kill_point("store.create.before_directory_sync");
            File::open(&self.directory)?.sync_all()
        });
        done.map_err(|error| {
            OpenError::io(&self.directory, format!("rename {NAME_CREATING}"), error)
        })?;
        kill_point("store.create.after_directory_sync");
        self.creating = false;
        Ok(())
    }
}

fn claimed(directory: &Path, file: File, shards: u16, creating: bool) -> Claim {
    Claim {
        directory: directory.to_path_buf(),
        _file: file,
        shards,
        creating,
    }
}

fn open(directory: &Path, name: &str) -> Result<Option<File>, OpenError> {
    match File::open(directory.join(name)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(directory, format!("open {name}"), error)),
    }
}

fn lock(
    directory: &Path,
    file: &File,
    take: fn(&File) -> Result<(), TryLockError>,
) -> Result<(), OpenError> {
    match take(file) {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            directory: directory.to_path_buf(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(directory, "lock it", error)),
    }
}

fn read(directory: &Path, file: &mut File) -> Result<String, OpenError> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| OpenError::io(directory, format!("read {NAME}"), error))?;
    Ok(text)
}

/// Path of the file in a directory whose creation may be incomplete.
pub(crate) fn file_of(directory: &Path) -> PathBuf {
    let file = directory.join(NAME);
    if file.exists() {
        file
    } else {
        directory.join(NAME_CREATING)
    }
}

/// Parses the file to its number of shards. The version is checked first, because other versions may differ in the
/// rest.
pub(crate) fn parse(directory: &Path, text: &str) -> Result<u16, OpenError> {
    let mut lines = text.lines();
    let Some(version) = lines.next().and_then(|line| number(line, MAGIC)) else {
        let what = format!("its file {NAME} does not begin with \"{MAGIC}\" and a version");
        return Err(OpenError::NotADataDirectory {
            directory: directory.to_path_buf(),
            what,
        });
    };
    if version != FORMAT_VERSION {
        let directory = directory.to_path_buf();
        return Err(OpenError::OtherFormat {
            directory,
            found: version,
            supported: FORMAT_VERSION,
        });
    }
    lines
        .next()
        .and_then(|line| number(line, "shards"))
        .and_then(|shards| u16::try_from(shards).ok())
        .ok_or_else(|| {
            OpenError::corrupt(directory, format!("file {NAME} has no number of shards"))
        })
}

/// The number after a word and a space, at least 1.
fn number(line: &str, word: &str) -> Option<u32> {
    let digits = line.strip_prefix(word)?.strip_prefix(' ')?;
    digits.parse().ok().filter(|&number| number > 0)
}

fn require_restored(directory: &Path) -> Result<(), OpenError> {
    match Restoring::is_in(directory) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::Restoring {
            directory: directory.to_path_buf(),
        }),
        Err(error) => Err(OpenError::io(directory, "check for RESTORING", error)),
    }
}

fn require_empty(directory: &Path) -> Result<(), OpenError> {
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io(directory, "list it", error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => {
            let what = format!("it is not empty and has no file {NAME}");
            Err(OpenError::NotADataDirectory {
                directory: directory.to_path_buf(),
                what,
            })
        }
    }
}

fn begin_creation(directory: &Path, shards: u16) -> Result<File, OpenError> {
    create_directory(directory).map_err(|error| OpenError::io(directory, "create it", error))?;
    kill_point("store.create.before_format");
    let failed = |error| OpenError::io(directory, format!("write {NAME_CREATING}"), error);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(NAME_CREATING))
        .map_err(failed)?;
    lock(directory, &file, File::try_lock)?;
    file.set_len(0)
        .and_then(|()| file.write_all(text(shards).as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(directory)?.sync_all())
        .map_err(failed)?;
    kill_point("store.create.after_format");
    Ok(file)
}

/// Writes the file of a directory whose other files are complete and durable: the last step of a copy.
pub(crate) fn write_whole(directory: &Path, shards: u16) -> io::Result<()> {
    let mut file = File::create_new(directory.join(NAME))?;
    file.write_all(text(shards).as_bytes())?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

fn text(shards: u16) -> String {
    format!("{MAGIC} {FORMAT_VERSION}\nshards {shards}\n")
}

/// Creates the directory and its missing parents, and syncs the parents: without that a power loss could remove the
/// directory with all acknowledged data.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    // Also if it exists: the process that created it may have ended before the sync.
    let mut parents: Vec<(PathBuf, bool)> = Vec::new();
    let mut path = directory.to_path_buf();
    while let Some(parent) = parent_of(&path) {
        let existed = path.exists();
        parents.push((parent.clone(), existed));
        if existed {
            break;
        }
        path = parent;
    }
    fs::create_dir_all(directory)?;
    for (parent, existed) in parents {
        match File::open(&parent).and_then(|parent| parent.sync_all()) {
            // An existing parent may be unreadable for us: an administrator has created the directory.
            Err(error) if existed && error.kind() == ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// The parent directory of a path; the current directory for a relative path of one component.
fn parent_of(path: &Path) -> Option<PathBuf> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_path_buf),
    }
}
