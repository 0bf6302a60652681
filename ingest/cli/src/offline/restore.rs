//! Restores a backup to a data directory: recounts it, copies it, syncs and recounts the copy, then renames the copy.
//!
//! The backup is only read. The copy gets the name of the data directory once it is complete, and contains a file
//! RESTORING until the last step, with which no server opens it. Repeating an interrupted restore removes the files
//! that RESTORING lists and starts again; other files are never touched. Memory is bounded by that of a recount.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use muster_api::Recount;
use muster_store::{
    PARTIAL_SUFFIX, Restoring, RestoringError, is_inside, kill_point, partial_of, resolve,
};

use super::OfflineError;
use super::recount::recount;

/// Why a restore failed. Nothing was restored; the incomplete copy is removed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup, or its copy, is refused. The operator chooses another backup.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Its counters do not match its devices: a bug. The operator chooses another backup and reports it.
    #[error("the recount of {} differs from its counters: nothing was restored; choose another backup", directory.display())]
    Differs {
        /// The backup or the copy.
        directory: PathBuf,
    },
    /// The directory is not empty, or another process restores to it. The operator empties it, waits for that process,
    /// or names another directory.
    #[error(transparent)]
    Taken(#[from] RestoringError),
    /// The copy, created beside the directory, could not be renamed to it. The operator names a subdirectory, or the
    /// target of the link.
    #[error(
        "{} is a mount point or a symbolic link, which a restored directory cannot replace: use a directory below the mount point, or the target of the link; nothing was copied",
        directory.display()
    )]
    Irreplaceable {
        /// The data directory to create.
        directory: PathBuf,
    },
    /// A restore there would write into the backup, or replace it. The operator chooses a directory outside it.
    #[error(
        "{} and the backup {} overlap: use a data directory that is neither inside the backup nor contains it; nothing was copied",
        directory.display(), backup.display()
    )]
    Overlap {
        /// The data directory to create, or its temporary path.
        directory: PathBuf,
        /// The backup.
        backup: PathBuf,
    },
    /// The path does not exist. The operator names the backup.
    #[error("{} does not exist", backup.display())]
    Missing {
        /// The directory named as a backup.
        backup: PathBuf,
    },
    /// The backup is incomplete. The operator chooses another one.
    #[error(
        "{} is an unfinished backup, interrupted or still in progress: choose a complete backup",
        backup.display()
    )]
    Unfinished {
        /// The directory named as a backup.
        backup: PathBuf,
    },
    /// A backup contains only files. The operator names the directory of the backup.
    #[error("{} is not a regular file: a backup contains nothing else", path.display())]
    NotAFile {
        /// The entry of the directory.
        path: PathBuf,
    },
    /// The operating system returned an error.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The failed operation.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Restores `backup` to `directory`, and returns the verified recount of the copy. The directory must be missing or
/// empty, or contain only the files of an interrupted restore.
///
/// # Errors
/// The backup is damaged, the directory is in use, or the disk fails.
pub fn restore(backup: &Path, directory: &Path) -> Result<Recount, RestoreError> {
    require_complete(backup)?;
    let directory = &resolve_parent(directory)?;
    let partial = partial_of(directory);
    for created in [directory, &partial] {
        require_no_overlap(created, backup)?;
    }
    require_replaceable(directory)?;
    let interrupted = [Restoring::find(directory)?, Restoring::find(&partial)?];
    verify(backup)?;
    let names = file_names(backup)?;
    // Only now that the backup is verified, so that a bad backup removes nothing.
    for restoring in interrupted.into_iter().flatten() {
        restoring
            .remove()
            .map_err(cannot("remove the interrupted restore of", directory))?;
    }
    kill_point("cli.restore.before_partial");
    match fs::create_dir(&partial) {
        // Either it is empty, or a concurrent restore created it, which `Restoring::begin` detects by its file
        // RESTORING.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created.map_err(cannot("create", &partial))?,
    }
    kill_point("cli.restore.before_mark");
    let mark = Restoring::begin(&partial, names.clone())?;
    let report = match copy(backup, &names, &partial) {
        Ok(report) => report,
        Err(error) => {
            // The first error is the one to report; the next restore removes what remains.
            let _ = mark.remove().and_then(|()| fs::remove_dir(&partial));
            return Err(error);
        }
    };
    kill_point("cli.restore.before_rename");
    // A rename replaces an empty directory, and fails if it is no longer empty.
    fs::rename(&partial, directory).map_err(cannot("create", directory))?;
    kill_point("cli.restore.before_directory_sync");
    sync(parent(directory))?;
    kill_point("cli.restore.before_unmark");
    mark.finish(directory)
        .map_err(cannot("finish the restore of", directory))?;
    kill_point("cli.restore.after_unmark");
    Ok(report)
}

