//! A filter whose names and types are resolved: it tests rows, and a planner can read it.
//!
//! Owner: shared by the threads that evaluate a request; immutable. Testing a row allocates nothing. Conditions have two
//! values: a comparison with null is false, except that `eq null` is true and `ne` is the negation of `eq`. Its depth
//! and size have the bounds of the parser.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use super::ast::Number;
use super::fold;
use super::row::{NullRow, Row, Value, with_text};

/// A condition on rows of one schema. Properties are indices into it.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All must hold; without any, every row matches.
    All(Vec<Self>),
    /// One must hold; without any, no row matches.
    Any(Vec<Self>),
    /// The condition must not hold.
    Not(Box<Self>),
    /// A condition on a value.
    Test {
        /// The property.
        property: usize,
        /// What must hold for its value.
        test: Test,
    },
    /// A condition on the properties of a complex value. Those of a null value are null.
    Complex {
        /// The property.
        property: usize,
        /// The condition.
        condition: Box<Self>,
    },
    /// One element of a collection must meet the condition.
    Element {
        /// The property.
        property: usize,
        /// The condition; all elements meet an empty `All`.
        condition: Box<Self>,
    },
    /// The row must have one of these types.
    IsOf(Vec<&'static str>),
}

/// A condition on a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It is null.
    IsNull,
    /// It is a member of an enum, or a Boolean, in this set.
    Member(MemberSet),
    /// It has all these flags.
    HasFlags(u64),
    /// It has exactly these flags.
    EqualFlags(u64),
    /// It compares with a number like this.
    Int(Comparison, Exact),
    /// It compares with an instant like this: ticks of 100 ns since 1970.
    Date(Comparison, i64),
    /// It compares with a string like this.
    Text(Comparison, Text),
    /// It starts with the string.
    StartsWith(Text),
    /// It contains the string.
    Contains(Text),
    /// It ends with the string.
    EndsWith(Text),
}

/// How a value compares. There is no inequality: that is the negation of equality, and true for null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

/// Values of an enum: bit n is the member with index n. For a Boolean, bit 0 is false and bit 1 is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberSet {
    /// The members.
    pub mask: u64,
    /// Whether null belongs to it.
    pub has_null: bool,
}

/// A number in a filter, which need not be an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact(pub(super) Number);

/// A string in a filter, in lowercase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub(super) folded: String,
    /// Its bytes, if it is a guid.
    pub(super) guid: Option<[u8; 16]>,
}

