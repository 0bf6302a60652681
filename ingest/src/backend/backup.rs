//! Backs up the store while the server runs.
//!
//! The endpoint has no authentication, so a backup is created only in the configured directory, under a plain, unused
//! name. The copy runs on a blocking thread, one at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_api::ApiError;
use muster_store::{BackupError, PARTIAL_SUFFIX, resolve};
use tokio::task::spawn_blocking;

use super::ServerBackend;

/// Maximum length of a name; leaves room for the suffix of an incomplete copy.
const NAME_BYTES_MAX: usize = 128;

impl ServerBackend {
    pub(super) async fn copy_store(&self, directory: &Path) -> Result<PathBuf, ApiError> {
        self.refuse_while_draining()?;
        let parent = self.context.backup_directory.as_deref();
        let target = target(parent.ok_or(ApiError::BackupsOff)?, directory)?;
        let running = Arc::clone(&self.backing_up).try_lock_owned();
        let turn = running.map_err(|_| ApiError::BackupRunning)?;
        let (store, to) = (Arc::clone(&self.context.store), target.clone());
        let copying = spawn_blocking(move || {
            // The thread owns the lock: the copy completes even if the request is cancelled.
            let _turn = turn;
            store.backup(&to)
        });
        let copied = copying
            .await
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        copied.map_err(|error| match error {
            BackupError::Poisoned(_) => ApiError::StorePoisoned,
            BackupError::Exists { .. } => ApiError::BackupExists(error.to_string()),
            BackupError::InsideStore { .. } | BackupError::OverStore { .. } => {
                ApiError::BackupRefused(error.to_string())
            }
            other => ApiError::BackupFailed(other.to_string()),
        })?;
        tracing::info!(directory = %target.display(), "backup completed");
        Ok(target)
    }
}

/// The path of the backup: a plain name in `parent`, given alone or as a full path.
fn target(parent: &Path, asked: &Path) -> Result<PathBuf, ApiError> {
    let refused = |why: &str| {
        let (asked, parent) = (asked.display(), parent.display());
        ApiError::BackupRefused(format!("{asked} {why}; backups are made in {parent}"))
    };
    let name = asked.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| is_plain(name)).ok_or_else(|| {
        refused("does not end in a plain name of letters, digits, \"-\", \"_\" and \".\"")
    })?;
    let above = asked.parent().unwrap_or(Path::new(""));
    // The same directory by another path is the same directory.
    let is_parent = || match (resolve(above), resolve(parent)) {
        (Ok(above), Ok(parent)) => above == parent,
        _ => false,
    };
    if above == Path::new("") || (above.is_absolute() && is_parent()) {
        Ok(parent.join(name))
    } else {
        Err(refused("is not directly in the directory for backups"))
    }
}

fn is_plain(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.starts_with('.')
        && !name.contains(PARTIAL_SUFFIX)
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_goes_directly_into_the_directory_for_backups() {
        let scratch = tempfile::tempdir().unwrap();
        let parent = scratch.path().join("backups");
        std::fs::create_dir_all(parent.join("in")).unwrap();
        std::os::unix::fs::symlink(&parent, scratch.path().join("same")).unwrap();
        std::os::unix::fs::symlink(scratch.path(), parent.join("out")).unwrap();
        let asked = |path: &str| target(&parent, Path::new(path)).ok();
        let whole = |path: &str| asked(scratch.path().join(path).to_str().unwrap());
        let good = Some(parent.join("2026-11-22_a.1"));
        assert_eq!(asked("2026-11-22_a.1"), good);
        assert_eq!(whole("backups/2026-11-22_a.1"), good);
        assert_eq!(whole("same/2026-11-22_a.1"), good);
        assert_eq!(whole("same/../backups/2026-11-22_a.1"), good);
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for path in [
            "",
            ".",
            "..",
            "/",
            "../a",
            "a/b",
            "in/a",
            "./../a",
            ".a",
            "a b",
            "a\n",
            "a.partial",
            "a.partial.tmp",
            &long,
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
        for path in [
            "a",
            "backups/in/a",
            "backups/out/a",
            "backups/../a",
            "backups/in/..",
        ] {
            assert_eq!(whole(path), None, "{path}");
        }
    }
}
