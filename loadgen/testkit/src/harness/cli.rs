//! Runs a command of `muster` to completion.

use std::path::Path;
use std::process::Output;

use crate::muster::Muster;

/// The exit code and the output of a command.
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
    /// The output of a command that was not killed by a signal.
    pub fn from_output(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it exits by itself"),
            out: String::from_utf8(output.stdout).expect("standard output is text"),
            err: String::from_utf8(output.stderr).expect("standard error is text"),
        }
    }

    /// The error lines of a command that failed; the other lines of standard error are its log.
    pub fn faults(&self) -> Vec<&str> {
        self.err
            .lines()
            .filter_map(|line| line.strip_prefix("muster: "))
            .collect()
    }

    /// Asserts the exit code and that there is exactly one error line, which is returned.
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
                "neither an error line nor the log: {line}"
            );
        }
        faults[0]
    }
}

/// Runs `muster` to completion.
pub fn muster(arguments: &[&str]) -> CommandOutput {
    let output = Muster::beside_this_test().command(arguments).output();
    CommandOutput::from_output(output.expect("the binary starts"))
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a scratch directory has a plain name")
}
