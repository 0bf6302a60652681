//! Renders JSON values as tables for people.
//!
//! Independent of the dimensions: one that a later server adds is shown without a change here. Text of the server may
//! originate from a device, so control characters are replaced. Bounded by the size of a response.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Map, Value};

use crate::printable::printable;

/// Counts of several holders (tenants, and their total): plain numbers in one table, then a table per dimension (an
/// object of numbers). Dimensions and values keep the order of their first occurrence.
pub(crate) fn counts(holders: &[(String, &Map<String, Value>)]) -> String {
    let names: Vec<&str> = holders.iter().map(|(name, _)| name.as_str()).collect();
    let objects: Vec<Option<&Map<String, Value>>> =
        holders.iter().map(|(_, counts)| Some(*counts)).collect();
    let mut text = section("count", &names, &objects);
    for dimension in keys(&objects) {
        let inner: Vec<Option<&Map<String, Value>>> = objects
            .iter()
            .map(|counts| counts.and_then(|counts| counts.get(dimension)?.as_object()))
            .collect();
        if inner.iter().any(Option::is_some) {
            text.push_str(&section(dimension, &names, &inner));
        }
    }
    text
}

/// One object, a row per value; keys of nested objects are joined with a dot.
pub(crate) fn object(object: &Map<String, Value>) -> String {
    let mut table = new_table();
    let mut lines = Vec::new();
    flatten("", object, &mut lines);
    for (name, value) in lines {
        table.add_row([name, value]);
    }
    format!("{table}\n")
}

/// A list of objects, a row per object; their keys are the columns.
pub(crate) fn list(elements: &[Value]) -> String {
    let objects: Vec<Option<&Map<String, Value>>> = elements.iter().map(Value::as_object).collect();
    let columns = keys(&objects);
    let mut table = new_table();
    table.set_header(columns.iter().map(|column| printable(column)));
    for object in objects.iter().flatten() {
        table.add_row(columns.iter().map(|column| cell(object.get(*column))));
    }
    format!("{table}\n")
}

/// A table of the numbers (not the objects) in each holder's object.
fn section(title: &str, names: &[&str], objects: &[Option<&Map<String, Value>>]) -> String {
    let mut table = new_table();
    let mut header = vec![Cell::new(printable(title))];
    header.extend(names.iter().map(|name| right(printable(name))));
    table.set_header(header);
    for key in keys(objects) {
        let values: Vec<Option<&Value>> = objects
            .iter()
            .map(|object| object.and_then(|object| object.get(key)))
            .collect();
        if values.iter().flatten().all(|value| value.is_object()) {
            continue;
        }
        let mut row = vec![Cell::new(printable(key))];
        row.extend(values.into_iter().map(|value| right(cell(value))));
        table.add_row(row);
    }
    format!("{table}\n\n")
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The distinct keys of the objects, in the order of their first occurrence.
fn keys<'a>(objects: &[Option<&'a Map<String, Value>>]) -> Vec<&'a str> {
    let mut keys: Vec<&str> = Vec::new();
    for object in objects.iter().flatten() {
        for key in object.keys() {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    keys
}

fn flatten(prefix: &str, object: &Map<String, Value>, into: &mut Vec<(String, String)>) {
    for (name, value) in object {
        let name = format!("{prefix}{}", printable(name));
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, into),
            other => into.push((name, cell(Some(other)))),
        }
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(number) => thousands(number),
            None => number.to_string(),
        },
        Some(other) => printable(&other.to_string()),
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{counts, list, object, thousands};

    fn map(value: &Value) -> &serde_json::Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let grouped: Vec<String> = [0, 999, 1_000, 1_234_567].map(thousands).into();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn counts_show_every_dimension_in_the_order_of_the_server() {
        let one = json!({"devices": 1200, "risk": {"none": 1199, "high": 1}, "novel": {"x": 3}});
        let total = json!({"devices": 1200, "risk": {"none": 1199, "high": 1, "low": 0}});
        let text = counts(&[
            ("contoso".to_owned(), map(&one)),
            ("total".to_owned(), map(&total)),
        ]);
        let at = |word: &str| {
            text.find(word)
                .unwrap_or_else(|| panic!("{word} is missing in\n{text}"))
        };
        assert!(at("devices") < at("risk") && at("risk") < at("none"));
        assert!(at("none") < at("high") && at("high") < at("low") && at("low") < at("novel"));
        assert!(text.contains("1,200") && text.contains("contoso") && text.contains("total"));
    }

    #[test]
    fn text_from_a_device_cannot_command_the_terminal() {
        let device = json!({"name": "a\u{1b}[2Jb\nc", "inventory": {"model": "x", "tags": ["t"]}});
        let text = object(map(&device));
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.contains("inventory.model") && text.contains("[\"t\"]"),
            "{text}"
        );
    }

    #[test]
    fn a_list_has_a_column_for_every_key_of_any_element() {
        let text = list(&[json!({"a": 1}), json!({"b": null})]);
        assert!(
            text.contains('a') && text.contains('b') && text.contains('-'),
            "{text}"
        );
    }
}
