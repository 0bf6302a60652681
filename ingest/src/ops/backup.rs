//! `POST /backup`: a copy of the store at this instant, while the server serves.
//!
//! The endpoint asks nobody who they are, so it writes into the one directory that the configuration names, under
//! a plain name that nothing has yet, and nowhere else. The copy is made on a blocking thread, one at a time. It
//! is not read again here: `muster backup` recounts it, outside of the server's memory.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use muster_store::{BackupError, PARTIAL_SUFFIX};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Ops;
use super::error::ApiError;

/// Leaves room for what the copy is called until it is whole.
const NAME_BYTES_MAX: usize = 128;

/// Of a body: a path has 4 KiB at most, a letter of it 6 bytes in JSON.
const BODY_BYTES_MAX: usize = 32 << 10;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    directory: PathBuf,
}

pub(super) async fn backup(
    State(ops): State<Arc<Ops>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let refused = |what: &str| ApiError::BadRequest(format!("the body is not as expected: {what}"));
    let read = timeout(ops.deadlines.request, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = read
        .map_err(|_| refused("it did not come in time"))?
        .map_err(|error| refused(&error.to_string()))?;
    ops.refuse_while_draining()?;
    let request: BackupRequest =
        serde_json::from_slice(&body).map_err(|error| refused(&error.to_string()))?;
    let parent = ops.context.backup_directory.as_deref();
    let target = target(parent.ok_or(ApiError::BackupsOff)?, &request.directory)?;
    let running = Arc::clone(&ops.backing_up).try_lock_owned();
    let turn = running.map_err(|_| ApiError::BackupRunning)?;
    let (store, to) = (Arc::clone(&ops.context.store), target.clone());
    let copying = spawn_blocking(move || {
        // The turn goes along: the copy ends, also if whoever asked goes away.
        let _turn = turn;
        store.backup(&to)
    });
    let copied = copying
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    copied.map_err(|error| match error {
        BackupError::Poisoned(_) => ApiError::StorePoisoned,
        BackupError::Exists { .. } => ApiError::BackupExists(error.to_string()),
        other => ApiError::BackupFailed(other.to_string()),
    })?;
    tracing::info!(directory = %target.display(), "backed up");
    Ok(Json(json!({ "directory": target })))
}

/// Where the backup goes: a plain name in `parent`, given alone or as the whole path.
fn target(parent: &Path, asked: &Path) -> Result<PathBuf, ApiError> {
    let refused = |why: &str| {
        let (asked, parent) = (asked.display(), parent.display());
        ApiError::BackupRefused(format!("{asked} {why}; backups are made in {parent}"))
    };
    if asked.components().any(|part| part == Component::ParentDir) {
        return Err(refused("leads elsewhere"));
    }
    let name = asked.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| is_plain(name)).ok_or_else(|| {
        refused("does not end in a plain name of letters, digits, \"-\", \"_\" and \".\"")
    })?;
    let above = asked.parent().unwrap_or(Path::new(""));
    // The same place by another path is the same place.
    let is_parent = || match (above.canonicalize(), parent.canonicalize()) {
        (Ok(above), Ok(parent)) => above == parent,
        _ => false,
    };
    if above == Path::new("") || above == parent || (above.is_absolute() && is_parent()) {
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
        for path in ["a", "backups/in/a", "backups/out/a", "backups/../a"] {
            assert_eq!(whole(path), None, "{path}");
        }
    }
}
