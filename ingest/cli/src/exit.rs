//! Exit codes and error messages of all commands.
//!
//! Scripts and service managers act on the code, people on the message. Every error of every command becomes a
//! [`Failure`], and only [`Failure::exit_code`] maps it to a code.

use std::io::Write;

use muster_ingest::config::ConfigFaults;
use muster_ingest::open_files::OpenFilesError;
use muster_ingest::pki::tls::TlsError;
use muster_ingest::telemetry::{self, StandardError, TelemetryError};

use crate::api_client::ApiError;
use crate::contexts::ContextError;
use crate::ops_client::OpsError;
use crate::pki::PkiError;
use crate::printable::printable;

/// The exit codes of `muster`. They are stable: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// The command succeeded.
    Success = 0,
    /// A bug, or a fault of the machine that has no other code.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is invalid.
    Configuration = 3,
    /// A certificate or a private key is unusable, or already exists.
    Certificate = 4,
    /// An address to listen on is in use, not permitted, or not an address of this machine.
    Address = 5,
    /// The data directory is refused: missing, in use, corrupt, of another format, or with another number of shards.
    DataDirectory = 6,
    /// A verification found a difference.
    Difference = 7,
    /// No Muster server responds.
    Unreachable = 8,
    /// The hard limit of open files is too low for the command.
    Limit = 9,
    /// The server has no such tenant, device or object.
    Unknown = 10,
    /// The server refuses the request because of its configuration or of existing files.
    Refused = 11,
    /// The server cannot answer now: it is busy, starting, draining, or waiting for its disk.
    Unavailable = 12,
    /// A file or standard output cannot be read or written.
    File = 13,
}

impl ExitCode {
    /// Every code, in order.
    const ALL: [Self; 14] = [
        Self::Success,
        Self::Internal,
        Self::Usage,
        Self::Configuration,
        Self::Certificate,
        Self::Address,
        Self::DataDirectory,
        Self::Difference,
        Self::Unreachable,
        Self::Limit,
        Self::Unknown,
        Self::Refused,
        Self::Unavailable,
        Self::File,
    ];

    /// Its meaning, in the words of the help and of docs/reference/COMMANDS.md.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Internal => "internal error",
            Self::Usage => "wrong usage",
            Self::Configuration => "configuration invalid",
            Self::Certificate => "certificate or key unusable",
            Self::Address => "cannot listen on an address",
            Self::DataDirectory => "data directory refused",
            Self::Difference => "verification found a difference",
            Self::Unreachable => "server not reachable",
            Self::Limit => "limit of open files too low",
            Self::Unknown => "tenant, device or object unknown",
            Self::Refused => "refused by the server",
            Self::Unavailable => "server cannot answer now",
            Self::File => "file cannot be read or written",
        }
    }
}

