//! What a world can find: a check that does not hold.

use std::fmt;

/// A check that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one; the names are listed in the documentation of the crate.
    pub check: &'static str,
    /// What was found.
    pub detail: String,
}

impl Violation {
    /// A check and what was found instead.
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
