//! Evaluates syntax trees over JSON documents, slowly and without a schema: the oracle of the random tests.
//!
//! It shares nothing with the product but the tree: it looks names up by their lowercase, compares lowercase copies of
//! strings, and parses dates with the time crate.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value as Document;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::odata::ast::{Expr, Function, Literal, Number, Operand, Operator, Path, Quantifier};

/// Whether a document meets a condition. `variable` is that of the lambda around it.
pub(super) fn holds(expr: &Expr, document: &Document, variable: Option<&str>) -> bool {
    match expr {
        Expr::Or(terms) => terms.iter().any(|term| holds(term, document, variable)),
        Expr::And(terms) => terms.iter().all(|term| holds(term, document, variable)),
        Expr::Not(inner) => !holds(inner, document, variable),
        Expr::Compare {
            left: Operand::Path(path),
            operator,
            right: Operand::Literal(literal),
        } => compare(&find(path, document, variable), *operator, literal),
        Expr::Compare { .. } => panic!("the random trees have the property on the left"),
        Expr::In { path, list } => {
            let value = find(path, document, variable);
            list.iter()
                .any(|literal| compare(&value, Operator::Equal, literal))
        }
        Expr::Match {
            function,
            path,
            text,
        } => {
            let value = find(path, document, variable);
            let (Some(value), text) = (value.as_str().map(str::to_lowercase), text.to_lowercase())
            else {
                return false;
            };
            match function {
                Function::StartsWith => value.starts_with(&text),
                Function::Contains => value.contains(&text),
                Function::EndsWith => value.ends_with(&text),
            }
        }
        Expr::Lambda {
            path,
            quantifier,
            body,
        } => {
            let value = find(path, document, variable);
            let elements = value.as_array().cloned().unwrap_or_default();
            let mut met = elements.iter().map(|element| {
                body.as_ref()
                    .is_none_or(|(variable, body)| holds(body, element, Some(variable)))
            });
            match quantifier {
                Quantifier::Any => met.any(|one| one),
                Quantifier::All => met.all(|one| one),
            }
        }
        Expr::IsOf { name, .. } => {
            let own = document["@odata.type"].as_str().unwrap_or_default();
            let own = own.trim_start_matches('#');
            let is_mobile = own.ends_with("iosDevice") || own.ends_with("mobileDevice");
            match name.as_str() {
                "microsoft.graph.managedDevice" => true,
                "microsoft.graph.mobileDevice" => is_mobile,
                name => own == name,
            }
        }
        Expr::Truth(path) => find(path, document, variable) == Document::Bool(true),
    }
}

/// What a path leads to; null if there is nothing.
fn find(path: &Path, document: &Document, variable: Option<&str>) -> Document {
    let mut found = document.clone();
    for segment in path.segments.iter().skip(usize::from(variable.is_some())) {
        let object = found.as_object().cloned().unwrap_or_default();
        let same = |(name, _): &(String, Document)| name.to_lowercase() == segment.to_lowercase();
        found = object
            .into_iter()
            .find(same)
            .map_or(Document::Null, |(_, value)| value);
    }
    found
}

fn compare(value: &Document, operator: Operator, literal: &Literal) -> bool {
    let is_null = *literal == Literal::Null;
    match operator {
        Operator::NotEqual => return !compare(value, Operator::Equal, literal),
        Operator::Equal if is_null => return value.is_null(),
        _ if value.is_null() || is_null => return false,
        Operator::Has => {
            let Literal::Text(text) = literal else {
                panic!("flags are text");
            };
            let own = value.as_str().unwrap_or_default();
            return parts(text).is_subset(&parts(own));
        }
        _ => {}
    }
    let order = order(value, literal);
    match operator {
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        _ => order == Ordering::Equal,
    }
}

/// The members of a comma-joined string.
fn parts(text: &str) -> BTreeSet<String> {
    text.split(',')
        .map(|part| part.trim().to_lowercase())
        .collect()
}

fn order(value: &Document, literal: &Literal) -> Ordering {
    match (value, literal) {
        (Document::Bool(value), Literal::Boolean(other)) => value.cmp(other),
        (
            Document::Number(value),
            Literal::Number(Number {
                floor,
                has_fraction,
            }),
        ) => {
            // Twice the numbers, so that a half is an integer.
            let value = i128::from(value.as_i64().unwrap()) * 2;
            value.cmp(&(floor * 2 + i128::from(*has_fraction)))
        }
        (Document::Number(value), Literal::Text(text)) => {
            value.as_f64().unwrap().total_cmp(&text.parse().unwrap())
        }
        (Document::String(value), Literal::Date(ticks)) => {
            let value = OffsetDateTime::parse(value, &Rfc3339).unwrap();
            value
                .unix_timestamp_nanos()
                .cmp(&(i128::from(*ticks) * 100))
        }
        // Flags in another order are the same; other strings of the random trees have no comma.
        (Document::String(value), Literal::Text(text))
            if value.contains(',') || text.contains(',') =>
        {
            parts(value).cmp(&parts(text))
        }
        (Document::String(value), Literal::Text(text)) => {
            value.to_lowercase().cmp(&text.to_lowercase())
        }
        pair => panic!("the random trees compare equal types: {pair:?}"),
    }
}
