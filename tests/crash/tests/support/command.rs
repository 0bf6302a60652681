//! The binary as tests run it: its words, its report, what it said on the way.
//!
//! Shared by the tests that run it whole. One process at a time, which ends by itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The binary of the server, beside the one under test.
pub(crate) fn server() -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_muster-crash")).with_file_name("muster");
    assert!(
        server.exists(),
        "{} is missing: cargo build --release --workspace --bin muster",
        server.display()
    );
    server
}

/// Runs the binary below a scratch directory.
pub(crate) fn muster_crash(scratch: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_muster-crash"))
        .args(words)
        .args(["--json", "--server"])
        .arg(server())
        .arg("--scratch")
        .arg(scratch)
        .output()
        .expect("the binary starts")
}

/// What it found, from its last line.
pub(crate) fn report(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    let last = out.lines().last().expect("a run prints its report");
    serde_json::from_str(last).expect("a report is JSON")
}

/// What it said on the way, to look at when a test fails.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
