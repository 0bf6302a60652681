//! The query string of a URL, with everything in it.
//!
//! Properties: no text panics; a filter and its negation never agree about a row; the conjuncts of a filter are the
//! filter; a link that repeats the options has the same hash.

use muster_api::odata::{
    Filter, JsonRow, Kind, Members, Options, OrderBy, Property, Row, Schema, Select,
};
use serde_json::json;

static STATES: Members = Members::new(&["unknown", "compliant", "noncompliant"]);
static RESOURCE: Schema = Schema {
    name: "microsoft.graph.resource",
    properties: &[Property::new("size", Kind::Int).filterable()],
    subtypes: &[],
};
static DEVICE: Schema = Schema {
    name: "microsoft.graph.device",
    properties: &[
        Property::new("id", Kind::Text).filterable().orderable(),
        Property::new("name", Kind::Text)
            .filterable()
            .orderable()
            .searchable(),
        Property::new("state", Kind::Enum(&STATES))
            .filterable()
            .orderable(),
        Property::new("flags", Kind::Flags(&STATES)).filterable(),
        Property::new("at", Kind::Date).filterable().orderable(),
        Property::new("tags", Kind::Collection(&Kind::Text)).filterable(),
        Property::new("resources", Kind::Collection(&Kind::Complex(&RESOURCE))).filterable(),
        Property::new("first", Kind::Complex(&RESOURCE)).filterable(),
    ],
    subtypes: &[("microsoft.graph.phone", "microsoft.graph.device")],
};

/// Parses the input as a query string, and as a filter.
pub fn query_options(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    filter(text);
    let Ok(options) = Options::parse(text, &["preview"]) else {
        return;
    };
    let link = options.continued("$skiptoken", "token");
    let again = Options::parse(&link, &["preview"]).expect("a link of this server is valid");
    assert_eq!(again.hash("/devices"), options.hash("/devices"));
    assert_eq!(again.skiptoken.as_deref(), Some("token"));
    if let Some(text) = &options.filter {
        filter(text);
    }
    if let Some(text) = &options.orderby {
        order(text);
    }
    if let Ok(search) = Filter::search(options.search.as_deref().unwrap_or_default(), &DEVICE) {
        search.matches(&JsonRow::new(&DEVICE, &json!({ "name": "a\"b" })));
    }
    if let Ok(select) = Select::new(&options.select, &DEVICE) {
        let mut document = json!({ "id": "1", "name": "a", "first": { "size": 1 } });
        select.apply(&mut document);
        assert_eq!(document["id"], "1");
    }
}

fn filter(text: &str) {
    let Ok(filter) = Filter::parse(text, &DEVICE) else {
        return;
    };
    let full = json!({
        "@odata.type": "#microsoft.graph.phone",
        "id": "1",
        "name": "FIN-1",
        "state": "compliant",
        "flags": "compliant,unknown",
        "at": "2026-11-30T08:15:00Z",
        "tags": ["a", "b"],
        "resources": [{ "size": 1 }, { "size": null }],
        "first": { "size": 2 },
    });
    // It may be one level too deep, or a few bytes too long.
    let negation = Filter::parse(&format!("not ({text})"), &DEVICE);
    for document in [full, json!({})] {
        let row = JsonRow::new(&DEVICE, &document);
        let matches = filter.matches(&row);
        let all = filter
            .conjuncts()
            .iter()
            .all(|conjunct| conjunct.matches(&row));
        assert_eq!(all, matches);
        if let Ok(negation) = &negation {
            assert_ne!(negation.matches(&row), matches);
        }
        let allowed = filter.allowed(2);
        assert!(!matches || allowed.is_none_or(|set| set.contains(row.value(2))));
    }
}

fn order(text: &str) {
    let Ok(order) = OrderBy::parse(text, &DEVICE) else {
        return;
    };
    let document = json!({ "id": "1", "name": "a", "at": "2026-11-30" });
    let row = JsonRow::new(&DEVICE, &document);
    let bytes = order.encode(&row).expect("its strings are short");
    let position = order.decode(&bytes).expect("this order has encoded it");
    assert!(order.compare_to(&row, &position).is_eq());
}
