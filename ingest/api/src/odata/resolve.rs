//! Resolves the syntax tree of a filter against a schema: names become indices, literals get the type of their property.
//!
//! Owner: the task of the request; linear in the size of the tree. A quoted literal is read by the type of its property,
//! because scripts write `(OwnerType eq '1')`. Negations move to the single conditions, so that the sets of enum values
//! are exact. It evaluates nothing.

mod place;

use self::place::{Place, Scope, find, negated};
use super::ast::{Expr, Function, Literal, Number, Operand, Operator, Path, Quantifier, number};
use super::error::{QueryError, Quoted, Reason};
use super::filter::{Comparison, Exact, Filter, MemberSet, Test, Text};
use super::fold;
use super::instant;
use super::parser;
use super::row::guid_bytes;
use super::schema::{Kind, Members, Schema};

/// No row matches.
const NOTHING: Filter = Filter::Any(Vec::new());

impl Filter {
    /// Parses a `$filter` for rows of a schema.
    ///
    /// # Errors
    /// The text is too long or not a filter, or names an unknown property or a value that its property cannot have.
    pub fn parse(text: &str, schema: &'static Schema) -> Result<Self, QueryError> {
        resolve(&parser::parse(text)?, Scope::Row(schema), false)
    }
}

fn resolve(expr: &Expr, scope: Scope<'_>, negate: bool) -> Result<Filter, QueryError> {
    match expr {
        Expr::And(terms) | Expr::Or(terms) => {
            let is_all = matches!(expr, Expr::And(_)) != negate;
            joined(terms, scope, negate, is_all)
        }
        Expr::Not(inner) => resolve(inner, scope, !negate),
        Expr::Compare {
            left,
            operator,
            right,
        } => match (left, right) {
            (Operand::Path(path), Operand::Literal(literal)) => {
                compare(path, *operator, literal, scope, negate)
            }
            (Operand::Literal(literal), Operand::Path(path)) if *operator != Operator::Has => {
                compare(path, operator.flipped(), literal, scope, negate)
            }
            (Operand::Path(path), _) | (_, Operand::Path(path)) => {
                // The other side may be an enum value without quotes.
                Err(Reason::Unsupported(
                    "One side of a comparison must be a literal; strings and enum values are written in single quotes.",
                )
                .at(path.at.0))
            }
            _ => Err(Reason::Unsupported("One side of a comparison must be a property.").into()),
        },
        Expr::In { path, list } => {
            let equal = |literal| compare(path, Operator::Equal, literal, scope, negate);
            let filters = list.iter().map(equal).collect::<Result<Vec<_>, _>>()?;
            Ok(one_of(filters, negate))
        }
        Expr::Match {
            function,
            path,
            text,
        } => {
            let place = find(path, scope)?;
            if !matches!(place.kind, Kind::Text) {
                let (name, operator) = (place.name, function.name());
                return Err(Reason::WrongOperator { name, operator }.at(place.at));
            }
            let text = folded(text);
            let test = match function {
                Function::StartsWith => Test::StartsWith(text),
                Function::Contains => Test::Contains(text),
                Function::EndsWith => Test::EndsWith(text),
            };
            Ok(place.test(test, negate))
        }
        Expr::Lambda {
            path,
            quantifier,
            body,
        } => lambda(path, *quantifier, body.as_ref(), scope, negate),
        Expr::IsOf { at, name } => {
            let Scope::Row(schema) = scope else {
                return Err(Reason::Unsupported("isof tests the object itself only.").at(at.0));
            };
            let types = schema.types(name).map_err(|error| error.reason.at(at.0))?;
            Ok(negated(Filter::IsOf(types), negate))
        }
        Expr::Truth(path) => {
            let literal = Literal::Boolean(true);
            compare(path, Operator::Equal, &literal, scope, negate)
        }
    }
}

/// `and` and `or`, flattened.
fn joined(
    terms: &[Expr],
    scope: Scope<'_>,
    negate: bool,
    is_all: bool,
) -> Result<Filter, QueryError> {
    let mut filters = Vec::with_capacity(terms.len());
    for term in terms {
        match resolve(term, scope, negate)? {
            Filter::All(inner) if is_all => filters.extend(inner),
            Filter::Any(inner) if !is_all => filters.extend(inner),
            single => filters.push(single),
        }
    }
    Ok(if is_all {
        Filter::All(filters)
    } else {
        Filter::Any(filters)
    })
}

/// The comparisons of an `in`.
fn one_of(mut filters: Vec<Filter>, negate: bool) -> Filter {
    if filters.len() == 1
        && let Some(single) = filters.pop()
    {
        return single;
    }
    if negate {
        Filter::All(filters)
    } else {
        Filter::Any(filters)
    }
}

fn lambda(
    path: &Path,
    quantifier: Quantifier,
    body: Option<&(String, Box<Expr>)>,
    scope: Scope<'_>,
    negate: bool,
) -> Result<Filter, QueryError> {
    let place = find(path, scope)?;
    let Kind::Collection(kind) = place.kind else {
        let (name, operator) = (place.name, quantifier.name());
        return Err(Reason::WrongOperator { name, operator }.at(place.at));
    };
    // All elements meet a condition if none meets its negation.
    let is_all = quantifier == Quantifier::All;
    let condition = match body {
        Some((variable, body)) => resolve(body, Scope::Element { variable, kind }, is_all)?,
        None => Filter::All(Vec::new()),
    };
    let element = Filter::Element {
        property: place.property,
        condition: Box::new(condition),
    };
    Ok(place.wrap(negated(element, negate != is_all)))
}