/// The list of exit codes below the help of `muster`, for authors of scripts.
pub(crate) fn help() -> String {
    let codes = ExitCode::ALL.map(|code| format!("{} {}", code as u8, code.meaning()));
    format!("Exit codes: {}.", codes.join(", "))
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command failed. Its message is one line, except for a configuration: one line per error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A bug, or a failure of the machine such as a full disk.
    #[error("{0}")]
    Internal(String),
    /// Conflicting or invalid arguments. The caller must act.
    #[error("{0}")]
    Usage(String),
    /// The configuration is invalid. The operator must act.
    #[error(transparent)]
    Configuration(#[from] ConfigFaults),
    /// A certificate or key cannot be created or written. The operator must act.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The listener's certificates cannot be used. The operator must act.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// An address cannot be listened on. The operator must act.
    #[error("{0}")]
    Address(String),
    /// The data directory is refused; it was not changed. The operator must act.
    #[error("{0}")]
    DataDirectory(String),
    /// A verification found a difference: a bug, which the operator should report.
    #[error("{0}")]
    Difference(String),
    /// The process cannot open as many files as it needs. The operator must act.
    #[error(transparent)]
    OpenFiles(#[from] OpenFilesError),
    /// The operating system refused a file or standard output. The operator reads the cause.
    #[error("{0}")]
    File(String),
    /// The server has no such object.
    #[error("{0}")]
    Unknown(String),
    /// The server does not finish. The operator waits, and repeats the command.
    #[error("{0}")]
    Unavailable(String),
    /// The operations endpoint did not respond, or refused the request.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The operators' API did not respond, or refused the request.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The contexts cannot be used. The operator must act.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A part of what the command does has failed.
    #[error("{place}: {failure}")]
    At {
        /// The part.
        place: String,
        /// Why.
        failure: Box<Failure>,
    },
}

impl Failure {
    /// The exit code of this failure.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Internal(_)
            | Self::Telemetry(TelemetryError::Twice | TelemetryError::Start(_)) => {
                ExitCode::Internal
            }
            Self::Usage(_) | Self::Pki(PkiError::ServerName(_) | PkiError::Repeated(_)) => {
                ExitCode::Usage
            }
            Self::Configuration(_) | Self::Telemetry(TelemetryError::Level(_)) => {
                ExitCode::Configuration
            }
            Self::Pki(PkiError::Write { .. }) | Self::File(_) => ExitCode::File,
            Self::Pki(_) | Self::Tls(_) => ExitCode::Certificate,
            Self::Address(_) => ExitCode::Address,
            Self::DataDirectory(_) => ExitCode::DataDirectory,
            Self::Difference(_) => ExitCode::Difference,
            Self::OpenFiles(_) => ExitCode::Limit,
            Self::Unknown(_) => ExitCode::Unknown,
            Self::Unavailable(_) => ExitCode::Unavailable,
            Self::Ops(OpsError::Unreachable { .. } | OpsError::Answer { .. })
            | Self::Api(ApiError::Unreachable { .. } | ApiError::Response { .. }) => {
                ExitCode::Unreachable
            }
            Self::Ops(OpsError::Refused { status, .. })
            | Self::Api(ApiError::Refused { status, .. }) => of_status(*status),
            Self::Api(ApiError::Authority { .. } | ApiError::Certificate { .. }) => {
                ExitCode::Certificate
            }
            Self::Context(ContextError::Usage(_)) => ExitCode::Usage,
            Self::Context(ContextError::File(_)) => ExitCode::File,
            Self::Context(ContextError::Invalid(_)) => ExitCode::Configuration,
            Self::At { failure, .. } => failure.exit_code(),
        }
    }

    /// The failure of a part of what the command does.
    pub(crate) fn at(self, place: &str) -> Self {
        Self::At {
            place: place.to_owned(),
            failure: Box::new(self),
        }
    }

    /// Writes the message, each line prefixed with `muster: `. A failed write to standard error is ignored.
    pub fn report(&self, to: &mut dyn Write) {
        for line in self.lines() {
            let _ = to.write_all(format!("muster: {line}\n").as_bytes());
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Configuration(faults) => faults.lines().map(|line| printable(&line)).collect(),
            other => vec![printable(&other.to_string())],
        }
    }
}

/// The exit code of a refusal.
const fn of_status(status: u16) -> ExitCode {
    match status {
        404 => ExitCode::Unknown,
        500 => ExitCode::Internal,
        503 => ExitCode::Unavailable,
        _ => ExitCode::Refused,
    }
}

/// Reports the failure of a command, if it failed, flushes the log, and returns the exit code.
pub fn end(outcome: Result<(), Failure>) -> std::process::ExitCode {
    let code = match outcome {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            failure.report(&mut StandardError);
            failure.exit_code()
        }
    };
    telemetry::flush();
    code.into()
}

#[cfg(test)]
mod tests {
    use muster_ingest::config::Config;

    use super::{ExitCode, Failure, help};

    #[test]
    fn the_reference_has_every_exit_code_in_the_words_of_the_help() {
        // Read at run time, because two clones may share a target directory.

        let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let path = std::path::Path::new(&folder).join("../../docs/reference/COMMANDS.md");
        let text = std::fs::read_to_string(path).expect("the reference is there");
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let code: u8 = cells.get(1)?.parse().ok()?;
            Some(format!("{code} {}", cells.get(2)?))
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(format!("Exit codes: {}.", rows.join(", ")), help());
    }

    #[test]
    fn a_failure_is_one_line_whatever_it_quotes() {
        let mut out = Vec::new();
        Failure::Internal("a\nb\u{1b}[31mc".to_owned()).report(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "muster: a b\u{fffd}[31mc\n"
        );
    }

    #[test]
    fn an_invalid_configuration_is_one_line_per_error() {
        let faults = Config::parse("[ops]\naddres = 1", std::path::Path::new("/")).unwrap_err();
        let count = faults.faults().len();
        let failure = Failure::from(faults);
        let mut out = Vec::new();
        failure.report(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), count);
        assert!(
            text.lines().all(|line| line.starts_with("muster: ")),
            "{text}"
        );
        assert_eq!(failure.exit_code(), ExitCode::Configuration);
    }
}
