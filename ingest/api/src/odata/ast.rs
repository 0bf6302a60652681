//! The syntax tree of a `$filter`, before names and types are known.
//!
//! Owner: the task of the request. The parser bounds its depth and its size. It has no case-changing functions
//! (`tolower`), because every comparison ignores case.

/// An offset in the text, in characters. Trees that differ only in it are equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct At(pub(super) usize);

impl PartialEq for At {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// At least two conditions, of which one must hold.
    Or(Vec<Self>),
    /// At least two conditions, all of which must hold.
    And(Vec<Self>),
    Not(Box<Self>),
    Compare {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
    In {
        path: Path,
        list: Vec<Literal>,
    },
    /// `startswith` and its like.
    Match {
        function: Function,
        path: Path,
        text: String,
    },
    /// `path/any(variable:condition)`, without a condition `path/any()`; or `all`.
    Lambda {
        path: Path,
        quantifier: Quantifier,
        body: Option<(String, Box<Self>)>,
    },
    IsOf {
        at: At,
        name: String,
    },
    /// A Boolean property alone.
    Truth(Path),
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Path(Path),
    Literal(Literal),
}

/// A property, by way of complex values: `a/b`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    pub(super) at: At,
    /// At least one name.
    pub(super) segments: Vec<String>,
}

/// A value in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Number(Number),
    /// Ticks of 100 ns since 1970.
    Date(i64),
    /// A string, or a guid without quotes.
    Text(String),
}

/// A decimal number, exact in every comparison with an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// The largest integer that is not greater.
    pub(super) floor: i128,
    /// Whether it is greater than its floor.
    pub(super) has_fraction: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Has,
}

impl Operator {
    /// The operator with this name in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Equal,
            Self::NotEqual,
            Self::Greater,
            Self::GreaterOrEqual,
            Self::Less,
            Self::LessOrEqual,
            Self::Has,
        ];
        all.into_iter()
            .find(|operator| operator.name().eq_ignore_ascii_case(name))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Has => "has",
        }
    }

    /// The operator that means the same with the sides exchanged.
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    Contains,
    EndsWith,
}

impl Function {
    /// The function with this name in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::StartsWith, Self::Contains, Self::EndsWith];
        all.into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::StartsWith => "startswith",
            Self::Contains => "contains",
            Self::EndsWith => "endswith",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

impl Quantifier {
    /// The quantifier with this name in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Any, Self::All];
        all.into_iter()
            .find(|quantifier| quantifier.name().eq_ignore_ascii_case(name))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

/// Parses `-12`, `3.50`. `None` if the text has another form. Beyond the range of an i128 it saturates, which no
/// comparison with an i64 can notice.
pub(super) fn number(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_decimal =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal(whole) || !is_decimal(fraction) {
        return None;
    }
    let has_fraction = fraction.bytes().any(|byte| byte != b'0');
    let whole: i128 = whole.parse().unwrap_or(i128::MAX);
    let floor = match (is_negative, has_fraction) {
        (false, _) => whole,
        (true, false) => -whole,
        (true, true) => (-whole).saturating_sub(1),
    };
    Some(Number {
        floor,
        has_fraction,
    })
}
