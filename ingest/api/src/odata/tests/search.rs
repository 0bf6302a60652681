//! `$search`.

use super::{ACTOR, DEVICE, device};
use crate::odata::{Filter, JsonRow, SEARCH_BYTES_MAX, TERMS_MAX};

#[test]
fn terms_are_found_in_searchable_properties() {
    let mut device = device();
    device["serialNumber"] = "7XK2 \"Q1\"".into();
    for (text, expected) in [
        ("\"0142\"", true),
        ("0142", true),
        ("\"fin-lap\"", true),
        ("\"lap fin\"", false),
        ("lap fin", true),
        ("lap AND fin", true),
        ("lap xyz", false),
        ("lap OR xyz", true),
        ("xyz OR lap AND zzz", false),
        ("xyz zzz OR lap fin", true),
        ("\"xyz\" OR \"7xk2\"", true),
        ("\"deviceName:lap\"", true),
        ("devicename:lap", true),
        ("\"serialNumber:lap\"", false),
        ("\"notes:spare\"", false),
        ("spare", false),
        ("\"2 \\\"q1\\\"\"", true),
        ("\"lap\"\"fin\"", true),
        ("and", false),
    ] {
        let filter =
            Filter::search(text, &DEVICE).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = filter.matches(&JsonRow::new(&DEVICE, &device));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn malformed_searches_are_refused() {
    for text in [
        "",
        "  ",
        "\"",
        "\"a",
        "\"\"",
        "\" \"",
        "a\"b",
        "AND",
        "a OR",
        "OR a",
        "a AND OR b",
        "\"a\\\"",
        "\\\"a\" \"",
    ] {
        assert!(Filter::search(text, &DEVICE).is_err(), "{text}");
    }
    assert!(Filter::search("x", &ACTOR).is_err());
    let many = |count| vec!["a"; count].join(" ");
    assert!(Filter::search(&many(TERMS_MAX), &DEVICE).is_ok());
    assert!(Filter::search(&many(TERMS_MAX + 1), &DEVICE).is_err());
    assert!(Filter::search(&"a".repeat(SEARCH_BYTES_MAX), &DEVICE).is_ok());
    assert!(Filter::search(&"a".repeat(SEARCH_BYTES_MAX + 1), &DEVICE).is_err());
}
