//! The rules of assignment filters: `(device.manufacturer -eq "Dell") and (device.deviceOwnership -eq "Corporate")`.
//!
//! A rule is parsed once, to a tree whose depth is bounded; `and` binds more tightly than `or`. Names and words are
//! read in any case. A text is between two equal quotes and has no escapes. The rule of a filter is kept for its
//! evaluation, which does not exist yet. Bounded by [`RULE_CHARACTERS_MAX`] and [`RULE_DEPTH_MAX`]; the time of parsing
//! is proportional to the length.

mod lexer;

use lexer::{Lexer, Token};

use crate::limits::{RULE_CHARACTERS_MAX, RULE_DEPTH_MAX};
use crate::object::requirements::is_version;
use crate::value::choices;

/// What is wrong with a rule, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {problem}")]
pub struct RuleError {
    /// The character, counted from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// It is empty.
    #[error("the rule is empty")]
    Empty,
    /// It is longer than allowed.
    #[error("a rule has at most {RULE_CHARACTERS_MAX} characters")]
    TooLong,
    /// Parentheses are nested more deeply than allowed.
    #[error("parentheses are nested at most {RULE_DEPTH_MAX} times")]
    TooDeep,
    /// A character that no rule has.
    #[error("unexpected character")]
    Character,
    /// A text without its second quote.
    #[error("the text does not end")]
    OpenText,
    /// Something else than a comparison or `(`.
    #[error("expected a property, such as device.model, or \"(\"")]
    ExpectedComparison,
    /// A name that is not that of a property.
    #[error("unknown property")]
    UnknownProperty,
    /// Something else than an operator.
    #[error("expected an operator, such as -eq")]
    ExpectedOperator,
    /// An operator that the property does not have.
    #[error("the property has no order, so this operator cannot compare it")]
    NotOrdered,
    /// Something else than a text.
    #[error("expected a text in quotes")]
    ExpectedText,
    /// Something else than a list of texts.
    #[error("expected a list of texts, such as [\"a\", \"b\"]")]
    ExpectedList,
    /// A text that is not a version.
    #[error("expected a version, such as \"10.0.22631\"")]
    ExpectedVersion,
    /// Something else than `)`.
    #[error("expected \")\"")]
    ExpectedParenthesis,
    /// Something else than `and`, `or` or the end.
    #[error("expected and, or, or the end of the rule")]
    ExpectedEnd,
}

choices! {
    /// A property of a device that a rule compares.
    FilterProperty {
        /// Its name.
        DeviceName = 0 "deviceName",
        /// Who made it.
        Manufacturer = 1 "manufacturer",
        /// Its model.
        Model = 2 "model",
        /// Its category.
        DeviceCategory = 3 "deviceCategory",
        /// The version of its operating system.
        OsVersion = 4 "osVersion",
        /// The same.
        OperatingSystemVersion = 5 "operatingSystemVersion",
        /// The edition of Windows.
        OperatingSystemSku = 6 "operatingSystemSKU",
        /// Whom it belongs to.
        DeviceOwnership = 7 "deviceOwnership",
        /// The profile that it was enrolled with.
        EnrollmentProfileName = 8 "enrollmentProfileName",
        /// Whether it is jailbroken.
        IsRooted = 9 "isRooted",
        /// How it is joined to the directory.
        DeviceTrustType = 10 "deviceTrustType",
        /// Its processor.
        CpuArchitecture = 11 "cpuArchitecture",
    }
}

