//! A backup made a data directory: counted, copied, synced, counted again, and only then given its name.
//!
//! The backup is only read. Until the last step nothing has the name of the data directory, so a restore that is
//! cut short leaves nothing that a server would take for its own. What is there is never overwritten. Takes the
//! memory of a recount.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use muster_store::PARTIAL_SUFFIX;
use serde_json::{Map, Value};

use crate::recount::{self, RecountError};

/// Why nothing was restored. The copy that was begun is removed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup, or its copy, is refused. The operator takes another backup.
    #[error(transparent)]
    Recount(#[from] RecountError),
    /// Its counters are not those of its devices. The operator takes another backup, the maintainers must act.
    #[error("the recount of {} differs from its counts: nothing was restored", directory.display())]
    Differs {
        /// The backup or the copy.
        directory: PathBuf,
    },
    /// Something is there already. The operator removes it or names another directory.
    #[error("{} is there already and not empty: remove it, or use a missing directory", directory.display())]
    Occupied {
        /// What is there.
        directory: PathBuf,
    },
    /// A backup has files only. The operator names the backup itself.
    #[error("{} is no plain file: a backup has nothing else", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// The operating system refused. The operator reads the cause.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Makes `directory`, which is missing or empty, a copy of `backup`, and returns its recount, which is verified.
///
/// # Errors
/// The backup is damaged, the directory is in use, or the disk refuses.
pub fn restore(backup: &Path, directory: &Path) -> Result<Map<String, Value>, RestoreError> {
    require_missing_or_empty(directory)?;
    verified(backup)?;
    let mut partial = directory.as_os_str().to_owned();
    partial.push(PARTIAL_SUFFIX);
    let partial = PathBuf::from(partial);
    match fs::create_dir(&partial) {
        // Nobody can tell whose it is.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(RestoreError::Occupied { directory: partial });
        }
        made => made.map_err(on("make", &partial))?,
    }
    let restored = copy(backup, &partial, directory);
    if restored.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
    }
    restored
}

fn copy(
    backup: &Path,
    partial: &Path,
    directory: &Path,
) -> Result<Map<String, Value>, RestoreError> {
    for entry in fs::read_dir(backup).map_err(on("list", backup))? {
        let entry = entry.map_err(on("list", backup))?;
        let from = entry.path();
        let kind = entry.file_type().map_err(on("look at", &from))?;
        if !kind.is_file() {
            return Err(RestoreError::NotAFile { path: from });
        }
        let to = partial.join(entry.file_name());
        fs::copy(&from, &to).map_err(on("copy", &from))?;
        sync(&to)?;
    }
    sync(partial)?;
    let report = verified(partial)?;
    // Renaming replaces an empty directory, and refuses one that has been filled meanwhile.
    fs::rename(partial, directory).map_err(on("make", directory))?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent)?,
        _ => sync(Path::new("."))?,
    }
    Ok(report)
}

fn verified(directory: &Path) -> Result<Map<String, Value>, RestoreError> {
    let report = recount::offline(directory)?;
    if report.get("verified") == Some(&Value::Bool(true)) {
        Ok(report)
    } else {
        let directory = directory.to_path_buf();
        Err(RestoreError::Differs { directory })
    }
}

fn require_missing_or_empty(directory: &Path) -> Result<(), RestoreError> {
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(on("list", directory)(error)),
    };
    if is_free {
        Ok(())
    } else {
        let directory = directory.to_path_buf();
        Err(RestoreError::Occupied { directory })
    }
}

fn sync(path: &Path) -> Result<(), RestoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(on("sync", path))
}

fn on<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RestoreError + 'a {
    move |source| RestoreError::Io {
        path: path.to_path_buf(),
        action,
        source,
    }
}
