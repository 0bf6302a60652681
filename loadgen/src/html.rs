//! A run as a self-contained HTML file, without scripts, fonts or images, in light and dark mode.
//!
//! All data is read from the object of `--json`, so that a page can be made later and two runs can be shown together.
//! All text is escaped, because some of it comes from a server. Bounds: those of the samples.

use std::{fmt::Write, fs, path::Path};

use serde_json::Value;

use crate::error::RunError;

mod chart;
mod charts;
mod compare;
mod page;
mod run;

pub use compare::comparison;
pub use run::run;

/// Writes a page.
///
/// # Errors
/// [`RunError::File`] if the file cannot be written.
pub fn write_file(path: &Path, page: &str) -> Result<(), RunError> {
    fs::write(path, page)
        .map_err(|error| RunError::File(format!("cannot write {}: {error}", path.display())))
}

/// Escapes text for use between tags and in attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Formats a number for people: thousands are grouped, and about three digits are significant.
fn format_number(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    if value.fract() == 0.0 || value.abs() >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!(
            "{sign}{}",
            crate::report::grouped(value.abs().round() as u64)
        );
    }
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}")
}

/// Formats a JSON value as text.
fn format_value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), format_number),
        Value::String(text) => text.clone(),
        Value::Array(values) => values
            .iter()
            .map(format_value)
            .collect::<Vec<_>>()
            .join(" to "),
        Value::Object(_) => String::new(),
    }
}

/// A table of names and values.
fn name_value_table(caption: &str, rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut table = format!("<table><caption>{}</caption><tbody>", escape(caption));
    for (name, value) in rows {
        let (name, value) = (escape(&name), escape(&value));
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    table.push_str("</tbody></table>");
    table
}

/// A table with a header.
fn table(caption: &str, header: &[String], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &[String]| -> String {
        cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{}>", escape(cell), &tag[..2]))
            .collect()
    };
    let mut text = format!("<table><caption>{}</caption><thead><tr>", escape(caption));
    text.push_str(&cells("th scope=\"col\"", header));
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        let _ = write!(text, "<tr>{}</tr>", cells("td", row));
    }
    text.push_str("</tbody></table>");
    text
}

/// The scalar and array members of an object as rows.
fn rows_of(object: &Value) -> Vec<(String, String)> {
    let members = object.as_object().into_iter().flatten();
    members
        .filter(|(_, value)| !value.is_null() && !value.is_object())
        .map(|(name, value)| (name.replace('_', " "), format_value(value)))
        .collect()
}

/// A column of the samples; empty if it does not exist.
fn column(json: &Value, name: &str) -> Vec<Option<f64>> {
    let values = json["samples"][name].as_array().into_iter().flatten();
    values.map(Value::as_f64).collect()
}

#[cfg(test)]
mod tests;
