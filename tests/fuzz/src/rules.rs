//! The rules of assignment filters.
//!
//! Properties: no text panics; an error is at a character of the text or behind its end; a rule that is written from its
//! tree has the same tree.

use muster_control::limits::RULE_CHARACTERS_MAX;
use muster_control::{FilterRule, RuleProblem};

/// Parses the input as a rule.
pub fn filter_rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let length = text.chars().count();
    match FilterRule::parse(text) {
        Err(error) => {
            let end = length.min(RULE_CHARACTERS_MAX) + 1;
            assert!((1..=end).contains(&error.position), "{error}");
        }
        Ok(rule) => {
            assert!(length <= RULE_CHARACTERS_MAX);
            match FilterRule::parse(&written(&rule)) {
                // Blanks may make it too long.
                Err(error) => assert_eq!(error.problem, RuleProblem::TooLong),
                Ok(again) => assert_eq!(again, rule),
            }
        }
    }
}

fn written(rule: &FilterRule) -> String {
    match rule {
        FilterRule::All(terms) => joined(terms, " and "),
        FilterRule::Any(terms) => joined(terms, " or "),
        FilterRule::Compare {
            property,
            operator,
            values,
        } => {
            // A text has at most one kind of quotes.
            let quoted = |value: &str| {
                let quote = if value.contains('"') { '\'' } else { '"' };
                format!("{quote}{value}{quote}")
            };
            let list: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            let value = match operator.name() {
                "in" | "notIn" => format!("[{}]", list.join(", ")),
                _ => list.concat(),
            };
            format!("device.{} -{} {value}", property.name(), operator.name())
        }
    }
}

fn joined(terms: &[FilterRule], with: &str) -> String {
    let term = |term: &FilterRule| match term {
        FilterRule::Compare { .. } => written(term),
        group => format!("({})", written(group)),
    };
    terms.iter().map(term).collect::<Vec<_>>().join(with)
}
