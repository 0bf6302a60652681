//! Runs commands of `muster` to completion, such as issuing certificates or a recount.
//!
//! Blocking; a command is bounded by the server under test or by the size of a data directory. The environment is
//! empty, so that no proxy or variable of the caller has an effect.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The exit code of a recount that found differences; it still prints its report.
const EXIT_DIFFERENCE: i32 = 7;

/// The binary under test.
#[derive(Debug, Clone)]
pub struct Muster {
    binary: PathBuf,
}

/// A command that failed: its exit code and the end of its standard error. For a recount this is a result of the test;
/// for certificates it is a problem of the environment.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{command} ended with exit code {code:?}: {message}")]
pub struct CommandFailure {
    /// The command, without the path of the binary.
    pub command: String,
    /// The exit code, unless a signal ended the command.
    pub code: Option<i32>,
    /// The last lines of standard error.
    pub message: String,
}

impl CommandFailure {
    /// A command that could not be started.
    pub fn not_started(arguments: &[&str], error: &io::Error) -> Self {
        Self {
            command: arguments.join(" "),
            code: None,
            message: format!("cannot be started: {error}"),
        }
    }

    /// A command that has exited.
    pub fn of(arguments: &[&str], output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        Self {
            command: arguments.join(" "),
            code: output.status.code(),
            message: lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
        }
    }
}

/// The report of a recount, offline or by a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub struct Recount {
    /// Whether every counter equals its recount.
    pub verified: bool,
    /// The number of devices that the recount found.
    pub devices: u64,
    /// The number of cells whose counter differs from the recount.
    pub differing_cells: u64,
}

impl Muster {
    /// The binary at this path.
    pub fn at(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
        }
    }

    /// The binary that cargo built together with this test, located relative to the test: in `target/release` for a
    /// test in `target/release/deps`.
    ///
    /// # Panics
    /// If it does not exist. Cargo does not build the binaries of other packages for a test.
    #[track_caller]
    pub fn beside_this_test() -> Self {
        let test = std::env::current_exe().expect("the system reports the path of the test");
        let folder = test.parent().and_then(Path::parent);
        let binary = folder
            .expect("cargo puts tests into a subdirectory")
            .join("muster");
        assert!(
            binary.exists(),
            "{} is missing: cargo build --release --workspace --bins",
            binary.display()
        );
        Self { binary }
    }

    /// The path of the binary.
    pub fn path(&self) -> &Path {
        &self.binary
    }

    /// A command that is not started yet.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command; returns its standard output.
    ///
    /// # Errors
    /// If the exit code is not 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String, CommandFailure> {
        let output = self.output(arguments)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(CommandFailure::of(arguments, &output))
        }
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, CommandFailure> {
        self.command(arguments)
            .output()
            .map_err(|error| CommandFailure::not_started(arguments, &error))
    }

    /// Creates a certificate authority and a server certificate.
    ///
    /// # Errors
    /// If the command fails.
    pub fn make_authority(&self, pki: &Path) -> Result<(), CommandFailure> {
        self.run(&["pki", "init", "--out", &pki.to_string_lossy()])?;
        Ok(())
    }

    /// Issues certificates for a subject of a tenant; `subject` holds the arguments of `muster pki issue` for it.
    ///
    /// # Errors
    /// If the command fails.
    pub fn issue(
        &self,
        pki: &Path,
        out: &Path,
        tenant: &str,
        subject: &[&str],
    ) -> Result<(), CommandFailure> {
        let (pki, out) = (pki.to_string_lossy(), out.to_string_lossy());
        let arguments = ["pki", "issue", "--pki", &pki, "--out", &out];
        self.run(&[&arguments[..], &["--tenant", tenant], subject].concat())?;
        Ok(())
    }

    /// Recounts a data directory that no server is using.
    ///
    /// # Errors
    /// If there is no report, for example because the directory is refused.
    pub fn recount_offline(&self, data: &Path) -> Result<Recount, CommandFailure> {
        self.recount(&["recount", "--json", "--data-dir", &data.to_string_lossy()])
    }

    /// Asks a running server for a recount.
    ///
    /// # Errors
    /// If there is no report.
    pub fn recount_online(&self, server: &str) -> Result<Recount, CommandFailure> {
        self.recount(&["recount", "--json", "--server", server])
    }

    fn recount(&self, arguments: &[&str]) -> Result<Recount, CommandFailure> {
        let output = self.output(arguments)?;
        match serde_json::from_slice::<Recount>(&output.stdout) {
            // The exit code and the report must agree.
            Ok(report) if report.verified && output.status.success() => Ok(report),
            Ok(report) if output.status.code() == Some(EXIT_DIFFERENCE) => Ok(Recount {
                verified: false,
                ..report
            }),
            _ => Err(CommandFailure::of(arguments, &output)),
        }
    }
}
