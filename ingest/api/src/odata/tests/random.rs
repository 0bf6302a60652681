//! Random filters: printing is the inverse of parsing, the oracle agrees, a planner is not misled, nothing panics.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Document, json};

use super::{DEVICE, NAME, STATE, oracle};
use crate::odata::ast::{At, Expr, Function, Literal, Number, Operand, Operator, Path, Quantifier};
use crate::odata::{Filter, JsonRow, Options, OrderBy, Row, parser};

const ALL_OPERATORS: [Operator; 7] = [
    Operator::Equal,
    Operator::NotEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
    Operator::Less,
    Operator::LessOrEqual,
    Operator::Has,
];
const FUNCTIONS: [Function; 3] = [Function::StartsWith, Function::Contains, Function::EndsWith];
/// Few strings, so that comparisons hold often.
const STRINGS: [&str; 7] = ["", "a", "A", "ab", "Ää", "b'c", "ba"];
const STATE_NAMES: [&str; 4] = ["compliant", "NonCompliant", "error", "inGracePeriod"];
const FLAGS: [&str; 4] = ["mdm", "microsoftSense", "mdm,microsoftSense", "none,MDM"];
/// In the two forms that both parsers know.
const DATES: [&str; 3] = [
    "2026-11-30T08:10:12Z",
    "2026-11-30T08:10:12.5+02:00",
    "0001-01-01T00:00:00Z",
];

fn path(segments: &[&str]) -> Path {
    Path {
        at: At(0),
        segments: segments.iter().map(ToString::to_string).collect(),
    }
}

fn literal() -> impl Strategy<Value = Literal> {
    // The years 1 to 9999.
    let dates = -621_355_968_000_000_000_i64..2_534_023_007_990_000_000;
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        (any::<i64>(), any::<bool>()).prop_map(|(floor, has_fraction)| {
            let floor = i128::from(floor);
            Literal::Number(Number {
                floor,
                has_fraction,
            })
        }),
        dates.prop_map(Literal::Date),
        any::<String>().prop_map(Literal::Text),
        "[a-f0-9]{8}-[a-f0-9]{4}".prop_map(Literal::Text),
    ]
}

/// Any name that is no keyword where a condition begins.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,8}".prop_filter("no keyword", |name| {
        !["not", "true", "false", "null"].contains(&name.to_lowercase().as_str())
    })
}

/// Any tree that the parser can return.
fn tree() -> impl Strategy<Value = Expr> {
    let any_path = || {
        vec(name(), 1..4).prop_map(|segments| Path {
            at: At(0),
            segments,
        })
    };
    let operand = move || {
        prop_oneof![
            any_path().prop_map(Operand::Path),
            literal().prop_map(Operand::Literal)
        ]
    };
    let leaf = prop_oneof![
        (operand(), select(&ALL_OPERATORS[..]), operand()).prop_map(|(left, operator, right)| {
            Expr::Compare {
                left,
                operator,
                right,
            }
        }),
        (any_path(), vec(literal(), 1..4)).prop_map(|(path, list)| Expr::In { path, list }),
        (select(&FUNCTIONS[..]), any_path(), any::<String>()).prop_map(|(function, path, text)| {
            Expr::Match {
                function,
                path,
                text,
            }
        }),
        any::<String>().prop_map(|name| Expr::IsOf { at: At(0), name }),
        any_path().prop_map(Expr::Truth),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let body = (name(), inner.clone().prop_map(Box::new)).boxed();
        prop_oneof![
            vec(inner.clone(), 2..5).prop_map(Expr::And),
            vec(inner.clone(), 2..5).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
            (any_path(), body.clone()).prop_map(|(path, body)| Expr::Lambda {
                path,
                quantifier: Quantifier::All,
                body: Some(body),
            }),
            (any_path(), weighted(0.8, body)).prop_map(|(path, body)| Expr::Lambda {
                path,
                quantifier: Quantifier::Any,
                body,
            }),
        ]
    })
}

fn small_number() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (-2..4_i128, any::<bool>()).prop_map(|(floor, has_fraction)| {
            Literal::Number(Number {
                floor,
                has_fraction,
            })
        }),
        (-2..4_i128).prop_map(|number| Literal::Text(number.to_string())),
    ]
}

