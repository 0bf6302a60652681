//! The commands of `muster`, run to their end: certificates, a recount, a listing.
//!
//! Blocking; each command is bounded by the server under test or by the size of a data directory. The
//! environment is empty, so that no proxy or variable of the caller changes what they do.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::check::Recount;
use crate::error::CrashError;
use crate::listing::ListedDevice;
use crate::process::{Ended, ended};
use crate::termination::FAILPOINTS;

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

impl From<Refusal> for CrashError {
    fn from(refusal: Refusal) -> Self {
        Self::Command {
            command: refusal.command,
            reason: format!("exit code {:?}: {}", refusal.code, refusal.said),
        }
    }
}

impl Muster {
    /// The binary at this path.
    pub fn at(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
        }
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
            Err(refusal(arguments, &output))
        }
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, Refusal> {
        self.command(arguments)
            .output()
            .map_err(|error| not_started(arguments, &error))
    }

    /// Recounts a directory that no server uses.
    ///
    /// # Errors
    /// If there is no report: the directory is refused.
    pub fn recount_offline(&self, data: &Path) -> Result<Recount, Refusal> {
        self.recount(&["recount", "--json", "--data-dir", &data.to_string_lossy()])
    }

    /// Restores a backup, or dies at a kill point on the way; how it ended.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn restore(
        &self,
        backup: &Path,
        data: &Path,
        kill_point: Option<String>,
    ) -> Result<Ended, Refusal> {
        let (backup, data) = (backup.to_string_lossy(), data.to_string_lossy());
        let arguments = ["restore", &*backup, "--data-dir", &*data];
        let mut command = self.command(arguments);
        command.envs(kill_point.map(|point| (FAILPOINTS, point)));
        let output = command.output();
        let output = output.map_err(|error| not_started(&arguments, &error))?;
        Ok(ended(&output.status))
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
            _ => Err(refusal(arguments, &output)),
        }
    }

    /// Lists every device of a directory that no server uses.
    ///
    /// # Errors
    /// If the directory is refused, or a line is strange.
    pub fn devices(&self, data: &Path) -> Result<Vec<ListedDevice>, Refusal> {
        let data = data.to_string_lossy();
        let arguments = ["devices", "--data-dir", &data];
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| not_started(&arguments, &error))?;
        let mut devices = Vec::new();
        let mut strange = None;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines() {
                let line = line.map_err(|error| error.to_string());
                match line.and_then(|line| ListedDevice::parse(&line)) {
                    Ok(device) => devices.push(device),
                    Err(what) => strange = Some(what),
                }
            }
        }
        // It says at most a line, which fits the pipe.
        let output = child
            .wait_with_output()
            .map_err(|error| not_started(&arguments, &error))?;
        match strange {
            _ if !output.status.success() => Err(refusal(&arguments, &output)),
            Some(what) => Err(Refusal {
                command: arguments.join(" "),
                code: output.status.code(),
                said: format!("a line that is not understood: {what}"),
            }),
            None => Ok(devices),
        }
    }
}

fn not_started(arguments: &[&str], error: &std::io::Error) -> Refusal {
    Refusal {
        command: arguments.join(" "),
        code: None,
        said: format!("it cannot be run: {error}"),
    }
}

fn refusal(arguments: &[&str], output: &Output) -> Refusal {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    Refusal {
        command: arguments.join(" "),
        code: output.status.code(),
        said: lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
    }
}
