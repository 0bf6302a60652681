//! Pages are well-formed, load nothing, and escape all text.

use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "workload": "run",
        "verified": false,
        "cells": 3,
        "differences": {"first": [{"what": "tag <script>alert(1)</script> & 'x'", "expected": 2, "found": 1}]},
        "warning": "THE GENERATOR WAS THE LIMIT: \"busy\"",
        "devices": 1_234_567,
        "ack_latency_ms": {"p50": 1.5, "p99": 22.25, "max": 1000.0},
        "ack_latency_known_ms": {"p50": 1.25, "p99": 17.5, "max": 30.0},
        "parameters": {"as": "gateway", "ramp": [100.0, 200.0], "rate": null},
        "machine": {"cpu": "A <b>CPU</b>"},
        "phases": [
            {"name": "one", "from_seconds": 0.0, "ack_latency_ms": {"p50": 1.0}},
            {"name": "two & more", "from_seconds": 1.0, "ack_latency_ms": {"p50": 1.0}},
        ],
        "latency_distribution": [[0.0, 1.0], [0.5, 1.5], [0.99, 22.25], [1.0, 1000.0]],
        "other_tenant": {"tenant": "<flood>", "check_ins_acked": 7},
        "samples": {
            "until_seconds": [1.0, 2.0, 3.0],
            "offered_each_second": [100.0, 100.0, 100.0],
            "acked_each_second": [90.0, 110.0, 0.0],
            "p50_ms": [1.0, 2.0, null],
            "p99_ms": [10.0, 20.0, null],
            "server_rss_bytes": [1_048_576, 2_097_152, null],
        },
    })
}

/// Asserts that tags are balanced and text is escaped. Slow and obvious.
fn assert_well_formed(page: &str) {
    let rest = page
        .strip_prefix("<!DOCTYPE html>")
        .expect("a page starts with its doctype");
    let mut open = Vec::new();
    for piece in rest.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{text}");
        for entity in text.split('&').skip(1) {
            let (name, _) = entity.split_once(';').expect("an entity ends");
            assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{name}");
        }
        let name = tag
            .split([' ', '/'])
            .find(|name| !name.is_empty())
            .expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{open:?}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

fn assert_loads_nothing(page: &str) {
    for word in [
        "http://", "https://", "src=", "href", "url(", "@import", "<script", "<link", "<iframe",
        "xmlns",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_page_is_well_formed_and_loads_nothing() {
    let page = run(&object());
    assert_well_formed(&page);
    assert_loads_nothing(&page);
    for words in [
        "1,234,567",
        "<td>17.50</td>",
        "NOT VERIFIED",
        "THE GENERATOR WAS THE LIMIT",
        "two &amp; more",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("tag &lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;x&#39;"));
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\"").count()
    );
    assert_eq!(
        page.matches("<svg").count(),
        4,
        "charts without a value are left out"
    );
}

#[test]
fn an_empty_object_gives_a_valid_page() {
    let page = run(&json!({}));
    assert_well_formed(&page);
    assert!(page.contains("Not verified"));
}

#[test]
fn numbers_are_rounded_and_grouped() {
    let texts = [0.0, 0.123, 12.5, 123.4, 1234.5, 1e6, -2.5].map(format_number);
    assert_eq!(
        texts,
        ["0", "0.12", "12.50", "123", "1,235", "1,000,000", "-2.50"]
    );
    assert_eq!(format_value(&json!([1.0, 20.0])), "1 to 20");
}

#[test]
fn a_comparison_is_a_valid_page() {
    let comparison = crate::compare::tests::comparison(object(), object());
    let page = comparison_page(&comparison);
    assert_well_formed(&page);
    assert_loads_nothing(&page);
    assert!(page.contains("was not verified"));
}

fn comparison_page(comparison: &crate::compare::Comparison) -> String {
    super::comparison(comparison)
}
