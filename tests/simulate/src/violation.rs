//! A check that does not hold, as a seed reports it.

use std::fmt;

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the check; the documentation of the crate lists the names.
    pub check: &'static str,
    /// What was found.
    pub detail: String,
}

impl Violation {
    /// A violation of `check`, with what was found instead.
    pub fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.check, self.detail)
    }
}
