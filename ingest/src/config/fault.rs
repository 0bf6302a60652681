//! The errors of a configuration, collected so that all of them are reported at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// One error in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The line of the file, from 1; a missing key has none.
    pub line: Option<usize>,
    /// The full name of the key, like `listen.address`. Empty for an error of the whole file.
    pub path: String,
    /// The error and the allowed values, without line and key.
    pub message: String,
}

/// All errors of a configuration, in the order of their lines. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults {
    file: Option<PathBuf>,
    faults: Vec<ConfigFault>,
}

impl ConfigFaults {
    pub(super) fn new(mut faults: Vec<ConfigFault>) -> Self {
        faults.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        Self { file: None, faults }
    }

    pub(super) fn of_file(file: &Path, message: String) -> Self {
        let fault = ConfigFault {
            line: None,
            path: String::new(),
            message,
        };
        Self {
            file: Some(file.to_owned()),
            faults: vec![fault],
        }
    }

    pub(super) fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// The errors in the order of their lines; those without a line come last.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// One line of text per error: `muster.toml:12: listen.adress: unknown key ...`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.faults.iter().map(|fault| {
            let mut line = String::new();
            match (&self.file, fault.line) {
                (Some(file), Some(number)) => {
                    line.push_str(&format!("{}:{number}: ", file.display()))
                }
                (Some(file), None) => line.push_str(&format!("{}: ", file.display())),
                (None, Some(number)) => line.push_str(&format!("line {number}: ")),
                (None, None) => {}
            }
            if !fault.path.is_empty() {
                line.push_str(&format!("{}: ", fault.path));
            }
            line.push_str(&fault.message);
            line
        })
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigFaults {}
