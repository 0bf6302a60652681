//! The maximum number of open files of the process, and the resource limit (RLIMIT_NOFILE) that must allow it.
//!
//! Checked once, before anything starts. RocksDB must never hit the limit, because a write that cannot open its file
//! poisons the store. So the maximum is a sum of bounds, each enforced by its owner. Connections of devices and
//! gateways need no file descriptors: they share one UDP socket.

use muster_store::StoreConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use muster_api::{CONNECTIONS_MAX, DOWNLOADS_MAX, EXPORT_JOBS_MAX, GRAPH_CONNECTIONS_MAX};

/// Standard streams, listening sockets, the epoll instances of the runtimes, a connection to each issuer (at most 16), and
/// files that are open briefly, such as `/proc` during a scrape. An idle server has 20.
const PROCESS: u64 = 64;

/// The standard streams, which [`PROCESS`] includes.
const STANDARD_STREAMS: u64 = 3;

/// Why the process cannot open as many files as it needs.
#[derive(Debug, thiserror::Error)]
pub enum OpenFilesError {
    /// The hard limit is lower. The operator raises it.
    #[error(
        "up to {needed} files may be open at the same time, but the hard limit of this process is {allowed}: raise the \
         limit to {needed}, with LimitNOFILE={needed} in a unit file, --ulimit nofile={needed} for a container, \
         or ulimit -n {needed} in the shell that starts it"
    )]
    Limit {
        /// The maximum number of open files.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// The operating system refuses to raise the soft limit. The operator reads the cause.
    #[error("cannot raise the soft limit of open files to {needed}: {source}")]
    Raise {
        /// The maximum number of open files.
        needed: u64,
        /// The cause.
        source: std::io::Error,
    },
}

/// The maximum number of open files of a command that reads a data directory.
#[must_use]
pub const fn max_of_command() -> u64 {
    StoreConfig::OPEN_FILES_MAX + PROCESS
}

/// Those of the operators' API: its connections, downloads, and the files of export jobs.
const fn api() -> u64 {
    (GRAPH_CONNECTIONS_MAX + DOWNLOADS_MAX + EXPORT_JOBS_MAX) as u64
}

/// The maximum number of open files of a server.
#[must_use]
pub const fn max_of_server() -> u64 {
    max_of_command() + CONNECTIONS_MAX as u64 + api()
}

/// Ensures that the process may open `files` more files than it was started with: raises the soft limit if it is lower.
/// Returns the previous limit if it was raised.
///
/// # Errors
/// The hard limit is lower.
pub fn require(files: u64) -> Result<Option<u64>, OpenFilesError> {
    let needed = files + inherited();
    let limit = getrlimit(Resource::Nofile);
    // `None` means unlimited.
    let Some(soft) = limit.current.filter(|soft| *soft < needed) else {
        return Ok(None);
    };
    if let Some(allowed) = limit.maximum.filter(|hard| *hard < needed) {
        return Err(OpenFilesError::Limit { needed, allowed });
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| OpenFilesError::Raise {
        needed,
        source: error.into(),
    })?;
    Ok(Some(soft))
}

/// Files inherited from the parent process, besides the standard streams.
fn inherited() -> u64 {
    // The directory being listed is one of the entries.
    let others = STANDARD_STREAMS + 1;
    std::fs::read_dir("/proc/self/fd")
        .map_or(0, |open| (open.count() as u64).saturating_sub(others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_the_numbers_of_the_code() {
        // Read at run time, because two clones may share a target directory.
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let docs = std::path::Path::new(&folder).join("../docs");
        let text = std::fs::read_to_string(docs.join("reference/CONFIGURATION.md")).unwrap();
        let guide = std::fs::read_to_string(docs.join("guide/first-day.md")).unwrap();
        assert!(guide.contains(&format!("opens at most {} files", max_of_server())));
        let numbers = [
            format!(
                "at most {} files open at the same time: {} of the store, {} of the operators' API, {} connections of the operations endpoint, and {PROCESS} for",
                max_of_server(),
                StoreConfig::OPEN_FILES_MAX,
                api(),
                CONNECTIONS_MAX
            ),
            format!("`restore` need {}.", max_of_command()),
        ];
        for number in numbers {
            assert!(text.contains(&number), "{number}");
        }
    }
}
