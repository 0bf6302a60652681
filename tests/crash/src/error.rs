//! Errors that prevent a result, with their exit codes, which are those of `muster`.
//!
//! A server that loses something, miscounts or does not recover is a result: a [`Finding`](crate::check::Finding) and
//! exit code 7.

use std::io;
use std::path::{Path, PathBuf};

use muster_testkit::muster::CommandFailure;

/// Exit code of a run with findings.
pub const EXIT_FINDING: u8 = 7;

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// An option cannot work; the user must change it.
    #[error("{0}")]
    Usage(String),
    /// A command of `muster` fails that must succeed; the user must fix its cause.
    #[error("{command} failed: {reason}")]
    Command {
        /// The command.
        command: String,
        /// Exit code and last lines of standard error.
        reason: String,
    },
    /// The tool cannot read or write one of its own files.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A signal ended the run; its servers, mounts and files are removed.
    #[error("ended by a signal")]
    Interrupted,
    /// A defect of the tool or an error of the machine.
    #[error("{0}")]
    Internal(String),
}

impl From<CommandFailure> for CrashError {
    fn from(failure: CommandFailure) -> Self {
        Self::Command {
            command: failure.command,
            reason: format!("exit code {:?}: {}", failure.code, failure.message),
        }
    }
}

impl CrashError {
    /// For `map_err` on an operation on a file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// For `map_err` on the start of a server.
    pub fn start(source: io::Error) -> Self {
        Self::Internal(format!("a server cannot be started: {source}"))
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
