//! Prints a syntax tree as a filter that parses to the same tree.

use std::fmt::{self, Display, Formatter};

use time::OffsetDateTime;

use crate::odata::ast::{Expr, Literal, Number, Operand, Path};

impl Display for Expr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(terms) => joined(out, terms, " or "),
            Self::And(terms) => joined(out, terms, " and "),
            Self::Not(inner) => write!(out, "not ({inner})"),
            Self::Compare {
                left,
                operator,
                right,
            } => write!(out, "{left} {} {right}", operator.name()),
            Self::In { path, list } => {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                write!(out, "{path} in ({})", list.join(","))
            }
            Self::Match {
                function,
                path,
                text,
            } => {
                let text = Literal::Text(text.clone());
                write!(out, "{}({path},{text})", function.name())
            }
            Self::Lambda {
                path,
                quantifier,
                body,
            } => {
                write!(out, "{path}/{}(", quantifier.name())?;
                if let Some((variable, body)) = body {
                    write!(out, "{variable}:{body}")?;
                }
                out.write_str(")")
            }
            Self::IsOf { name, .. } => write!(out, "isof({})", Literal::Text(name.clone())),
            Self::Truth(path) => path.fmt(out),
        }
    }
}

fn joined(out: &mut Formatter<'_>, terms: &[Expr], word: &str) -> fmt::Result {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            out.write_str(word)?;
        }
        match term {
            Expr::And(_) | Expr::Or(_) => write!(out, "({term})")?,
            _ => term.fmt(out)?,
        }
    }
    Ok(())
}

impl Display for Operand {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(out),
            Self::Literal(literal) => literal.fmt(out),
        }
    }
}

impl Display for Path {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.segments.join("/"))
    }
}

impl Display for Literal {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Boolean(value) => value.fmt(out),
            Self::Number(Number {
                floor,
                has_fraction: false,
            }) => floor.fmt(out),
            Self::Number(Number { floor, .. }) if *floor >= 0 => write!(out, "{floor}.5"),
            Self::Number(Number { floor, .. }) => write!(out, "-{}.5", -(floor + 1)),
            Self::Date(ticks) => {
                let nanos = i128::from(*ticks) * 100;
                let at =
                    OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
                let (hour, minute, second) = at.time().as_hms();
                write!(
                    out,
                    "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:07}Z",
                    at.year(),
                    u8::from(at.month()),
                    at.day(),
                    at.nanosecond() / 100
                )
            }
            Self::Text(text) => write!(out, "'{}'", text.replace('\'', "''")),
        }
    }
}
