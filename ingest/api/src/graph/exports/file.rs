//! Writes the file of an export job: a zip with one csv or json, whose name scripts look for.

use std::fs::File;
use std::io::{self, Write};

use serde_json::{Map, Value as Json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::reports::{Columns, ReportRow};
use crate::backend::{Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::devices::list::Query;
use crate::graph::devices::row::{Formatted, Projection};
use crate::graph::jobs::Format;
use crate::odata::Filter;

/// What to write.
#[derive(Debug)]
pub(super) struct Order {
    /// The id of the job.
    pub(super) id: String,
    pub(super) columns: Columns,
    pub(super) filter: Option<Filter>,
    pub(super) format: Format,
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the devices cannot be read: {0}")]
    Read(String),
    #[error("the file cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("the file cannot be written: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("the file cannot be written: {0}")]
    Csv(#[from] csv::Error),
}

/// Writes the file.
pub(super) async fn write(call: &Call, order: &Order) -> Result<File, WriteError> {
    let read = |error: &dyn std::fmt::Display| WriteError::Read(error.to_string());
    let _permit = call.api.scan_permit().await.map_err(|error| read(&error))?;
    let mut zip = ZipWriter::new(tempfile::tempfile()?);
    let name = format!("{}.{}", order.id, order.format.name());
    zip.start_file(name, SimpleFileOptions::default().large_file(true))?;
    let mut begun = order.begin()?;
    zip.write_all(&begun)?;
    let control = call.control();
    let query = Query::new(call, None);
    let (mut from, mut is_first) = (Some(Position::default()), true);
    while let Some(at) = from {
        let (found, next) = query
            .page(at, 0, ROWS_MAX)
            .await
            .map_err(|error| read(&error))?;
        begun.clear();
        for (_, device) in &found {
            let report = order.columns.report;
            if !(report.has)(&device.facets) {
                continue;
            }
            let formatted = Formatted::of(device, &control);
            let row = report.row(device, &formatted);
            if order
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(&row))
            {
                order.row(&row, &mut begun, std::mem::take(&mut is_first))?;
            }
        }
        zip.write_all(&begun)?;
        from = next;
    }
    zip.write_all(order.end())?;
    Ok(zip.finish()?)
}

impl Order {
    /// What is before the first row.
    fn begin(&self) -> Result<Vec<u8>, WriteError> {
        match self.format {
            Format::Json => Ok(b"{\"values\":[".to_vec()),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(self.columns.headings().iter().map(|(name, _)| name))?;
                writer
                    .into_inner()
                    .map_err(|error| error.into_error().into())
            }
        }
    }

    /// What is behind the last row.
    const fn end(&self) -> &'static [u8] {
        match self.format {
            Format::Json => b"]}",
            Format::Csv => b"",
        }
    }

    fn row(
        &self,
        row: &ReportRow<'_>,
        into: &mut Vec<u8>,
        is_first: bool,
    ) -> Result<(), WriteError> {
        let values = self.columns.values(row);
        match self.format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(into);
                writer.write_record(values.iter().map(cell))?;
                writer.flush()?;
            }
            Format::Json => {
                if !is_first {
                    into.push(b',');
                }
                let names = self.columns.headings().into_iter().map(|(name, _)| name);
                let object: Map<String, Json> = names.zip(values).collect();
                serde_json::to_writer(into, &object).map_err(io::Error::from)?;
            }
        }
        Ok(())
    }
}

/// A value as a cell. A text that a spreadsheet would take for a formula begins with an apostrophe.
pub fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for (value, expected) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-1", "'-1"),
            ("+x", "'+x"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(cell(&value.into()), expected);
        }
        assert_eq!(cell(&Json::Null), "");
        assert_eq!(cell(&true.into()), "True");
    }
}
