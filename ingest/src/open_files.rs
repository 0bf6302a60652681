//! The number of files that the process opens at most, and the system's limit, which must allow that many.
//!
//! Checked once, before anything starts. RocksDB must never reach the limit: a write that cannot open its file poisons
//! the store. So the number is a sum of bounds, each enforced by its owner. The connections of devices and gateways need
//! no files: they share one UDP socket.

use muster_store::StoreConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use muster_api::CONNECTIONS_MAX;

/// Standard streams, listening sockets, the event queues of the runtimes, and files that are open for a moment, such as
/// `/proc` in a scrape. An idle server has 20.
const PROCESS: u64 = 64;

/// The standard streams, which are among [`PROCESS`].
const STANDARD_STREAMS: u64 = 3;

/// Why the process may not open as many files as it needs.
#[derive(Debug, thiserror::Error)]
pub enum OpenFilesError {
    /// The hard limit is lower. The operator raises it.
    #[error(
        "up to {needed} files are open at the same time, and the hard limit of this process is {allowed}: raise the \
         limit to {needed}, with LimitNOFILE={needed} in a unit file, --ulimit nofile={needed} for a container, \
         or ulimit -n {needed} in the shell that starts it"
    )]
    Limit {
        /// Files that may be open.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// The system does not let the soft limit be raised. The operator reads the cause.
    #[error("cannot raise the soft limit of open files to {needed}: {source}")]
    Raise {
        /// Files that may be open.
        needed: u64,
        /// The cause.
        source: std::io::Error,
    },
}

/// Files that a command opens at most that reads a data directory.
#[must_use]
pub const fn of_command() -> u64 {
    StoreConfig::OPEN_FILES_MAX + PROCESS
}

/// Files that a server opens at most.
#[must_use]
pub const fn of_server() -> u64 {
    of_command() + CONNECTIONS_MAX as u64
}

/// Raises the soft limit of the process, if it is lower, to `files` more than the process was started with. Returns the
/// limit before, if it was raised.
///
/// # Errors
/// The hard limit is lower.
pub fn require(files: u64) -> Result<Option<u64>, OpenFilesError> {
    let needed = files + inherited();
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
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

/// Files that the parent process has left open, beside the standard streams.
fn inherited() -> u64 {
    // The listing itself is one of them.
    let others = STANDARD_STREAMS + 1;
    std::fs::read_dir("/proc/self/fd")
        .map_or(0, |open| (open.count() as u64).saturating_sub(others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_the_numbers_of_the_code() {
        // As the test runs, not as it was built: a build that two clones share remembers one of them.
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let docs = std::path::Path::new(&folder).join("../docs");
        let text = std::fs::read_to_string(docs.join("reference/CONFIGURATION.md")).unwrap();
        let guide = std::fs::read_to_string(docs.join("guide/first-day.md")).unwrap();
        assert!(guide.contains(&format!("opens at most {} files", of_server())));
        let numbers = [
            format!(
                "at most {} files open at the same time: {} of the store, {} connections of operators, and {PROCESS} for",
                of_server(),
                StoreConfig::OPEN_FILES_MAX,
                CONNECTIONS_MAX
            ),
            format!("`restore` need {}.", of_command()),
        ];
        for number in numbers {
            assert!(text.contains(&number), "{number}");
        }
    }
}
