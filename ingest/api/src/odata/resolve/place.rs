//! What a path of a filter leads to, and conditions on it.
//!
//! Owner: the resolver. It knows names; it reads no literal.

use crate::odata::ast::{Operator, Path};
use crate::odata::error::{QueryError, Quoted, Reason};
use crate::odata::filter::{Filter, MemberSet, Test};
use crate::odata::schema::{Kind, Property, Schema};

/// The name of the option, for messages.
const FILTER: &str = "$filter";

/// What a path begins at.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// The properties of a row.
    Row(&'static Schema),
    /// The variable of a lambda: an element of a collection.
    Element {
        variable: &'a str,
        kind: &'static Kind,
    },
}

/// What a path leads to.
pub(super) struct Place {
    /// Complex values on the way.
    through: Vec<usize>,
    pub(super) property: usize,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) at: usize,
}

/// The property that a path names.
pub(super) fn find(path: &Path, scope: Scope<'_>) -> Result<Place, QueryError> {
    let at = path.at.0;
    let mut segments = path.segments.iter().map(String::as_str);
    let mut schema = match scope {
        Scope::Row(schema) => schema,
        Scope::Element { variable, kind } => {
            if !segments
                .next()
                .is_some_and(|first| first.eq_ignore_ascii_case(variable))
            {
                return Err(Reason::Unsupported(
                    "Inside any and all a path must begin with the variable.",
                )
                .at(at));
            }
            match kind {
                Kind::Complex(schema) => schema,
                kind => return element(segments.next(), *kind, at),
            }
        }
    };
    let mut through = Vec::new();
    let mut segments = segments.peekable();
    while let Some(segment) = segments.next() {
        if segment.contains('.') {
            // A type cast: other types have null, as if they had been cast.
            schema.types(segment).map_err(|error| error.reason.at(at))?;
            continue;
        }
        let (index, property) = schema
            .property(segment)
            .map_err(|error| error.reason.at(at))?;
        if let (Kind::Complex(inner), true) = (property.kind, segments.peek().is_some()) {
            through.push(index);
            schema = inner;
            continue;
        }
        if let Some(next) = segments.next() {
            let name = Quoted::from(next);
            let on = property.name;
            return Err(Reason::UnknownProperty { name, on }.at(at));
        }
        let Property { name, kind, .. } = *property;
        if !property.filterable {
            let option = FILTER;
            return Err(Reason::NotSupported { name, option }.at(at));
        }
        return Ok(Place {
            through,
            property: index,
            name,
            kind,
            at,
        });
    }
    let problem = "the name of a property is expected".to_owned();
    Err(Reason::Syntax(problem).at(at))
}

/// The variable itself, where elements are plain values.
fn element(next: Option<&str>, kind: Kind, at: usize) -> Result<Place, QueryError> {
    let on = "the element of the collection";
    if let Some(next) = next {
        let name = Quoted::from(next);
        return Err(Reason::UnknownProperty { name, on }.at(at));
    }
    Ok(Place {
        through: Vec::new(),
        property: 0,
        name: on,
        kind,
        at,
    })
}

impl Place {
    /// The condition on the row, from one on the last complex value.
    pub(super) fn wrap(&self, filter: Filter) -> Filter {
        let outward = self.through.iter().rev();
        outward.fold(filter, |condition, property| Filter::Complex {
            property: *property,
            condition: Box::new(condition),
        })
    }

    pub(super) fn test(&self, test: Test, negate: bool) -> Filter {
        let property = self.property;
        let filter = match test {
            Test::Member(set) if negate => {
                let all = match self.kind {
                    Kind::Enum(members) => members.all(),
                    _ => 0b11,
                };
                let test = Test::Member(MemberSet {
                    mask: all & !set.mask,
                    has_null: !set.has_null,
                });
                Filter::Test { property, test }
            }
            test => negated(Filter::Test { property, test }, negate),
        };
        self.wrap(filter)
    }

    pub(super) fn wrong_type(&self, expected: &'static str) -> QueryError {
        let name = self.name;
        Reason::WrongType { name, expected }.at(self.at)
    }

    pub(super) fn wrong_operator(&self, operator: Operator) -> QueryError {
        let (name, operator) = (self.name, operator.name());
        Reason::WrongOperator { name, operator }.at(self.at)
    }
}

pub(super) fn negated(filter: Filter, negate: bool) -> Filter {
    if negate {
        Filter::Not(Box::new(filter))
    } else {
        filter
    }
}