fn text_of(texts: &'static [&'static str]) -> impl Strategy<Value = Literal> {
    select(texts).prop_map(|text| Literal::Text(text.to_owned()))
}

/// A comparison that the schema allows, on a property with this kind of literal.
fn comparison(
    segments: &'static [&'static str],
    operators: &'static [Operator],
    literals: impl Strategy<Value = Literal> + 'static,
) -> BoxedStrategy<Expr> {
    let literals = prop_oneof![1 => Just(Literal::Null), 6 => literals];
    let one = (select(operators), literals).prop_map(|(operator, literal)| Expr::Compare {
        left: Operand::Path(path(segments)),
        operator,
        right: Operand::Literal(literal),
    });
    one.boxed()
}

fn is_equal(literals: Vec<Literal>, segments: &[&str]) -> Expr {
    Expr::In {
        path: path(segments),
        list: literals,
    }
}

/// A condition that is valid for the schema.
fn condition() -> impl Strategy<Value = Expr> {
    let ordered = &ALL_OPERATORS[..6];
    let equality = &ALL_OPERATORS[..2];
    let flags = &[Operator::Equal, Operator::NotEqual, Operator::Has][..];
    let ticks = select(&DATES[..]).prop_map(|text| {
        let parsed =
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
        let ticks = parsed.unwrap().unix_timestamp_nanos() / 100;
        Literal::Date(i64::try_from(ticks).unwrap())
    });
    let booleans = || any::<bool>().prop_map(Literal::Boolean);
    let element = prop_oneof![
        comparison(&["r", "resourceId"], ordered, text_of(&STRINGS)),
        comparison(&["r", "size"], ordered, small_number()),
    ];
    let lambda =
        |segments: &'static [&'static str], variable: &'static str, body: BoxedStrategy<Expr>| {
            let quantifiers = select(&[Quantifier::Any, Quantifier::All][..]);
            (quantifiers, body).prop_map(move |(quantifier, body)| Expr::Lambda {
                path: path(segments),
                quantifier,
                body: Some((variable.to_owned(), Box::new(body))),
            })
        };
    const TYPES: [&str; 4] = [
        "microsoft.graph.managedDevice",
        "microsoft.graph.mobileDevice",
        "microsoft.graph.iosDevice",
        "microsoft.graph.windowsDevice",
    ];
    let leaf = prop_oneof![
        comparison(&["devicename"], ordered, text_of(&STRINGS)),
        comparison(&["complianceState"], equality, text_of(&STATE_NAMES)),
        comparison(&["technologies"], flags, text_of(&FLAGS)),
        comparison(&["isEncrypted"], equality, booleans()),
        comparison(&["lastSyncDateTime"], ordered, ticks),
        comparison(&["totalStorageSpaceInBytes"], ordered, small_number()),
        comparison(&["Actor", "UserPrincipalName"], ordered, text_of(&STRINGS)),
        comparison(&["actor"], equality, Just(Literal::Null)),
        Just(Expr::Truth(path(&["actor", "isAdmin"]))),
        vec(text_of(&STATE_NAMES), 1..3).prop_map(|list| is_equal(list, &["COMPLIANCESTATE"])),
        vec(text_of(&STRINGS), 1..3).prop_map(|list| is_equal(list, &["deviceName"])),
        (select(&FUNCTIONS[..]), select(&STRINGS[..])).prop_map(|(function, text)| Expr::Match {
            function,
            path: path(&["deviceName"]),
            text: text.to_owned(),
        }),
        select(&TYPES[..]).prop_map(|name| Expr::IsOf {
            at: At(0),
            name: name.to_owned()
        }),
        lambda(&["resources"], "r", element.boxed()),
        lambda(
            &["roleScopeTagIds"],
            "t",
            comparison(&["t"], ordered, text_of(&STRINGS))
        ),
        Just(Expr::Lambda {
            path: path(&["resources"]),
            quantifier: Quantifier::Any,
            body: None,
        }),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Expr::And),
            vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

fn or_null<T: Into<Document> + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Document> {
    weighted(0.8, values.prop_map(Into::into)).prop_map(|value| value.unwrap_or(Document::Null))
}

