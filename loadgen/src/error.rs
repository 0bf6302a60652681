//! The errors of a run and their exit codes, which follow the same table as those of `muster`.

use muster_client::ClientError;
use muster_testkit::{identities::NoIdentity, ops::OpsError};
use muster_wire::CloseCode;

/// Why a run has no result. Text from elsewhere is printed on one line.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Options contradict each other or the state of the server. The user of the generator must act.
    #[error("{0}")]
    Usage(String),
    /// The tenant's settings make verification impossible. The operator of the server must act.
    #[error("{0}")]
    Configuration(String),
    /// No usable certificate was found. The user of the generator must act.
    #[error("{0}")]
    Certificate(String),
    /// The server does not answer. The operator of the server must act.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not have the tenant. The user of the generator must act.
    #[error("{0}")]
    Unknown(String),
    /// The server refuses the request. The operator of the server must act.
    #[error("{0}")]
    Refused(String),
    /// The server cannot answer now: it is starting, draining, or busy. Retry later.
    #[error("{0}")]
    Unavailable(String),
    /// A file cannot be read or written. The user of the generator must act.
    #[error("{0}")]
    File(String),
    /// A connection failed permanently.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A fault of the generator or the machine.
    #[error("{0}")]
    Internal(String),
}

/// The exit code if the counts differ from the expected counts.
pub const EXIT_DIFFERENCE: u8 = 7;

impl RunError {
    /// The exit code, as documented in docs/reference/COMMANDS.md.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Client(ClientError::Configuration(_)) => 2,
            Self::Configuration(_) => 3,
            Self::Certificate(_) => 4,
            Self::Client(error) if is_about_certificates(error) => 4,
            Self::Unreachable(_) | Self::Client(ClientError::Unreachable { .. }) => 8,
            Self::Unknown(_) => 10,
            Self::Refused(_) => 11,
            Self::Unavailable(_) => 12,
            Self::File(_) => 13,
            Self::Client(_) | Self::Internal(_) => 1,
        }
    }

    /// The error on one line, without control characters.
    pub fn line(&self) -> String {
        printable(&self.to_string())
    }
}

impl From<NoIdentity> for RunError {
    fn from(error: NoIdentity) -> Self {
        Self::Certificate(error.to_string())
    }
}

impl From<OpsError> for RunError {
    fn from(error: OpsError) -> Self {
        let text = error.to_string();
        match error {
            OpsError::Unreachable { .. } => Self::Unreachable(text),
            OpsError::Refused { status: 404, .. } => Self::Unknown(text),
            OpsError::Refused { status: 500, .. } => Self::Internal(text),
            OpsError::Refused { status: 503, .. } => Self::Unavailable(text),
            OpsError::Refused { .. } => Self::Refused(text),
            OpsError::NotUnderstood { .. } => Self::Unreachable(text),
        }
    }
}

fn is_about_certificates(error: &ClientError) -> bool {
    use CloseCode::{IdentityInvalid, IdentityMissing, UnknownTenant};
    match error {
        ClientError::Credentials(_)
        | ClientError::ServerNotTrusted(_)
        | ClientError::CertificateRefused { .. } => true,
        ClientError::Refused { code } => {
            matches!(code, IdentityInvalid | IdentityMissing | UnknownTenant)
        }
        _ => false,
    }
}

/// Replaces control characters with spaces, so that the text stays on one line.
pub fn printable(text: &str) -> String {
    let visible = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use muster_testkit::identities::{self, Kind};

    use super::*;

    #[test]
    fn exit_codes_follow_the_table() {
        let refused = |code| RunError::Client(ClientError::Refused { code }).exit_code();
        assert_eq!(refused(CloseCode::UnknownTenant), 4);
        assert_eq!(refused(CloseCode::MalformedFrame), 1);
        assert_eq!(RunError::Usage(String::new()).exit_code(), 2);
        assert_eq!(RunError::Unreachable(String::new()).exit_code(), 8);
        assert_eq!(RunError::Client(ClientError::Stopped).exit_code(), 1);
        let alert = ClientError::CertificateRefused { alert: 48 };
        assert_eq!(RunError::Client(alert).exit_code(), 4);
        let nowhere = identities::find(Path::new("/nonexistent"), "demo", Kind::Gateway);
        assert_eq!(RunError::from(nowhere.unwrap_err()).exit_code(), 4);
    }

    #[test]
    fn the_reference_and_the_help_describe_the_same_exit_codes() {
        use clap::CommandFactory;
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
        let path = Path::new(&package).join("../docs/reference/COMMANDS.md");
        let text = std::fs::read_to_string(path).expect("the reference exists");
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let code: u8 = cells.get(1)?.parse().ok()?;
            let meaning = cells.get(3).filter(|meaning| !meaning.is_empty())?;
            Some(format!("{code} {meaning}"))
        });
        let rows: Vec<_> = rows.collect();
        let help = crate::cli::Cli::command()
            .get_after_help()
            .map(ToString::to_string);
        let help = help.expect("the help has a footer").replace('\n', " ");
        assert_eq!(format!("Exit codes: {}.", rows.join(", ")), help);
    }

    #[test]
    fn an_error_is_printed_on_one_line() {
        let error = RunError::Internal("a\nb\u{1b}[31m".to_owned());
        assert_eq!(error.line(), "a b [31m");
    }
}
