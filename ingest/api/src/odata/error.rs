//! Why a query is refused, in words for the person who wrote it.
//!
//! Owner: the task of the request. Names and values of the client are clipped, so a message is short. It does not know
//! the status: all of these are 400.

use std::fmt;

/// Characters of a client's text that a message repeats.
const QUOTED_CHARS_MAX: usize = 100;

/// Text of the client, clipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl From<&str> for Quoted {
    fn from(text: &str) -> Self {
        Self(text.chars().take(QUOTED_CHARS_MAX).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A query that is refused. The client must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", place(.reason, *.position))]
pub struct QueryError {
    /// What is wrong.
    pub reason: Reason,
    /// Where in the text of the option: an offset in characters.
    pub position: Option<usize>,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No option has this name.
    #[error("The query option '{0}' is not supported.")]
    UnknownOption(Quoted),
    /// The option is given twice.
    #[error("The query option '{0}' is given more than once.")]
    RepeatedOption(Quoted),
    /// The value of an option is malformed.
    #[error("The value of the query option '{name}' is invalid: {problem}.")]
    InvalidOption {
        /// The option.
        name: &'static str,
        /// What is expected.
        problem: &'static str,
    },
    /// The text is longer than allowed.
    #[error("The {what} is longer than {max} bytes.")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The maximum.
        max: usize,
    },
    /// There are more parts than allowed.
    #[error("The query has more than {max} {what}.")]
    TooMany {
        /// The parts.
        what: &'static str,
        /// The maximum.
        max: usize,
    },
    /// The text does not follow the grammar.
    #[error("Syntax error: {0}")]
    Syntax(String),
    /// No property has this name.
    #[error("Could not find a property named '{name}' on {on}.")]
    UnknownProperty {
        /// The name.
        name: Quoted,
        /// The type, without its namespace.
        on: &'static str,
    },
    /// No type of this hierarchy has this name.
    #[error("The type '{name}' is unknown or not derived from {on}.")]
    UnknownType {
        /// The name.
        name: Quoted,
        /// The type, without its namespace.
        on: &'static str,
    },
    /// No function has this name.
    #[error("The function '{0}' is not supported.")]
    UnknownFunction(Quoted),
    /// The property cannot be used in this option.
    #[error("The property '{name}' does not support {option}.")]
    NotSupported {
        /// The property.
        name: &'static str,
        /// The option.
        option: &'static str,
    },
    /// The operator or function is not defined for the property.
    #[error("'{operator}' is not defined for the property '{name}'.")]
    WrongOperator {
        /// The property.
        name: &'static str,
        /// The operator or function.
        operator: &'static str,
    },
    /// The literal has another type than the property.
    #[error("The property '{name}' must be compared with {expected}.")]
    WrongType {
        /// The property.
        name: &'static str,
        /// What it can be compared with.
        expected: &'static str,
    },
    /// The enum has no such member.
    #[error("'{value}' is not a value of the property '{name}'.")]
    UnknownMember {
        /// The literal.
        value: Quoted,
        /// The property.
        name: &'static str,
    },
    /// The expression is valid OData that this server does not evaluate.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl Reason {
    /// The error with this reason at an offset in characters.
    pub(super) const fn at(self, position: usize) -> QueryError {
        QueryError {
            reason: self,
            position: Some(position),
        }
    }
}

impl From<Reason> for QueryError {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            position: None,
        }
    }
}

/// The position, where the message alone does not show the place.
fn place(reason: &Reason, position: Option<usize>) -> String {
    match (reason, position) {
        (Reason::Syntax(_) | Reason::Unsupported(_), Some(position)) => {
            format!(" (at position {position})")
        }
        _ => String::new(),
    }
}
