//! The configuration file of a server.

use std::path::{Path, PathBuf};

use crate::options::Settings;

/// The backup directory of the servers on a data directory.
pub fn backups(data: &Path) -> PathBuf {
    data.with_file_name("backups")
}

/// The configuration of a server with this number of shard threads on a data directory, with the
/// certificates in `pki`.
pub fn to_toml(settings: &Settings, threads: u64, data: &Path, pki: &Path) -> String {
    let Settings {
        batch_check_ins_max,
        inbox_batches,
        commits_in_flight,
        group_bytes_max,
        checkpoint_journal_bytes,
        window_frames_gateway,
        window_frames_device,
        network_threads,
    } = settings;
    let backups = backups(data);
    let backups = backups.display();
    let (data, pki) = (data.display(), pki.display());
    format!(
        r#"[listen]
address = "127.0.0.1:0"
certificate = "{pki}/server.pem"
key = "{pki}/server.key"
client_ca = "{pki}/ca.pem"
window_frames_gateway = {window_frames_gateway}
window_frames_device = {window_frames_device}
network_threads = {network_threads}

[api]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:0"
allow_changes = true

[store]
directory = "{data}"
backup_directory = "{backups}"
group_bytes_max = "{group_bytes_max}B"
checkpoint_journal_bytes = "{checkpoint_journal_bytes}B"

[shards]
threads = {threads}
batch_check_ins_max = {batch_check_ins_max}
inbox_batches = {inbox_batches}
commits_in_flight = {commits_in_flight}
"#
    )
}
