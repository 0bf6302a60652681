//! The commands of `muster` that only a crash loop runs: a restore that a kill point may end, a listing of all devices.
//!
//! Blocking; each is bounded by the size of a data directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use muster_testkit::muster::{CommandFailure, Muster};
use muster_testkit::server::{Ended, ended};

use crate::listing::ListedDevice;
use crate::termination::FAILPOINTS;

/// Restores a backup, or dies at a kill point on the way; how it ended.
///
/// # Errors
/// If it cannot be run.
pub fn restore(
    muster: &Muster,
    backup: &Path,
    data: &Path,
    kill_point: Option<String>,
) -> Result<Ended, CommandFailure> {
    let (backup, data) = (backup.to_string_lossy(), data.to_string_lossy());
    let arguments = ["restore", &*backup, "--data-dir", &*data];
    let mut command = muster.command(arguments);
    command.envs(kill_point.map(|point| (FAILPOINTS, point)));
    let output = command.output();
    let output = output.map_err(|error| CommandFailure::not_started(&arguments, &error))?;
    Ok(ended(&output.status))
}

/// Lists every device of a directory that no server uses.
///
/// # Errors
/// If the directory is refused, or a line is strange.
pub fn devices(muster: &Muster, data: &Path) -> Result<Vec<ListedDevice>, CommandFailure> {
    let data = data.to_string_lossy();
    let arguments = ["devices", "--data-dir", &data];
    let mut child = muster
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| CommandFailure::not_started(&arguments, &error))?;
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
        .map_err(|error| CommandFailure::not_started(&arguments, &error))?;
    match strange {
        _ if !output.status.success() => Err(CommandFailure::of(&arguments, &output)),
        Some(what) => Err(CommandFailure {
            command: arguments.join(" "),
            code: output.status.code(),
            message: format!("unexpected line: {what}"),
        }),
        None => Ok(devices),
    }
}
