//! Runs the binary `muster-crash` in tests: arguments, report, standard error.
//!
//! Shared by the tests of the binary. Bounds: one process at a time, which ends by itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use muster_testkit::muster::Muster;
use serde_json::Value;

/// The binary of the server, in the same directory as the one under test.
pub(crate) fn server() -> PathBuf {
    Muster::beside_this_test().path().to_owned()
}

/// Runs the binary with a scratch directory.
pub(crate) fn muster_crash(scratch: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster-crash"))
        .args(arguments)
        .args(["--json", "--server"])
        .arg(server())
        .arg("--scratch")
        .arg(scratch)
        .output()
        .expect("the binary starts")
}

/// The report, from the last line of standard output.
pub(crate) fn report(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    let last = out.lines().last().expect("a run prints its report");
    serde_json::from_str(last).expect("a report is JSON")
}

/// Standard error, for the message of a failing test.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
