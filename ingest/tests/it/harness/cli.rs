//! Runs a command of `muster` to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn from_output(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).expect("standard output is text"),
            err: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// The lines that say why the command failed; the others are its log.
    pub(crate) fn faults(&self) -> Vec<&str> {
        self.err
            .lines()
            .filter_map(|line| line.strip_prefix("muster: "))
            .collect()
    }

    /// Asserts the exit code and that one line says why, which it returns.
    #[track_caller]
    pub(crate) fn one_fault(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.out, "", "standard output is for data");
        let faults = self.faults();
        assert_eq!(faults.len(), 1, "{}", self.err);
        let rest = self
            .err
            .lines()
            .filter(|line| !line.starts_with("muster: "));
        for line in rest {
            assert!(
                line.starts_with('{'),
                "neither the fault nor the log: {line}"
            );
        }
        faults[0]
    }
}

/// The binary `muster` that was built beside the tests.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // target/release/deps/it-... and target/release/muster
    let folder = test.ancestors().nth(2).expect("it lies in a build");
    let binary = folder.join("muster");
    assert!(
        binary.exists(),
        "{} is missing: cargo build --release --workspace --bins",
        binary.display()
    );
    binary
}

/// Runs `muster` to its end.
pub(crate) fn muster(arguments: &[&str]) -> Ended {
    let mut command = Command::new(binary());
    let output = command.args(arguments).env_clear().output();
    Ended::from_output(output.expect("the binary starts"))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a scratch directory has a plain name")
}
