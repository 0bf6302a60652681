//! Prints documents in the format that a command was asked for: tables for people, JSON and CSV for programs.
//!
//! Rows are written page by page, so a list of any length takes the memory of a page; as a table, each page is one. Text
//! may originate from a device: none of it commands a terminal, or is a formula in a spreadsheet.

use std::io::IsTerminal;

use clap::ValueEnum;
use muster_api::csv_cell;
use serde_json::Value;

use crate::exit::Failure;
use crate::output::{self, Output};
use crate::printable::printable;
use crate::table;

/// A format of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON value: a list, or a document.
    Json,
    /// The columns of the table, formula-safe.
    Csv,
    /// One JSON document per line.
    Ndjson,
}

/// The argument of commands that print documents.
#[derive(Debug, clap::Args)]
pub(crate) struct FormatArgument {
    /// The format of standard output.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

impl Format {
    /// Whether whole documents are printed, not columns.
    pub(crate) const fn is_of_documents(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// A list that is being printed.
pub(crate) struct Rows<'a> {
    format: Format,
    columns: &'a [String],
    output: Output,
    rows: u64,
}

impl<'a> Rows<'a> {
    /// Begins a list. A column is the path of a property, with dots.
    pub(crate) fn begin(format: Format, columns: &'a [String]) -> Result<Self, Failure> {
        let mut output = Output::new();
        match format {
            Format::Json => output.write("[")?,
            Format::Csv => output.write(&csv_line(columns.iter().map(|name| printable(name)))?)?,
            Format::Table | Format::Ndjson => (),
        }
        Ok(Self {
            format,
            columns,
            output,
            rows: 0,
        })
    }

    /// Prints some rows; returns whether anyone reads on.
    pub(crate) fn page(&mut self, rows: &[Value]) -> Result<bool, Failure> {
        if self.format == Format::Table && !rows.is_empty() {
            self.output
                .write(&table::columns(self.columns, rows, width()))?;
        }
        for row in rows {
            match self.format {
                Format::Table => (),
                Format::Json => {
                    let separator = if self.rows == 0 { "\n" } else { ",\n" };
                    self.output.write(separator)?;
                    self.output.write(&json(row))?;
                }
                Format::Ndjson => {
                    self.output.write(&json(row))?;
                    self.output.write("\n")?;
                }
                Format::Csv => {
                    let cells = self.columns.iter().map(|column| csv_value(row, column));
                    self.output.write(&csv_line(cells)?)?;
                }
            }
            self.rows += 1;
        }
        self.output.flush()?;
        Ok(!self.output.is_closed())
    }

    /// Ends the list.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        match self.format {
            Format::Json if self.rows == 0 => self.output.write("]\n")?,
            Format::Json => self.output.write("\n]\n")?,
            // A table without rows would not say what there is none of.
            Format::Table if self.rows == 0 => {
                self.output
                    .write(&table::columns(self.columns, &[], width()))?;
            }
            Format::Table | Format::Csv | Format::Ndjson => (),
        }
        self.output.flush()
    }
}

/// Prints a short list.
pub(crate) fn list(format: Format, columns: &[&str], rows: &[Value]) -> Result<(), Failure> {
    let columns: Vec<_> = columns.iter().map(|&name| name.to_owned()).collect();
    let mut printed = Rows::begin(format, &columns)?;
    printed.page(rows)?;
    printed.end()
}

/// Prints one document: as a table a row per property, as CSV the columns.
pub(crate) fn document(format: Format, columns: &[String], value: &Value) -> Result<(), Failure> {
    match (format, value) {
        (Format::Table, Value::Object(object)) => output::print(&table::object(object, width())),
        (Format::Table, other) => output::print(&printable(&other.to_string())),
        (Format::Csv, row) => {
            let mut rows = Rows::begin(format, columns)?;
            rows.page(std::slice::from_ref(row))?;
            rows.end()
        }
        (Format::Ndjson, value) => output::print(&json(value)),
        (Format::Json, value) => {
            let text = serde_json::to_string_pretty(value);
            let text = text.map_err(|error| Failure::Internal(error.to_string()))?;
            output::print(&escaped(&text))
        }
    }
}

/// JSON on one line.
fn json(value: &Value) -> String {
    escaped(&value.to_string())
}

/// JSON without the control characters that JSON allows in a text and a terminal obeys.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' => text.push('\n'),
            other if other.is_control() => text.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => text.push(other),
        }
    }
    text
}

/// The value at a path of a row as a cell.
fn csv_value(row: &Value, path: &str) -> String {
    let value = match table::at(row, path) {
        Some(Value::Array(elements)) if elements.iter().all(|element| !element.is_object()) => {
            Value::String(table::joined(elements))
        }
        Some(value) => value.clone(),
        None => Value::Null,
    };
    printable(&csv_cell(&value))
}

fn csv_line(cells: impl Iterator<Item = String>) -> Result<String, Failure> {
    let failed = |error: String| Failure::Internal(format!("a line of CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(cells.collect::<Vec<_>>());
    written.map_err(|error| failed(error.to_string()))?;
    let line = writer.into_inner();
    let line = line.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(line).map_err(|error| failed(error.to_string()))
}

/// The width of the terminal; `None` if standard output is none, whose reader wants whole lines.
fn width() -> Option<u16> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{csv_line, csv_value, json};

    #[test]
    fn a_cell_is_neither_a_formula_nor_a_command() {
        let row = json!({"name": "=1+1", "a": {"b": ["x", "y"]}, "c": "a\u{1b}[2J\n", "d": "\t=1"});
        let cells = ["name", "a.b", "c", "d", "missing"].map(|path| csv_value(&row, path));
        assert_eq!(cells, ["'=1+1", "x, y", "a\u{fffd}[2J ", "' =1", ""]);
        assert_eq!(
            csv_line(cells.into_iter()).unwrap(),
            "'=1+1,\"x, y\",a\u{fffd}[2J ,' =1,\n"
        );
    }

    #[test]
    fn json_has_no_control_characters_and_is_still_the_same() {
        let value = json!({"name": "\u{9b}2J\u{7f}\u{1b}\n"});
        let text = json(&value);
        assert!(!text.contains(char::is_control), "{text:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
