//! Rules are parsed, or refused with the place of the first error.

use proptest::prelude::*;

use super::*;

fn compare(property: FilterProperty, operator: FilterOperator, values: &[&str]) -> FilterRule {
    FilterRule::Compare {
        property,
        operator,
        values: values.iter().map(|value| (*value).into()).collect(),
    }
}

#[test]
fn and_binds_more_tightly_than_or() {
    use FilterOperator::{Eq, Ge, NotIn, StartsWith};
    use FilterProperty::{DeviceOwnership, Manufacturer, Model, OsVersion};
    let dell = || compare(Manufacturer, Eq, &["Dell"]);
    let owned = || compare(DeviceOwnership, Eq, &["Corporate"]);
    for (text, expected) in [
        ("device.manufacturer -eq \"Dell\"", dell()),
        ("  ( ( DEVICE.Manufacturer -EQ 'Dell' ) )  ", dell()),
        (
            "(device.manufacturer -eq \"Dell\") and (device.deviceOwnership -eq \"Corporate\")",
            FilterRule::All(vec![dell(), owned()]),
        ),
        (
            "device.manufacturer -eq \"Dell\" or device.manufacturer -eq \"Dell\" AND device.deviceOwnership -eq \"Corporate\"",
            FilterRule::Any(vec![dell(), FilterRule::All(vec![dell(), owned()])]),
        ),
        (
            "(device.manufacturer -eq \"Dell\" -or device.deviceOwnership -eq \"Corporate\") -and device.model -startsWith \"L\"",
            FilterRule::All(vec![
                FilterRule::Any(vec![dell(), owned()]),
                compare(Model, StartsWith, &["L"]),
            ]),
        ),
        (
            "device.model -notIn [\"a\", 'b\"c' , \"\"]",
            compare(Model, NotIn, &["a", "b\"c", ""]),
        ),
        (
            "device.osVersion -ge \"10.0.22631\"",
            compare(OsVersion, Ge, &["10.0.22631"]),
        ),
    ] {
        assert_eq!(FilterRule::parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn every_property_and_operator_has_a_rule() {
    for property in FilterProperty::ALL {
        for operator in FilterOperator::ALL {
            let value = match operator {
                FilterOperator::In | FilterOperator::NotIn => "[\"10.0\"]",
                _ => "\"10.0\"",
            };
            let text = format!("device.{} -{} {value}", property.name(), operator.name());
            let parsed = FilterRule::parse(&text);
            if operator.is_ordering() && !property.is_ordered() {
                assert_eq!(
                    parsed.unwrap_err().problem,
                    RuleProblem::NotOrdered,
                    "{text}"
                );
            } else {
                assert_eq!(
                    parsed,
                    Ok(compare(*property, *operator, &["10.0"])),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn an_error_says_where_it_is() {
    use RuleProblem as Problem;
    let deep = format!("{}device.model", "(".repeat(RULE_DEPTH_MAX + 1));
    let long = "x".repeat(RULE_CHARACTERS_MAX + 1);
    for (text, position, problem) in [
        ("", 1, Problem::Empty),
        ("   ", 4, Problem::Empty),
        (&long, RULE_CHARACTERS_MAX + 1, Problem::TooLong),
        (&deep, RULE_DEPTH_MAX + 1, Problem::TooDeep),
        ("(device.model -eq \"a\"", 22, Problem::ExpectedParenthesis),
        ("device.model -eq \"a\")", 21, Problem::ExpectedEnd),
        (
            "device.model -eq \"a\" device.model -eq \"a\"",
            22,
            Problem::ExpectedEnd,
        ),
        ("device.model -eq \"ü", 18, Problem::OpenText),
        ("device.model -eq \"ü\" ?", 22, Problem::Character),
        ("device.model -eq a", 18, Problem::ExpectedText),
        ("device.model -eq [\"a\"]", 18, Problem::ExpectedText),
        ("device.model -in \"a\"", 18, Problem::ExpectedList),
        ("device.model -in []", 19, Problem::ExpectedList),
        ("device.model -in [\"a\" \"b\"]", 23, Problem::ExpectedList),
        ("device.model eq \"a\"", 14, Problem::ExpectedOperator),
        ("device.model -like \"a\"", 14, Problem::ExpectedOperator),
        ("device.model", 13, Problem::ExpectedOperator),
        ("device.model -gt \"a\"", 14, Problem::NotOrdered),
        ("device.osVersion -gt \"ten\"", 22, Problem::ExpectedVersion),
        ("device.serial -eq \"a\"", 1, Problem::UnknownProperty),
        ("user.model -eq \"a\"", 1, Problem::UnknownProperty),
        (
            "device.model -eq \"a\" and",
            25,
            Problem::ExpectedComparison,
        ),
        ("-and", 1, Problem::UnknownProperty),
        ("\"a\"", 1, Problem::ExpectedComparison),
    ] {
        assert_eq!(
            FilterRule::parse(text),
            Err(RuleError { position, problem }),
            "{text}"
        );
    }
    let error = FilterRule::parse("device.model").unwrap_err();
    assert_eq!(
        error.to_string(),
        "character 13: expected an operator, such as -eq"
    );
}

#[test]
fn a_membership_rule_is_balanced() {
    for text in [
        "(device.deviceOSType -eq \"Windows\") -and (x -in [\"(\", ')'])",
        "a",
        "\"it's\"",
    ] {
        assert_eq!(check_balanced(text), Ok(()), "{text}");
    }
    use RuleProblem as Problem;
    let deep = "(".repeat(RULE_DEPTH_MAX + 1);
    let long = "x".repeat(RULE_CHARACTERS_MAX + 1);
    for (text, position, problem) in [
        (" ", 1, Problem::Empty),
        ("(a", 2, Problem::ExpectedParenthesis),
        ("a)", 2, Problem::ExpectedParenthesis),
        ("([a)]", 4, Problem::ExpectedParenthesis),
        ("\"a", 2, Problem::OpenText),
        (&deep, RULE_DEPTH_MAX + 1, Problem::TooDeep),
        (&long, RULE_CHARACTERS_MAX + 1, Problem::TooLong),
    ] {
        assert_eq!(
            check_balanced(text),
            Err(RuleError { position, problem }),
            "{text}"
        );
    }
}

/// Deeper than a rule may be nested.
fn depth(rule: &FilterRule) -> usize {
    match rule {
        FilterRule::All(terms) | FilterRule::Any(terms) => {
            1 + terms.iter().map(depth).max().unwrap_or_default()
        }
        FilterRule::Compare { .. } => 0,
    }
}

proptest! {
    /// On any text; most are refused at once, so half of them are made of the tokens of rules.
    #[test]
    fn parsing_never_panics_and_is_bounded(
        any in ".{0,200}",
        tokens in prop::collection::vec(prop::sample::select(vec![
            "(", ")", "[", "]", ",", "\"a\"", "'1.2'", "and", "-or", "device.model", "device.osVersion",
            "-eq", "-in", "-gt", "ü", "\"", "-",
        ]), 0..400),
    ) {
        for text in [any, tokens.join(" "), tokens.concat()] {
            if let Ok(rule) = FilterRule::parse(&text) {
                // A group of `or` and one of `and` for each pair of parentheses, and without.
                prop_assert!(depth(&rule) <= 2 * (RULE_DEPTH_MAX + 1));
            }
            let _ = check_balanced(&text);
        }
    }

    /// Valid rules are parsed.
    #[test]
    fn rules_with_random_parentheses_are_parsed(joins in prop::collection::vec((any::<bool>(), 0..3_usize), 1..40)) {
        let mut text = String::from("device.model -eq 'a'");
        let mut nested = 0;
        for (is_and, wraps) in joins {
            if wraps == 0 && nested < RULE_DEPTH_MAX {
                text = format!("({text})");
                nested += 1;
            }
            let word = if is_and { "and" } else { "or" };
            text = format!("{text} {word} device.osVersion -lt \"10\"");
        }
        prop_assert!(FilterRule::parse(&text).is_ok(), "{}", text);
    }
}
