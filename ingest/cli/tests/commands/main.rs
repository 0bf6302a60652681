//! Runs the binary `muster` as a person or a script does: what it prints where, and how it ends.
//!
//! One file for each command. The tests of a running server are elsewhere.

mod config;
mod ops;
mod pki;
mod serve;

use std::path::Path;
use std::process::{Command, Output};

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    /// Asserts that the command failed with `code` and printed one line, which it returns.
    #[track_caller]
    fn one_line(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.out, "", "standard output is for data");
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err
            .trim_end()
            .strip_prefix("muster: ")
            .expect("the line says who speaks")
    }

    /// Asserts that the command did what it was asked to and said nothing besides; returns its data.
    #[track_caller]
    fn done(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (0, ""));
        &self.out
    }
}

fn muster(arguments: &[&str]) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .env_clear()
        // A proxy must never see questions about a fleet.
        .env("http_proxy", "http://127.0.0.1:9")
        .output()
        .expect("the binary starts");
    Ended {
        code: status.code().expect("it ends by itself"),
        out: String::from_utf8(stdout).expect("standard output is text"),
        err: String::from_utf8(stderr).expect("standard error is text"),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a scratch directory has a plain name")
}

#[test]
fn wrong_arguments_end_with_the_code_of_usage() {
    for arguments in [
        &["roll-call"][..],
        &[],
        &["serve"],
        &["devices"],
        &["device", "not-a-uuid", "--tenant", "contoso"],
        &["counts", "--tenant", "Contoso"],
        &["counts", "--server", "https://127.0.0.1:7441"],
        &[
            "recount",
            "--data-dir",
            "/tmp",
            "--server",
            "http://127.0.0.1:1",
        ],
        &[
            "pki", "issue", "--pki", "a", "--out", "b", "--tenant", "contoso",
        ],
        &[
            "pki",
            "issue",
            "--pki",
            "a",
            "--out",
            "b",
            "--tenant",
            "c",
            "--gateway",
            "d",
            "--seed",
            "1",
        ],
    ] {
        let ended = muster(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
        assert_eq!(ended.out, "");
    }
}

#[test]
fn help_and_version_are_data() {
    let help = muster(&["--help"]);
    assert!(help.done().contains("Exit codes: 0 done"));
    assert!(muster(&["--version"]).done().starts_with("muster "));
}