fn document() -> impl Strategy<Value = Document> {
    let strings = || or_null(select(&STRINGS[..]));
    let resource = (strings(), or_null(-2..4_i64))
        .prop_map(|(id, size)| json!({ "resourceId": id, "size": size }));
    let actor = (strings(), or_null(any::<bool>()))
        .prop_map(|(name, admin)| json!({ "userPrincipalName": name, "isAdmin": admin }));
    let first = (
        strings(),
        or_null(select(
            &["compliant", "noncompliant", "error", "unknown"][..],
        )),
        or_null(select(&FLAGS[..])),
        or_null(any::<bool>()),
        or_null(select(&DATES[..])),
        or_null(-2..4_i64),
    );
    let second = (
        or_null(actor),
        or_null(vec(resource, 0..3)),
        or_null(vec(select(&STRINGS[..]), 0..3)),
        select(
            &[
                "#microsoft.graph.iosDevice",
                "#microsoft.graph.windowsDevice",
            ][..],
        ),
    );
    (first, second).prop_map(|((name, state, flags, encrypted, sync, size), second)| {
        let (actor, resources, tags, kind) = second;
        json!({
            "@odata.type": kind,
            "deviceName": name,
            "complianceState": state,
            "technologies": flags,
            "isEncrypted": encrypted,
            "lastSyncDateTime": sync,
            "totalStorageSpaceInBytes": size,
            "actor": actor,
            "resources": resources,
            "roleScopeTagIds": tags,
        })
    })
}

/// Texts of pieces of the grammar, which reach further into the parser than any characters do.
fn pieces() -> impl Strategy<Value = String> {
    let pieces = [
        "(",
        ")",
        "'",
        "''",
        ",",
        "/",
        ":",
        " ",
        "eq",
        "ne",
        "in",
        "has",
        "and",
        "or",
        "not",
        "any",
        "all",
        "deviceName",
        "resources",
        "actor",
        "x",
        "isof",
        "tolower",
        "contains",
        "null",
        "true",
        "1.5",
        "-",
        "2026-11-30T08:10:12Z",
        "'a'",
        "microsoft.graph.iosDevice",
        "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11",
        "\0",
        "ä",
        "\u{1f600}",
        ";",
        "=",
        "$select",
        "&",
        "%",
    ];
    vec(select(pieces.map(str::to_owned).to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_is_the_inverse_of_parsing(tree in tree()) {
        let text = tree.to_string();
        // A tree may be larger than any that the parser accepts.
        prop_assume!(text.len() <= parser::FILTER_BYTES_MAX);
        prop_assert_eq!(parser::parse(&text), Ok(tree), "{}", text);
    }

    #[test]
    fn filters_agree_with_the_oracle(condition in condition(), documents in vec(document(), 1..8)) {
        let text = condition.to_string();
        let filter = Filter::parse(&text, &DEVICE);
        prop_assert!(filter.is_ok(), "{}: {:?}", text, filter);
        let filter = filter.unwrap();
        for document in documents {
            let row = JsonRow::new(&DEVICE, &document);
            let expected = oracle::holds(&condition, &document, None);
            prop_assert_eq!(filter.matches(&row), expected, "{} on {}", text, document);
            let all = filter.conjuncts().iter().all(|conjunct| conjunct.matches(&row));
            prop_assert_eq!(all, expected, "conjuncts of {} on {}", text, document);
            if expected {
                let allowed = filter.allowed(STATE);
                prop_assert!(allowed.is_none_or(|set| set.contains(row.value(STATE))), "{}", text);
                let name = document["deviceName"].as_str().map(str::to_lowercase);
                let equal = filter.equal_to(NAME);
                prop_assert!(equal.is_none_or(|texts| texts.iter().any(|text| name.as_deref() == Some(text))));
                let prefix = filter.prefix(NAME);
                prop_assert!(prefix.is_none_or(|prefix| name.is_some_and(|name| name.starts_with(prefix))));
            }
        }
    }

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), pieces(), "[ -~]{0,80}"]) {
        let document = super::device();
        for filter in [Filter::parse(&text, &DEVICE), Filter::search(&text, &DEVICE)].into_iter().flatten() {
            filter.matches(&JsonRow::new(&DEVICE, &document));
        }
        let _ = OrderBy::parse(&text, &DEVICE);
        let _ = Options::parse(&text, &["preview"]);
        let _ = Options::parse(&format!("$expand={text}"), &[]);
    }
}
