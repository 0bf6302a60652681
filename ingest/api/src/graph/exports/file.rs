//! Writes the file of an export job: a zip with one csv, json or Parquet, whose name scripts look for.
//!
//! The task of the job reads devices, a thread formats and compresses them. Bounded: [`PAGES_WAITING`] thousand devices
//! between the two, and one thousand in the hands of each.

#[cfg(feature = "parquet")]
mod parquet;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use muster_control::ControlPlane;
use serde_json::Value as Json;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::reports::{Columns, ReportRow};
use crate::backend::{Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::devices::list::{Found, Query};
use crate::graph::devices::projection::Projection;
use crate::graph::devices::row::Formatted;
use crate::graph::jobs::Format;
use crate::odata::Filter;

/// Pages of a thousand devices that wait to be formatted.
const PAGES_WAITING: usize = 2;

/// The fastest level: the next ones take three times as long for files that are a tenth smaller.
const COMPRESSION: i64 = 1;

/// Bytes of JSON at which they are passed on.
const TEXT_BYTES: usize = 64 << 10;

/// The devices, a thousand at a time.
type Pages = Receiver<Vec<Found>>;

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
    #[cfg(feature = "parquet")]
    #[error("the file cannot be written: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// Writes the file.
pub(super) async fn write(call: &Call, order: Order) -> Result<File, WriteError> {
    let read = |error: &dyn std::fmt::Display| WriteError::Read(error.to_string());
    let _permit = call.api.scan_permit().await.map_err(|error| read(&error))?;
    let query = Query::new(call, None, &super::NEEDS).with_test(Arc::new(order.columns.report.has));
    let (pages, waiting) = channel(PAGES_WAITING);
    let control = call.control();
    let writing = spawn_blocking(move || order.write(&control, waiting));
    let mut from = Some(Position::default());
    while let Some(at) = from {
        let page = query.page(at, 0, ROWS_MAX).await;
        let (found, next) = page.map_err(|error| read(&error))?;
        if pages.send(found).await.is_err() {
            break; // it cannot be written, and the thread says why
        }
        from = next;
    }
    drop(pages);
    writing.await.map_err(|error| read(&error))?
}

impl Order {
    /// Writes the devices of all pages.
    fn write(&self, control: &ControlPlane, pages: Pages) -> Result<File, WriteError> {
        let mut zip = ZipWriter::new(tempfile::tempfile()?);
        let name = format!("{}.{}", self.id, self.format.name());
        let options = SimpleFileOptions::default().large_file(true);
        let options = match self.format {
            // Its columns are compressed.
            #[cfg(feature = "parquet")]
            Format::Parquet => options.compression_method(zip::CompressionMethod::Stored),
            Format::Csv | Format::Json => options.compression_level(Some(COMPRESSION)),
        };
        zip.start_file(name, options)?;
        match self.format {
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let mut table = parquet::Table::begin(self, &mut zip)?;
                self.rows(control, pages, |row| Ok(table.push(self, row)?))?;
                table.end()?;
            }
            Format::Csv => self.csv(control, pages, &mut zip)?,
            Format::Json => self.json(control, pages, &mut zip)?,
        }
        Ok(zip.finish()?)
    }

    fn csv(
        &self,
        control: &ControlPlane,
        pages: Pages,
        zip: &mut ZipWriter<File>,
    ) -> Result<(), WriteError> {
        let mut csv = csv::Writer::from_writer(zip);
        csv.write_record(self.columns.headings().iter().map(|(name, _)| name))?;
        self.rows(control, pages, |row| {
            let values = self.columns.values(row);
            csv.write_record(values.iter().map(|value| Cell(text_of(value))))?;
            Ok(())
        })?;
        csv.flush()?;
        Ok(())
    }

    fn json(
        &self,
        control: &ControlPlane,
        pages: Pages,
        zip: &mut ZipWriter<File>,
    ) -> Result<(), WriteError> {
        let (names, mut text) = (self.json_names(), b"{\"values\":[".to_vec());
        let mut separator = "";
        self.rows(control, pages, |row| {
            object(&mut text, separator, &names, &self.columns.values(row))?;
            separator = ",";
            if text.len() >= TEXT_BYTES {
                zip.write_all(&text)?;
                text.clear();
            }
            Ok(())
        })?;
        text.extend_from_slice(b"]}");
        zip.write_all(&text)?;
        Ok(())
    }

    /// Passes the rows of all pages to `each`.
    fn rows(
        &self,
        control: &ControlPlane,
        mut pages: Pages,
        mut each: impl FnMut(&ReportRow<'_>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        while let Some(page) = pages.blocking_recv() {
            for (_, device) in &page {
                let formatted = Formatted::of(device, control);
                let row = self.columns.report.row(device, &formatted);
                if self
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.matches(&row))
                {
                    each(&row)?;
                }
            }
        }
        Ok(())
    }

    /// What is before the value of each column in a JSON object.
    fn json_names(&self) -> Vec<String> {
        let names = self.columns.headings().into_iter().enumerate();
        let names = names.map(|(index, (name, _))| {
            let before = if index == 0 { "{" } else { "," };
            format!("{before}{}:", Json::from(name))
        });
        names.collect()
    }
}

/// Writes a JSON object behind a separator.
fn object(
    text: &mut Vec<u8>,
    separator: &str,
    names: &[String],
    values: &[Json],
) -> Result<(), io::Error> {
    text.extend_from_slice(separator.as_bytes());
    for (name, value) in names.iter().zip(values) {
        text.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *text, value)?;
    }
    text.push(b'}');
    Ok(())
}

/// A value as a cell. A text that a spreadsheet would take for a formula begins with an apostrophe.
pub fn cell(value: &Json) -> String {
    text_of(value).into_owned()
}

/// A text as bytes, which is what a csv consists of.
struct Cell<'a>(Cow<'a, str>);

impl AsRef<[u8]> for Cell<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn text_of(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Null => "".into(),
        Json::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}").into()
        }
        Json::String(text) => text.into(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        other => other.to_string().into(),
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
