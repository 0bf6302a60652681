//! Runs the binary `muster` as a process and checks its output and exit code.
//!
//! One file per command. The tests of a running server are in `tests/acceptance`.

mod audit;
mod config;
mod context;
mod ops;
mod pki;
mod serve;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
            .expect("the line begins with the name of the program")
    }

    /// Asserts that the command succeeded without a line on standard error; returns standard output.
    #[track_caller]
    fn done(&self) -> &str {
        assert_eq!((self.code, self.err.as_str()), (0, ""));
        &self.out
    }
}

fn muster(arguments: &[&str]) -> Ended {
    muster_with(&[], "", arguments)
}

/// Runs the command with these variables, and with this text as standard input.
fn muster_with(variables: &[(&str, &str)], input: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        // The environment's proxy must not be used.
        .env("http_proxy", "http://127.0.0.1:9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = command.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = command.wait_with_output().expect("it ends");
    Ended {
        code: status.code().expect("no signal ends the command"),
        out: String::from_utf8(stdout).expect("standard output is UTF-8"),
        err: String::from_utf8(stderr).expect("standard error is UTF-8"),
    }
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("the path of a scratch directory is UTF-8")
}

#[test]
fn invalid_arguments_exit_with_the_usage_code() {
    for arguments in [
        &["roll-call"][..],
        &[],
        &["serve"],
        // No context is in use.
        &["devices"],
        &["get", "pods"],
        &["get", "policies", "x", "--filter", "id eq '1'"],
        &["devices", "--data-dir", "/tmp", "--filter", "id eq '1'"],
        &["devices", "list", "--data-dir", "/tmp", "-o", "csv"],
        &["counts", "-o", "xml"],
        &["token", "create", "--name", "x", "--tenant", "contoso"],
        &["token", "create", "--name", "x", "--server", "127.0.0.1:1"],
        &["recount", "--server", "https://127.0.0.1:7441"],
        &[
            "context",
            "add",
            "x",
            "--server",
            "http://a:1",
            "--ca",
            "a",
            "--token-file",
            "b",
        ],
        &[
            "context",
            "add",
            "x",
            "--server",
            "https://a:1",
            "--ca",
            "a",
        ],
        &["completions", "sh"],
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
fn help_and_version_go_to_standard_output() {
    let help = muster(&["--help"]);
    assert!(help.done().contains("Exit codes: 0 done"));
    assert!(muster(&["--version"]).done().starts_with("muster "));
}
