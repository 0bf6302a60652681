//! Resolves paths, and tells whether one directory contains another.
//!
//! Paths are compared by the directories they refer to, never as text, because `..`, a symbolic link or a bind mount
//! gives a directory another name. The last components of a path need not exist. Stateless; reads the file system and
//! changes nothing. A result is valid at the time of the call only; a caller that writes afterwards keeps the directory
//! open, as `backup.rs` does.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links followed in one path at most: the limit of Linux.
const LINKS_MAX: u32 = 40;

/// The absolute form of `path`, without `..` and without symbolic links. Components that do not exist are kept.
///
/// # Errors
/// A directory of the path cannot be read, or its links form a loop.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut links_left = LINKS_MAX;
    follow(PathBuf::new(), &std::path::absolute(path)?, &mut links_left)
}

/// Walks `path`, starting at `at`, which is resolved. Recursion is bounded by `links_left`.
fn follow(mut at: PathBuf, path: &Path, links_left: &mut u32) -> io::Result<PathBuf> {
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir => at = PathBuf::from("/"),
            Component::CurDir => {}
            // The parent of a resolved path is its text without the last name.
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                at.push(name);
                let target = match fs::read_link(&at) {
                    Ok(target) => target,
                    // Not a link, or it does not exist.
                    Err(error)
                        if [ErrorKind::InvalidInput, ErrorKind::NotFound]
                            .contains(&error.kind()) =>
                    {
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                *links_left = links_left
                    .checked_sub(1)
                    .ok_or_else(|| io::Error::other("too many symbolic links"))?;
                at.pop();
                at = follow(at, &target, links_left)?;
            }
        }
    }
    Ok(at)
}

/// Whether `inner` is `outer` or a directory below it.
///
/// # Errors
/// As for [`resolve`].
pub fn is_inside(inner: &Path, outer: &Path) -> io::Result<bool> {
    let (inner, outer) = (resolve(inner)?, resolve(outer)?);
    if inner.starts_with(&outer) {
        return Ok(true);
    }
    // A directory has several resolved paths if it is bind-mounted or if the file system ignores case.
    let Some(outer) = identity(&outer)? else {
        return Ok(false);
    };
    for directory in inner.ancestors() {
        if identity(directory)? == Some(outer) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Device and inode; `None` if the path does not exist.
fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// `data/file`, `link -> data`, `dangling -> data/later`, `loop -> loop`.
    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        fs::create_dir(root.join("data")).unwrap();
        fs::write(root.join("data/file"), "").unwrap();
        symlink("data", root.join("link")).unwrap();
        symlink("link/../data/later", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        (scratch, root)
    }

    #[test]
    fn a_path_is_resolved_as_the_kernel_would_once_it_exists() {
        let (_scratch, root) = scratch();
        for (path, expected) in [
            ("data", "data"),
            ("data/", "data"),
            ("./data/.", "data"),
            ("link", "data"),
            ("link/b/c", "data/b/c"),
            // The parent of what a link leads to, not of the link.
            ("link/../x", "x"),
            ("missing/../data/b", "data/b"),
            ("missing/../link/b", "data/b"),
            ("missing/b/../../dangling", "data/later"),
            ("dangling/x", "data/later/x"),
        ] {
            assert_eq!(
                resolve(&root.join(path)).unwrap(),
                root.join(expected),
                "{path}"
            );
        }
        assert_eq!(resolve(Path::new("/..")).unwrap(), Path::new("/"));
        assert!(resolve(&root.join("loop/x")).is_err());
        assert!(
            resolve(&root.join("data/file/x")).is_err(),
            "a file has no names"
        );
        assert!(resolve(Path::new("")).is_err());
    }

    #[test]
    fn one_directory_is_inside_another_whatever_both_are_called() {
        let (_scratch, root) = scratch();
        for (inner, outer, expected) in [
            ("data", "data", true),
            ("link", "data", true),
            ("data/b", "link", true),
            ("missing/../data/b", "data", true),
            ("dangling", "data", true),
            ("later/x", "later", true),
            ("data2", "data", false),
            ("data", "data/b", false),
            ("link/../b", "data", false),
            ("b", "missing/../data", false),
        ] {
            let found = is_inside(&root.join(inner), &root.join(outer)).unwrap();
            assert_eq!(found, expected, "{inner} in {outer}");
        }
        assert!(is_inside(&root.join("loop"), &root).is_err());
    }
}
