//! The kill points of every binary: those of store and server, and those of a restore.
//!
//! A crash loop reads [`all`] and sets some of them by the environment of `muster-failpoints`. In `muster`
//! itself they do not exist; see the feature `failpoints`.

/// Every kill point of this crate and the moment it stands for.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "cli.restore.before_partial",
        "a restore: the backup is counted, nothing is made",
    ),
    (
        "cli.restore.before_mark",
        "a restore: DIR.partial is made and empty",
    ),
    (
        "cli.restore.before_file",
        "a restore: RESTORING is written, a file is not copied",
    ),
    (
        "cli.restore.before_file_sync",
        "a restore: a file is copied and not synced",
    ),
    (
        "cli.restore.before_recount",
        "a restore: everything is copied and synced, and not counted",
    ),
    (
        "cli.restore.before_rename",
        "a restore: the copy is counted and has not its name",
    ),
    (
        "cli.restore.before_directory_sync",
        "a restore: the copy has its name, the directory above is not synced",
    ),
    (
        "cli.restore.before_unmark",
        "a restore: everything is durable, RESTORING is still there",
    ),
    (
        "cli.restore.after_unmark",
        "a restore: done, nobody was told so",
    ),
];

/// Every kill point of the product.
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    muster_store::KILL_POINTS
        .iter()
        .chain(muster_ingest::kill_points::KILL_POINTS)
        .chain(KILL_POINTS)
}

/// Sets kill points by text: `name=actions`, several with `;` between, actions as the crate `fail` has them.
/// `store.group.after_sync=3*off->return` ends the process when the fourth group is durable.
///
/// # Errors
/// What is wrong with the text: it would never kill.
#[cfg(feature = "failpoints")]
pub fn set(text: &str) -> Result<(), String> {
    for setting in text
        .split(';')
        .map(str::trim)
        .filter(|setting| !setting.is_empty())
    {
        let (name, actions) = setting
            .split_once('=')
            .ok_or_else(|| format!("FAILPOINTS: {setting:?} is not like name=actions"))?;
        if !all().any(|(known, _)| *known == name) {
            return Err(format!("FAILPOINTS: there is no kill point {name:?}"));
        }
        fail::cfg(name, actions).map_err(|error| format!("FAILPOINTS: {name}: {error}"))?;
    }
    Ok(())
}
