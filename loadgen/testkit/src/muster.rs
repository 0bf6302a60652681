//! The commands of `muster`, run to their end: certificates, a recount, and whatever else.
//!
//! Blocking; each command is bounded by the server under test or by the size of a data directory. The
//! environment is empty, so that no proxy or variable of the caller changes what they do.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Exit code of a recount that differs; its report is data all the same.
const EXIT_DIFFERENCE: i32 = 7;

/// The binary under test.
#[derive(Debug, Clone)]
pub struct Muster {
    binary: PathBuf,
}

/// A command that did not do what it was asked to: how it ended, and what it said. For a data
/// directory that is a finding; for certificates it is not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{command} ended with exit code {code:?}: {said}")]
pub struct Refusal {
    /// The command, without the path of the binary.
    pub command: String,
    /// Its exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The last lines of its standard error.
    pub said: String,
}

impl Refusal {
    /// Of a command that cannot be run.
    pub fn not_started(arguments: &[&str], error: &io::Error) -> Self {
        Self {
            command: arguments.join(" "),
            code: None,
            said: format!("it cannot be run: {error}"),
        }
    }

    /// Of a command that has ended.
    pub fn of(arguments: &[&str], output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        Self {
            command: arguments.join(" "),
            code: output.status.code(),
            said: lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
        }
    }
}

/// The report of a recount, offline or by a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub struct Recount {
    /// Whether every counter equals its recount.
    pub verified: bool,
    /// Devices that the recount counted.
    pub devices: u64,
    /// Cells whose counter differs from the recount.
    pub differing_cells: u64,
}

impl Muster {
    /// The binary at this path.
    pub fn at(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
        }
    }

    /// The binary that cargo built beside this test, found where it is run: in `target/release` for a test in
    /// `target/release/deps`.
    ///
    /// # Panics
    /// If it is not there: cargo builds the binaries of other packages for no test.
    #[track_caller]
    pub fn beside_this_test() -> Self {
        let test = std::env::current_exe().expect("the system names the program it runs");
        let folder = test.parent().and_then(Path::parent);
        let binary = folder
            .expect("cargo puts tests into folders")
            .join("muster");
        assert!(
            binary.exists(),
            "{} is missing: cargo build --release --workspace --bins",
            binary.display()
        );
        Self { binary }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.binary
    }

    /// A command, not started yet.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command that prints what it made; returns that.
    ///
    /// # Errors
    /// If it does not end with exit code 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Refusal> {
        let output = self.output(arguments)?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Refusal::of(arguments, &output))
        }
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, Refusal> {
        self.command(arguments)
            .output()
            .map_err(|error| Refusal::not_started(arguments, &error))
    }

    /// Makes an authority and the certificate of a server.
    ///
    /// # Errors
    /// If it does not.
    pub fn make_authority(&self, pki: &Path) -> Result<(), Refusal> {
        self.run(&["pki", "init", "--out", &pki.to_string_lossy()])?;
        Ok(())
    }

    /// Issues certificates for a subject of a tenant, as `muster pki issue` names it.
    ///
    /// # Errors
    /// If it does not.
    pub fn issue(
        &self,
        pki: &Path,
        out: &Path,
        tenant: &str,
        subject: &[&str],
    ) -> Result<(), Refusal> {
        let (pki, out) = (pki.to_string_lossy(), out.to_string_lossy());
        let arguments = ["pki", "issue", "--pki", &pki, "--out", &out];
        self.run(&[&arguments[..], &["--tenant", tenant], subject].concat())?;
        Ok(())
    }

    /// Recounts a directory that no server uses.
    ///
    /// # Errors
    /// If there is no report: the directory is refused.
    pub fn recount_offline(&self, data: &Path) -> Result<Recount, Refusal> {
        self.recount(&["recount", "--json", "--data-dir", &data.to_string_lossy()])
    }

    /// Lets a running server recount itself.
    ///
    /// # Errors
    /// If there is no report.
    pub fn recount_online(&self, server: &str) -> Result<Recount, Refusal> {
        self.recount(&["recount", "--json", "--server", server])
    }

    fn recount(&self, arguments: &[&str]) -> Result<Recount, Refusal> {
        let output = self.output(arguments)?;
        match serde_json::from_slice::<Recount>(&output.stdout) {
            // The exit code and the report must say the same.
            Ok(report) if report.verified && output.status.success() => Ok(report),
            Ok(report) if output.status.code() == Some(EXIT_DIFFERENCE) => Ok(Recount {
                verified: false,
                ..report
            }),
            _ => Err(Refusal::of(arguments, &output)),
        }
    }
}