impl Filter {
    /// Whether a row meets the condition.
    pub fn matches<R: Row + ?Sized>(&self, row: &R) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.matches(row)),
            Self::Any(any) => any.iter().any(|condition| condition.matches(row)),
            Self::Not(condition) => !condition.matches(row),
            Self::Test { property, test } => test.holds(row.value(*property)),
            Self::Complex {
                property,
                condition,
            } => {
                let mut is_null = true;
                let holds = row.any(*property, &mut |inner| {
                    is_null = false;
                    condition.matches(inner)
                });
                holds || is_null && condition.matches(&NullRow)
            }
            Self::Element {
                property,
                condition,
            } => row.any(*property, &mut |element| condition.matches(element)),
            Self::IsOf(types) => types.contains(&row.type_name()),
        }
    }

    /// The conditions that must all hold.
    #[must_use]
    pub fn conjuncts(&self) -> &[Self] {
        match self {
            Self::All(all) => all,
            single => std::slice::from_ref(single),
        }
    }

    /// Whether the condition depends on nothing but these properties of the row.
    #[must_use]
    pub fn uses_only(&self, properties: &[usize]) -> bool {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().all(|one| one.uses_only(properties)),
            Self::Not(condition) => condition.uses_only(properties),
            Self::Test { property, .. }
            | Self::Complex { property, .. }
            | Self::Element { property, .. } => properties.contains(property),
            Self::IsOf(_) => false,
        }
    }

    /// The values of an enum or Boolean property with which a row can match; `None` if any can.
    #[must_use]
    pub fn allowed(&self, property: usize) -> Option<MemberSet> {
        match self {
            Self::All(all) => all
                .iter()
                .filter_map(|condition| condition.allowed(property))
                .reduce(|left, right| MemberSet {
                    mask: left.mask & right.mask,
                    has_null: left.has_null && right.has_null,
                }),
            Self::Any(any) => {
                let nothing = MemberSet {
                    mask: 0,
                    has_null: false,
                };
                any.iter().try_fold(nothing, |left, condition| {
                    let right = condition.allowed(property)?;
                    Some(MemberSet {
                        mask: left.mask | right.mask,
                        has_null: left.has_null || right.has_null,
                    })
                })
            }
            Self::Test {
                property: tested,
                test: Test::Member(set),
            } if *tested == property => Some(*set),
            _ => None,
        }
    }

    /// Strings in lowercase, one of which the property of a matching row equals; `None` if there are no such strings.
    #[must_use]
    pub fn equal_to(&self, property: usize) -> Option<Vec<&str>> {
        match self {
            Self::All(all) => all
                .iter()
                .find_map(|condition| condition.equal_to(property)),
            Self::Any(any) => {
                let texts = any.iter().map(|condition| condition.equal_to(property));
                Some(texts.collect::<Option<Vec<_>>>()?.concat())
            }
            Self::Test {
                property: tested,
                test: Test::Text(Comparison::Equal, text),
            } if *tested == property => Some(vec![&text.folded]),
            _ => None,
        }
    }

    /// The instants between which a date of a matching row is, in ticks.
    #[must_use]
    pub fn between(&self, property: usize) -> RangeInclusive<i64> {
        match self {
            Self::All(all) => {
                let ranges = all.iter().map(|condition| condition.between(property));
                ranges.fold(i64::MIN..=i64::MAX, |left, right| {
                    *left.start().max(right.start())..=*left.end().min(right.end())
                })
            }
            Self::Test {
                property: tested,
                test: Test::Date(comparison, ticks),
            } if *tested == property => match comparison {
                Comparison::Equal => *ticks..=*ticks,
                Comparison::Less => i64::MIN..=ticks.saturating_sub(1),
                Comparison::LessOrEqual => i64::MIN..=*ticks,
                Comparison::Greater => ticks.saturating_add(1)..=i64::MAX,
                Comparison::GreaterOrEqual => *ticks..=i64::MAX,
            },
            _ => i64::MIN..=i64::MAX,
        }
    }

    /// Whether the condition is a comparison of this date.
    #[must_use]
    pub fn is_limit_of(&self, property: usize) -> bool {
        matches!(self, Self::Test { property: tested, test: Test::Date(..) } if *tested == property)
    }

    /// A string in lowercase with which the property of every matching row starts.
    #[must_use]
    pub fn prefix(&self, property: usize) -> Option<&str> {
        match self {
            Self::All(all) => all.iter().find_map(|condition| condition.prefix(property)),
            Self::Test {
                property: tested,
                test: Test::StartsWith(text),
            } if *tested == property => Some(&text.folded),
            _ => None,
        }
    }
}

impl Test {
    /// Whether it holds for a value.
    fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::IsNull, value) => value == Value::Null,
            (Self::Member(set), value) => set.contains(value),
            (Self::HasFlags(wanted), Value::Flags(flags)) => flags & wanted == *wanted,
            (Self::EqualFlags(wanted), Value::Flags(flags)) => flags == *wanted,
            (Self::Int(comparison, number), Value::Int(value)) => {
                comparison.holds(number.compared(value))
            }
            (Self::Date(comparison, ticks), Value::Date(value)) => {
                comparison.holds(value.cmp(ticks))
            }
            (Self::Text(Comparison::Equal, text), Value::Guid(bytes)) => text.guid == Some(bytes),
            (Self::Text(comparison, text), value) => with_text(value, |value| {
                comparison.holds(fold::compare(value, &text.folded))
            })
            .unwrap_or(false),
            (Self::StartsWith(text), value) => {
                with_text(value, |value| fold::starts_with(value, &text.folded)).unwrap_or(false)
            }
            (Self::Contains(text), value) => {
                with_text(value, |value| fold::contains(value, &text.folded)).unwrap_or(false)
            }
            (Self::EndsWith(text), value) => {
                with_text(value, |value| fold::ends_with(value, &text.folded)).unwrap_or(false)
            }
            _ => false,
        }
    }
}

impl MemberSet {
    /// Whether a member, a Boolean or null belongs to it.
    #[must_use]
    pub fn contains(self, value: Value<'_>) -> bool {
        let index = match value {
            Value::Null => return self.has_null,
            Value::Member(index) => u32::from(index),
            Value::Boolean(value) => u32::from(value),
            _ => return false,
        };
        self.mask.checked_shr(index).unwrap_or(0) & 1 == 1
    }
}

impl Comparison {
    const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Exact {
    /// The order of a value relative to the number.
    fn compared(self, value: i64) -> Ordering {
        let order = i128::from(value).cmp(&self.0.floor);
        if order.is_eq() && self.0.has_fraction {
            Ordering::Less
        } else {
            order
        }
    }
}
