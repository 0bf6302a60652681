//! Renders JSON values as tables for people.
//!
//! Independent of the dimensions: one that a later server adds is shown without a change here. Text of the server may
//! originate from a device, so control characters are replaced. Bounded by the size of a response.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use crate::printable::printable;

/// Counts: plain numbers in one table, then a table per dimension (an object of numbers), in the order of the server.
pub(crate) fn counts(counts: &Map<String, Value>) -> String {
    let mut text = section("count", counts);
    for (dimension, members) in counts {
        if let Value::Object(members) = members {
            text.push_str(&section(dimension, members));
        }
    }
    text
}

/// One object, a row per value; keys of nested objects are joined with a dot, and lists of objects are numbered.
pub(crate) fn object(object: &Map<String, Value>, width: Option<u16>) -> String {
    let mut table = new_table(width);
    let mut lines = Vec::new();
    flatten("", object, &mut lines);
    for (name, value) in lines {
        table.add_row([name, value]);
    }
    format!("{table}\n")
}

/// A list of objects, a row per object; their keys are the columns.
pub(crate) fn list(elements: &[Value]) -> String {
    let mut columns: Vec<String> = Vec::new();
    for key in elements
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Map::keys)
    {
        if !columns.contains(key) {
            columns.push(key.clone());
        }
    }
    self::columns(&columns, elements, None)
}

/// These columns of a list of objects. A column is the path of a property, with dots.
pub(crate) fn columns(columns: &[String], rows: &[Value], width: Option<u16>) -> String {
    let mut table = new_table(width);
    table.set_header(columns.iter().map(|column| printable(column)));
    for row in rows {
        let values = columns.iter().map(|column| match at(row, column) {
            // Every type is in the same namespace.
            Some(Value::String(name)) if column == "@odata.type" => {
                printable(name.trim_start_matches("#microsoft.graph."))
            }
            value => cell(value),
        });
        table.add_row(values);
    }
    format!("{table}\n")
}

/// The value at a path of names with dots; in a list of objects the value of its first.
pub(crate) fn at<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    // Names of annotations have dots.
    if let Some(value) = row.get(path) {
        return Some(value);
    }
    path.split('.').try_fold(row, |value, name| match value {
        Value::Array(elements) => elements.first()?.get(name),
        other => other.get(name),
    })
}

/// A list of plain values as text.
pub(crate) fn joined(elements: &[Value]) -> String {
    let texts: Vec<_> = elements.iter().map(|element| cell(Some(element))).collect();
    texts.join(", ")
}

/// A table of the numbers (not the objects) of an object.
fn section(title: &str, members: &Map<String, Value>) -> String {
    let mut table = new_table(None);
    table.set_header([Cell::new(printable(title)), right("devices".to_owned())]);
    for (name, value) in members.iter().filter(|(_, value)| !value.is_object()) {
        table.add_row([Cell::new(printable(name)), right(cell(Some(value)))]);
    }
    format!("{table}\n\n")
}

fn new_table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn flatten(prefix: &str, object: &Map<String, Value>, into: &mut Vec<(String, String)>) {
    // Which document of the API it is says nothing about the object.
    let shown = object
        .iter()
        .filter(|(name, _)| !name.ends_with("@odata.context"));
    for (name, value) in shown {
        let name = format!("{prefix}{}", printable(name));
        match value {
            Value::Object(inner) => flatten(&format!("{name}."), inner, into),
            Value::Array(elements) if elements.iter().any(Value::is_object) => {
                for (index, element) in elements.iter().enumerate() {
                    let name = format!("{name}[{index}]");
                    match element {
                        Value::Object(inner) => flatten(&format!("{name}."), inner, into),
                        other => into.push((name, cell(Some(other)))),
                    }
                }
            }
            Value::Array(elements) if !elements.is_empty() => {
                let lines: Vec<_> = elements.iter().map(|element| cell(Some(element))).collect();
                into.push((name, lines.join("\n")));
            }
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
        Some(Value::Array(elements)) if elements.is_empty() => "-".to_owned(),
        Some(Value::Array(elements)) if elements.iter().any(Value::is_object) => {
            format!("{} entries", elements.len())
        }
        Some(Value::Array(elements)) => joined(elements),
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

    use super::{columns, counts, list, object, thousands};

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
        let counted =
            json!({"devices": 1200, "risk": {"none": 1199, "high": 1}, "novel": {"x": 3}});
        let text = counts(map(&counted));
        let at = |word: &str| {
            text.find(word)
                .unwrap_or_else(|| panic!("{word} is missing in\n{text}"))
        };
        assert!(at("devices") < at("risk") && at("risk") < at("none"));
        assert!(at("none") < at("high") && at("high") < at("novel"));
        assert!(text.contains("1,200"));
    }

    #[test]
    fn text_from_a_device_cannot_command_the_terminal() {
        let device = json!({"name": "a\u{1b}[2Jb\nc", "inventory": {"model": "x", "tags": ["t", "u"]},
            "list": [{"a": 1}, {"a": 2}]});
        let text = object(map(&device), None);
        assert!(!text.contains('\u{1b}'), "{text}");
        for word in ["inventory.model", "┆ t ", "┆ u ", "list[1].a"] {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
        assert!(
            !text.contains('{') && !text.contains('"'),
            "JSON in a cell: {text}"
        );
    }

    #[test]
    fn a_table_fits_the_terminal_and_shows_everything() {
        let row = json!({"id": "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01", "a": {"b": [{"c": "x"}]},
            "@odata.type": "#microsoft.graph.iosCompliancePolicy"});
        let names = ["id", "a.b.c", "@odata.type"].map(str::to_owned);
        let text = columns(&names, &[row], Some(50));
        assert!(
            text.lines().all(|line| line.chars().count() <= 50),
            "{text}"
        );
        assert!(text.contains('x') && !text.contains("microsoft"), "{text}");
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
