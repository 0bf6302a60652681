//! The kill points of store, server and restore.
//!
//! The crash test lists them with `muster-failpoints` and arms some through its environment. The binary `muster` has
//! none; see the feature `failpoints`.

/// Every kill point of this crate, with a description.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "cli.restore.before_partial",
        "restore: the backup is recounted, nothing is created",
    ),
    (
        "cli.restore.before_mark",
        "restore: DIR.partial is created, RESTORING is not",
    ),
    (
        "cli.restore.before_file",
        "restore: RESTORING is written, some files are not copied",
    ),
    (
        "cli.restore.before_file_sync",
        "restore: a file is copied, not synced",
    ),
    (
        "cli.restore.before_recount",
        "restore: every file is copied and synced, the copy is not recounted",
    ),
    (
        "cli.restore.before_rename",
        "restore: the copy is recounted, not renamed",
    ),
    (
        "cli.restore.before_directory_sync",
        "restore: the copy is renamed, the parent directory is not synced",
    ),
    (
        "cli.restore.before_unmark",
        "restore: everything is durable, RESTORING is not removed",
    ),
    (
        "cli.restore.after_unmark",
        "restore: done, not yet reported",
    ),
];

/// Every kill point of the product.
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    muster_store::KILL_POINTS
        .iter()
        .chain(muster_ingest::kill_points::KILL_POINTS)
        .chain(KILL_POINTS)
}

/// Arms kill points from text: `name=actions`, separated by `;`, with the actions of the crate `fail`.
/// `store.group.after_sync=3*off->return` ends the process when the fourth group is durable.
///
/// # Errors
/// The text cannot be parsed, or names an unknown kill point.
#[cfg(feature = "failpoints")]
pub fn set(text: &str) -> Result<(), String> {
    for setting in text
        .split(';')
        .map(str::trim)
        .filter(|setting| !setting.is_empty())
    {
        let (name, actions) = setting
            .split_once('=')
            .ok_or_else(|| format!("FAILPOINTS: {setting:?} is not of the form name=actions"))?;
        if !all().any(|(known, _)| *known == name) {
            return Err(format!("FAILPOINTS: unknown kill point {name:?}"));
        }
        fail::cfg(name, actions).map_err(|error| format!("FAILPOINTS: {name}: {error}"))?;
    }
    Ok(())
}
