//! The kill points of the whole server: those of the store, and those between its durability and the ack.
//!
//! A crash loop reads [`all`] and sets some of them by the environment of `muster-failpoints`. In `muster`
//! itself they do not exist; see the feature `failpoints`.

/// Every kill point of this crate and the moment it stands for.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "ingest.start.before_store",
        "start: addresses are bound, the data directory is not opened",
    ),
    (
        "ingest.start.before_serving",
        "start: everything is recovered, nobody is let in yet",
    ),
    (
        "ingest.batch.before_complete",
        "a batch is durable, none of its frames was told so",
    ),
    (
        "ingest.batch.between_completions",
        "a batch is durable, some of its frames were told so",
    ),
    (
        "ingest.batch.after_complete",
        "every frame of a batch was told that it is durable",
    ),
    (
        "ingest.ack.before_write",
        "an ack is put together and not written",
    ),
    ("ingest.ack.after_write", "an ack is handed to QUIC"),
    (
        "ingest.restore.before_partial",
        "a restore: the backup is counted, nothing is made",
    ),
    (
        "ingest.restore.before_mark",
        "a restore: DIR.partial is made and empty",
    ),
    (
        "ingest.restore.before_file",
        "a restore: RESTORING is written, a file is not copied",
    ),
    (
        "ingest.restore.before_file_sync",
        "a restore: a file is copied and not synced",
    ),
    (
        "ingest.restore.before_recount",
        "a restore: everything is copied and synced, and not counted",
    ),
    (
        "ingest.restore.before_rename",
        "a restore: the copy is counted and has not its name",
    ),
    (
        "ingest.restore.before_directory_sync",
        "a restore: the copy has its name, the directory above is not synced",
    ),
    (
        "ingest.restore.before_unmark",
        "a restore: everything is durable, RESTORING is still there",
    ),
    (
        "ingest.restore.after_unmark",
        "a restore: done, nobody was told so",
    ),
    (
        "ingest.stop.before_shards",
        "stop: sessions are closed, shards have not been told to drain",
    ),
    (
        "ingest.stop.before_close",
        "stop: shards and writer have ended, the store is open",
    ),
    (
        "ingest.stop.after_close",
        "stop: everything is closed, the process is still there",
    ),
];

/// Every kill point of a server.
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    muster_store::KILL_POINTS.iter().chain(KILL_POINTS)
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
