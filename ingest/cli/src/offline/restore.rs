//! A backup made a data directory: counted, copied, synced, counted again, and only then given its name.
//!
//! The backup is only read. Until it is whole nothing has the name of the data directory, and until the last step
//! the copy has a file RESTORING, with which no server takes it for its own. The same restore ordered again removes
//! what it names and begins anew; what is there otherwise is never touched. Takes the memory of a recount.

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

/// Why nothing was restored. The copy that was begun is removed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup, or its copy, is refused. The operator takes another backup.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Its counters are not those of its devices. The operator takes another backup, the maintainers must act.
    #[error("the recount of {} differs from its counts: nothing was restored", directory.display())]
    Differs {
        /// The backup or the copy.
        directory: PathBuf,
    },
    /// Something is there already, or another process restores there. The operator removes it, lets that one
    /// end, or names another directory.
    #[error(transparent)]
    Taken(#[from] RestoringError),
    /// The copy is made beside it and could not take its name. The operator names a directory below, or the one that the
    /// link leads to.
    #[error(
        "{} is a mount point or a link, which a restored directory cannot replace: name a directory below it, or the directory itself; nothing was copied",
        directory.display()
    )]
    Irreplaceable {
        /// The directory to make.
        directory: PathBuf,
    },
    /// A restore there would write into the backup, or replace it. The operator names a directory apart from it.
    #[error(
        "{} and the backup {} overlap: name a data directory that is neither inside the backup nor around it; nothing was copied",
        directory.display(), backup.display()
    )]
    Overlap {
        /// The directory to make, or where it is made.
        directory: PathBuf,
        /// The backup.
        backup: PathBuf,
    },
    /// It was cut short while it was made. The operator takes another backup.
    #[error(
        "{} is an unfinished copy, cut short or still being made: take a backup that is whole",
        backup.display()
    )]
    Unfinished {
        /// What was named as a backup.
        backup: PathBuf,
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

/// Makes `directory` a copy of `backup`, and returns its recount, which is verified. It must be missing or empty,
/// or hold no more than what an earlier restore left.
///
/// # Errors
/// The backup is damaged, the directory is in use, or the disk refuses.
pub fn restore(backup: &Path, directory: &Path) -> Result<Recount, RestoreError> {
    require_whole(backup)?;
    let directory = &named(directory)?;
    let partial = partial_of(directory);
    for made in [directory, &partial] {
        require_apart(made, backup)?;
    }
    require_replaceable(directory)?;
    let left = [Restoring::find(directory)?, Restoring::find(&partial)?];
    verified(backup)?;
    let names = names(backup)?;
    // Not before there is something to take its place.
    for left in left.into_iter().flatten() {
        left.remove()
            .map_err(on("remove what an earlier restore left of", directory))?;
    }
    kill_point("cli.restore.before_partial");
    match fs::create_dir(&partial) {
        // Empty, or another restore comes between, which the file RESTORING tells.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map_err(on("make", &partial))?,
    }
    kill_point("cli.restore.before_mark");
    let mark = Restoring::begin(&partial, names.clone())?;
    let report = match copy(backup, &names, &partial) {
        Ok(report) => report,
        Err(error) => {
            // The first error is the one to tell; what stays is removed by the next restore.
            let _ = mark.remove().and_then(|()| fs::remove_dir(&partial));
            return Err(error);
        }
    };
    kill_point("cli.restore.before_rename");
    // Renaming replaces an empty directory, and refuses one that has been filled meanwhile.
    fs::rename(&partial, directory).map_err(on("make", directory))?;
    kill_point("cli.restore.before_directory_sync");
    sync(above(directory))?;
    kill_point("cli.restore.before_unmark");
    mark.finish(directory)
        .map_err(on("finish the restore of", directory))?;
    kill_point("cli.restore.after_unmark");
    Ok(report)
}

/// The directory by a path that ends in its name: the copy is made beside it, under that name and a suffix.
fn named(directory: &Path) -> Result<PathBuf, RestoreError> {
    let name = directory.file_name();
    let above = name.map_or(directory, |_| above(directory));
    let mut path = resolve(above).map_err(on("find", directory))?;
    path.extend(name);
    Ok(path)
}

fn require_apart(directory: &Path, backup: &Path) -> Result<(), RestoreError> {
    let is_inside = |inner, outer| is_inside(inner, outer).map_err(on("find", inner));
    if is_inside(directory, backup)? || is_inside(backup, directory)? {
        return Err(RestoreError::Overlap {
            directory: directory.to_path_buf(),
            backup: backup.to_path_buf(),
        });
    }
    Ok(())
}

/// A name that ends so, or a file RESTORING, is of a copy that nobody has seen the end of.
fn require_whole(backup: &Path) -> Result<(), RestoreError> {
    let name = backup.file_name().unwrap_or_default().as_encoded_bytes();
    let is_partial = name.ends_with(PARTIAL_SUFFIX.as_bytes());
    if is_partial || Restoring::is_in(backup).map_err(on("look at", backup))? {
        return Err(RestoreError::Unfinished {
            backup: backup.to_path_buf(),
        });
    }
    Ok(())
}

/// Told before hours of copying: a rename stays within a file system, and replaces the directory itself.
fn require_replaceable(directory: &Path) -> Result<(), RestoreError> {
    // Without the slash at its end, behind which a link would be followed.
    let directory: PathBuf = directory.components().collect();
    let found = match fs::symlink_metadata(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(on("look at", &directory))?,
    };
    let parent = above(&directory);
    let around = fs::metadata(parent).map_err(on("look at", parent))?;
    match found.is_symlink() || found.dev() != around.dev() {
        true => Err(RestoreError::Irreplaceable { directory }),
        false => Ok(()),
    }
}

fn above(directory: &Path) -> &Path {
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The files of a backup.
fn names(backup: &Path) -> Result<Vec<OsString>, RestoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(backup).map_err(on("list", backup))? {
        let entry = entry.map_err(on("list", backup))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(on("look at", &path))?;
        // The names are kept one a line.
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
        fs::copy(&from, &to).map_err(on("copy", &from))?;
        kill_point("cli.restore.before_file_sync");
        sync(&to)?;
    }
    sync(partial)?;
    kill_point("cli.restore.before_recount");
    verified(partial)
}

fn verified(directory: &Path) -> Result<Recount, RestoreError> {
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
        .map_err(on("sync", path))
}

fn on<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RestoreError + 'a {
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
    fn what_cannot_be_replaced_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("empty")).unwrap();
        std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
        for fine in ["empty", "empty/", "missing"] {
            require_replaceable(&at(fine)).unwrap();
        }
        // A file system of its own on every Linux.
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