/// The path of `directory` with its parent resolved, so that it ends with a name: the copy is created beside it, under
/// that name with a suffix.
fn resolve_parent(directory: &Path) -> Result<PathBuf, RestoreError> {
    let name = directory.file_name();
    let parent = name.map_or(directory, |_| parent(directory));
    let mut path = resolve(parent).map_err(cannot("resolve", directory))?;
    path.extend(name);
    Ok(path)
}

fn require_no_overlap(directory: &Path, backup: &Path) -> Result<(), RestoreError> {
    let is_inside = |inner, outer| is_inside(inner, outer).map_err(cannot("resolve", inner));
    if is_inside(directory, backup)? || is_inside(backup, directory)? {
        return Err(RestoreError::Overlap {
            directory: directory.to_path_buf(),
            backup: backup.to_path_buf(),
        });
    }
    Ok(())
}

/// Refuses an unfinished backup: its name ends with the suffix, or it contains a file RESTORING.
fn require_complete(backup: &Path) -> Result<(), RestoreError> {
    if !backup.try_exists().map_err(cannot("access", backup))? {
        return Err(RestoreError::Missing {
            backup: backup.to_path_buf(),
        });
    }
    let name = backup.file_name().unwrap_or_default().as_encoded_bytes();
    let is_partial = name.ends_with(PARTIAL_SUFFIX.as_bytes());
    if is_partial || Restoring::is_in(backup).map_err(cannot("examine", backup))? {
        return Err(RestoreError::Unfinished {
            backup: backup.to_path_buf(),
        });
    }
    Ok(())
}

/// Refuses a directory that the rename could not replace, a mount point or a link, before hours of copying.
fn require_replaceable(directory: &Path) -> Result<(), RestoreError> {
    // Removes a trailing slash, with which the link would be followed.
    let directory: PathBuf = directory.components().collect();
    let metadata = match fs::symlink_metadata(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(cannot("examine", &directory))?,
    };
    let parent = parent(&directory);
    let parent_metadata = fs::metadata(parent).map_err(cannot("examine", parent))?;
    if metadata.is_symlink() || metadata.dev() != parent_metadata.dev() {
        return Err(RestoreError::Irreplaceable { directory });
    }
    Ok(())
}

fn parent(directory: &Path) -> &Path {
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The names of the files in a backup.
fn file_names(backup: &Path) -> Result<Vec<OsString>, RestoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(backup).map_err(cannot("list", backup))? {
        let entry = entry.map_err(cannot("list", backup))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(cannot("examine", &path))?;
        // RESTORING lists one name per line.
        let is_line = name.to_str().is_some_and(|name| !name.contains('\n'));
        if !kind.is_file() || !is_line {
            return Err(RestoreError::NotAFile { path });
        }
        names.push(name);
    }
    Ok(names)
}

fn copy(backup: &Path, names: &[OsString], partial: &Path) -> Result<Recount, RestoreError> {
    for name in names {
        let (from, to) = (backup.join(name), partial.join(name));
        kill_point("cli.restore.before_file");
        fs::copy(&from, &to).map_err(cannot("copy", &from))?;
        kill_point("cli.restore.before_file_sync");
        sync(&to)?;
    }
    sync(partial)?;
    kill_point("cli.restore.before_recount");
    verify(partial)
}

/// The recount of a directory whose counters match it.
fn verify(directory: &Path) -> Result<Recount, RestoreError> {
    let report = recount(directory)?;
    if report.verified {
        Ok(report)
    } else {
        let directory = directory.to_path_buf();
        Err(RestoreError::Differs { directory })
    }
}

fn sync(path: &Path) -> Result<(), RestoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(cannot("sync", path))
}

/// Converts an error of the operating system to "cannot {action} {path}".
fn cannot<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RestoreError + 'a {
    move |source| RestoreError::Io {
        path: path.to_path_buf(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_or_a_link_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("empty")).unwrap();
        std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
        for allowed in ["empty", "empty/", "missing"] {
            require_replaceable(&at(allowed)).unwrap();
        }

        // /proc is a mount point on every Linux.
        for bad in [at("link"), at("link/"), PathBuf::from("/proc")] {
            let refused = require_replaceable(&bad);
            assert!(
                matches!(refused, Err(RestoreError::Irreplaceable { .. })),
                "{}: {refused:?}",
                bad.display()
            );
        }
    }
}
