//! What is wrong with the document of a command: every fault at once, each with its property and what is allowed.
//!
//! Bounded by [`FAULTS_MAX`]: a list counts the faults beyond it.

use std::fmt;

use crate::limits::FAULTS_MAX;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The property must be given.
    Missing,
    /// The value is not allowed.
    Invalid,
    /// The property is not known.
    UnknownProperty,
    /// The property cannot be changed once the object exists.
    Unchangeable,
}

impl FaultKind {
    /// The code in responses, for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::UnknownProperty => "unknownProperty",
            Self::Unchangeable => "unchangeable",
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The path of the property.
    pub target: String,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// What is allowed instead.
    pub allowed: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target, allowed, ..
        } = self;
        match self.kind {
            FaultKind::Missing => write!(out, "{target} is missing; allowed: {allowed}"),
            FaultKind::Invalid => write!(
                out,
                "{target} has a value that is not allowed; allowed: {allowed}"
            ),
            FaultKind::UnknownProperty => write!(out, "{target} is not known; known: {allowed}"),
            FaultKind::Unchangeable => write!(out, "{target} cannot be changed; it is {allowed}"),
        }
    }
}

/// Faults in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    listed: Vec<Fault>,
    omitted: usize,
}

impl Faults {
    pub(crate) fn push(
        &mut self,
        kind: FaultKind,
        target: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        if self.listed.len() >= FAULTS_MAX {
            self.omitted += 1;
            return;
        }
        self.listed.push(Fault {
            target: target.into(),
            kind,
            allowed: allowed.into(),
        });
    }

    /// Adds the faults of a part of the document.
    pub(crate) fn append(&mut self, part: Self) {
        let room = FAULTS_MAX - self.listed.len();
        self.omitted += part.omitted + part.listed.len().saturating_sub(room);
        self.listed.extend(part.listed.into_iter().take(room));
    }

    /// The listed faults.
    #[must_use]
    pub fn listed(&self) -> &[Fault] {
        &self.listed
    }

    /// Number of faults that are not listed.
    #[must_use]
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether no fault was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.listed.iter().enumerate() {
            let separator = if index == 0 { "" } else { ". " };
            write!(out, "{separator}{fault}")?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(out, ". {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_beyond_the_bound_are_counted() {
        let mut faults = Faults::default();
        assert!(faults.is_empty());
        for number in 0..FAULTS_MAX + 3 {
            faults.push(FaultKind::Invalid, number.to_string(), "nothing");
        }
        assert_eq!(faults.listed().len(), FAULTS_MAX);
        assert_eq!(faults.omitted(), 3);
        assert!(faults.to_string().ends_with("allowed: nothing. 3 more"));
    }
}