/// A comparison of a property with a literal.
fn compare(
    path: &Path,
    operator: Operator,
    literal: &Literal,
    scope: Scope<'_>,
    negate: bool,
) -> Result<Filter, QueryError> {
    let place = find(path, scope)?;
    // `ne` is the negation of `eq`, also for null.
    let (operator, negate) = match operator {
        Operator::NotEqual => (Operator::Equal, !negate),
        other => (other, negate),
    };
    let comparison = match operator {
        Operator::Less => Comparison::Less,
        Operator::LessOrEqual => Comparison::LessOrEqual,
        Operator::Greater => Comparison::Greater,
        Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
        _ => Comparison::Equal,
    };
    let is_ordered = matches!(place.kind, Kind::Text | Kind::Int | Kind::Date);
    let is_flags = matches!(place.kind, Kind::Flags(_));
    let is_defined = match operator {
        Operator::Equal => !matches!(place.kind, Kind::Collection(_)),
        Operator::Has => is_flags,
        _ => is_ordered,
    };
    if !is_defined {
        return Err(place.wrong_operator(operator));
    }
    let test = match (place.kind, literal) {
        (Kind::Complex(_), Literal::Null) => return Ok(complex_is_null(&place, negate)),
        (Kind::Complex(_), _) => return Err(place.wrong_type("null")),
        (Kind::Enum(_) | Kind::Boolean, Literal::Null) => Test::Member(MemberSet {
            mask: 0,
            has_null: true,
        }),
        (_, Literal::Null) if operator == Operator::Equal => Test::IsNull,
        (_, Literal::Null) => return Ok(negated(NOTHING, negate)),
        (Kind::Enum(members), _) => one(member(&place, members, literal)?),
        (Kind::Boolean, _) => one(u8::from(boolean(&place, literal)?)),
        (Kind::Flags(members), _) => {
            let flags = flags(&place, members, literal)?;
            match operator {
                Operator::Has => Test::HasFlags(flags),
                _ => Test::EqualFlags(flags),
            }
        }
        (Kind::Int, _) => Test::Int(comparison, Exact(integer(&place, literal)?)),
        (Kind::Date, _) => Test::Date(comparison, date(&place, literal)?),
        (Kind::Text | Kind::Collection(_), Literal::Text(text)) => {
            Test::Text(comparison, folded(text))
        }
        (Kind::Text | Kind::Collection(_), _) => {
            return Err(place.wrong_type("a string in single quotes"));
        }
    };
    Ok(place.test(test, negate))
}

/// Whether a complex value is null: then it has nothing that meets even an empty condition.
fn complex_is_null(place: &Place, negate: bool) -> Filter {
    let exists = Filter::Element {
        property: place.property,
        condition: Box::new(Filter::All(Vec::new())),
    };
    place.wrap(negated(exists, !negate))
}

/// The member of an enum, by its name, or by its number as in filters of reports.
fn member(place: &Place, members: &'static Members, literal: &Literal) -> Result<u8, QueryError> {
    let numbered = |number: Number| {
        let number = i64::try_from(number.floor)
            .ok()
            .filter(|_| !number.has_fraction)?;
        members.numbered_index(number)
    };
    let (found, value) = match literal {
        Literal::Text(text) => {
            let found = members
                .index_of(text)
                .or_else(|| number(text).and_then(numbered));
            (found, Quoted::from(text.as_str()))
        }
        Literal::Number(number) => (
            numbered(*number),
            Quoted::from(number.floor.to_string().as_str()),
        ),
        _ => return Err(place.wrong_type("a value in single quotes")),
    };
    let name = place.name;
    found.ok_or_else(|| Reason::UnknownMember { value, name }.at(place.at))
}

/// The set of flags in a comma-joined string.
fn flags(place: &Place, members: &'static Members, literal: &Literal) -> Result<u64, QueryError> {
    let Literal::Text(text) = literal else {
        return Err(place.wrong_type("a value in single quotes"));
    };
    text.split(',').try_fold(0, |flags, part| {
        let part = part.trim();
        let unknown = || {
            let value = Quoted::from(part);
            let name = place.name;
            Reason::UnknownMember { value, name }.at(place.at)
        };
        let index = members.index_of(part).ok_or_else(unknown)?;
        Ok(flags | 1 << index)
    })
}

fn boolean(place: &Place, literal: &Literal) -> Result<bool, QueryError> {
    match literal {
        Literal::Boolean(value) => Ok(*value),
        Literal::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Literal::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(place.wrong_type("true or false")),
    }
}

fn integer(place: &Place, literal: &Literal) -> Result<Number, QueryError> {
    let found = match literal {
        Literal::Number(number) => Some(*number),
        Literal::Text(text) => number(text),
        _ => None,
    };
    found.ok_or_else(|| place.wrong_type("a number"))
}

fn date(place: &Place, literal: &Literal) -> Result<i64, QueryError> {
    let found = match literal {
        Literal::Date(ticks) => Some(*ticks),
        Literal::Text(text) => instant::parse(text),
        _ => None,
    };
    found.ok_or_else(|| place.wrong_type("a date such as 2026-11-30T08:15:00Z"))
}

/// The set of one member.
const fn one(index: u8) -> Test {
    Test::Member(MemberSet {
        mask: 1 << index,
        has_null: false,
    })
}

fn folded(text: &str) -> Text {
    Text {
        folded: fold::folded(text),
        guid: guid_bytes(text),
    }
}