choices! {
    /// How a rule compares a property.
    FilterOperator {
        /// Equal.
        Eq = 0 "eq",
        /// Not equal.
        Ne = 1 "ne",
        /// Greater, of versions.
        Gt = 2 "gt",
        /// Greater or equal, of versions.
        Ge = 3 "ge",
        /// Less, of versions.
        Lt = 4 "lt",
        /// Less or equal, of versions.
        Le = 5 "le",
        /// One of a list.
        In = 6 "in",
        /// None of a list.
        NotIn = 7 "notIn",
        /// A part of it.
        Contains = 8 "contains",
        /// No part of it.
        NotContains = 9 "notContains",
        /// Its beginning.
        StartsWith = 10 "startsWith",
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterRule {
    /// Every one of them matches; at least two.
    All(Vec<Self>),
    /// One of them matches; at least two.
    Any(Vec<Self>),
    /// A property compares with the values.
    Compare {
        /// The property.
        property: FilterProperty,
        /// The operator.
        operator: FilterOperator,
        /// The values: one, unless the operator has a list.
        values: Vec<Box<str>>,
    },
}

impl FilterRule {
    /// Parses a rule.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        // A character has at most four bytes: a long text is refused before it is counted.
        if text.len() > 4 * RULE_CHARACTERS_MAX || text.chars().count() > RULE_CHARACTERS_MAX {
            let position = RULE_CHARACTERS_MAX + 1;
            let problem = RuleProblem::TooLong;
            return Err(RuleError { position, problem });
        }
        let mut parser = Parser {
            lexer: Lexer::new(text)?,
            depth: 0,
        };
        if parser.lexer.token == Token::End {
            return Err(parser.lexer.error(RuleProblem::Empty));
        }
        let rule = parser.any()?;
        match parser.lexer.token {
            Token::End => Ok(rule),
            _ => Err(parser.lexer.error(RuleProblem::ExpectedEnd)),
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Parentheses that are open.
    depth: usize,
}

impl Parser<'_> {
    /// Terms with `or` between them.
    fn any(&mut self) -> Result<FilterRule, RuleError> {
        let mut terms = vec![self.all()?];
        while self.lexer.takes_word("or")? {
            terms.push(self.all()?);
        }
        Ok(one_or(terms, FilterRule::Any))
    }

    /// Comparisons and groups with `and` between them.
    fn all(&mut self) -> Result<FilterRule, RuleError> {
        let mut terms = vec![self.term()?];
        while self.lexer.takes_word("and")? {
            terms.push(self.term()?);
        }
        Ok(one_or(terms, FilterRule::All))
    }

    fn term(&mut self) -> Result<FilterRule, RuleError> {
        match self.lexer.token {
            Token::Open => {
                if self.depth == RULE_DEPTH_MAX {
                    return Err(self.lexer.error(RuleProblem::TooDeep));
                }
                self.depth += 1;
                self.lexer.advance()?;
                let rule = self.any()?;
                self.expect(Token::Close, RuleProblem::ExpectedParenthesis)?;
                self.depth -= 1;
                Ok(rule)
            }
            Token::Word(name) => self.comparison(name),
            _ => Err(self.lexer.error(RuleProblem::ExpectedComparison)),
        }
    }

    fn comparison(&mut self, name: &str) -> Result<FilterRule, RuleError> {
        let (object, property) = name.split_once('.').unwrap_or_default();
        let property =
            FilterProperty::from_name(property).filter(|_| object.eq_ignore_ascii_case("device"));
        let property = property.ok_or_else(|| self.lexer.error(RuleProblem::UnknownProperty))?;
        self.lexer.advance()?;
        let Token::Word(word) = self.lexer.token else {
            return Err(self.lexer.error(RuleProblem::ExpectedOperator));
        };
        let operator = word.strip_prefix('-').and_then(FilterOperator::from_name);
        let operator = operator.ok_or_else(|| self.lexer.error(RuleProblem::ExpectedOperator))?;
        if operator.is_ordering() && !property.is_ordered() {
            return Err(self.lexer.error(RuleProblem::NotOrdered));
        }
        self.lexer.advance()?;
        let values = match operator {
            FilterOperator::In | FilterOperator::NotIn => self.list()?,
            _ => vec![self.text(RuleProblem::ExpectedText, operator.is_ordering())?],
        };
        Ok(FilterRule::Compare {
            property,
            operator,
            values,
        })
    }

    fn list(&mut self) -> Result<Vec<Box<str>>, RuleError> {
        self.expect(Token::OpenList, RuleProblem::ExpectedList)?;
        let mut values = vec![self.text(RuleProblem::ExpectedList, false)?];
        while self.lexer.token == Token::Comma {
            self.lexer.advance()?;
            values.push(self.text(RuleProblem::ExpectedList, false)?);
        }
        self.expect(Token::CloseList, RuleProblem::ExpectedList)?;
        Ok(values)
    }

    fn text(
        &mut self,
        otherwise: RuleProblem,
        is_version_text: bool,
    ) -> Result<Box<str>, RuleError> {
        let Token::Text(text) = self.lexer.token else {
            return Err(self.lexer.error(otherwise));
        };
        if is_version_text && !is_version(text) {
            return Err(self.lexer.error(RuleProblem::ExpectedVersion));
        }
        self.lexer.advance()?;
        Ok(text.into())
    }

    fn expect(&mut self, token: Token<'_>, otherwise: RuleProblem) -> Result<(), RuleError> {
        if self.lexer.token != token {
            return Err(self.lexer.error(otherwise));
        }
        self.lexer.advance()
    }
}

fn one_or(mut terms: Vec<FilterRule>, join: fn(Vec<FilterRule>) -> FilterRule) -> FilterRule {
    match terms.len() {
        1 => terms.remove(0),
        _ => join(terms),
    }
}

impl FilterProperty {
    /// Whether values are versions, which have an order.
    const fn is_ordered(self) -> bool {
        matches!(self, Self::OsVersion | Self::OperatingSystemVersion)
    }
}

impl FilterOperator {
    const fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

/// Whether a membership rule, whose language Muster does not read, is a sequence of tokens with balanced parentheses.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn check_balanced(text: &str) -> Result<(), RuleError> {
    lexer::check_balanced(text)
}

#[cfg(test)]
mod tests;
