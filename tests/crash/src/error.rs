//! What keeps the tool from having a result, and its exit code; the same table as that of `muster`.
//!
//! A server that loses something, miscounts, or does not come back is a result: a
//! [`Finding`](crate::check::Finding), and exit code 7.

use std::io;
use std::path::{Path, PathBuf};

/// A check found something wrong.
pub const EXIT_FINDING: u8 = 7;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// An option cannot work. Whoever runs the tool must act.
    #[error("{0}")]
    Usage(String),
    /// A command of `muster` that must work does not. Whoever runs the tool must act.
    #[error("{command} failed: {reason}")]
    Command {
        /// What was run.
        command: String,
        /// What it said.
        reason: String,
    },
    /// A file of the tool's own cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody told the tool to end: servers, mounts and files of its own are gone.
    #[error("ended by a signal")]
    Interrupted,
    /// A fault of the tool or of the machine.
    #[error("{0}")]
    Internal(String),
}

impl CrashError {
    /// For `map_err` on what is done with a file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// The exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            Self::Command { .. } | Self::File { .. } | Self::Internal(_) => 1,
        }
    }
}
