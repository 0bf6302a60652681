//! Runs a command of `muster` to its end.

use std::path::Path;
use std::process::Output;

use crate::muster::Muster;

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl CommandOutput {
    /// What is known of a command that has ended by itself.
    pub fn from_output(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ends by itself"),
            out: String::from_utf8(output.stdout).expect("standard output is text"),
            err: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// The lines that say why the command failed; the others are its log.
    pub fn faults(&self) -> Vec<&str> {
        self.err
            .lines()
            .filter_map(|line| line.strip_prefix("muster: "))
            .collect()
    }

    /// Asserts the exit code and that one line says why, which it returns.
    #[track_caller]
    pub fn one_fault(&self, code: i32) -> &str {
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

/// Runs `muster` to its end.
pub fn muster(arguments: &[&str]) -> CommandOutput {
    let output = Muster::beside_this_test().command(arguments).output();
    CommandOutput::from_output(output.expect("the binary starts"))
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a scratch directory has a plain name")
}
