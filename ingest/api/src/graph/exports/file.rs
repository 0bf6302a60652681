//! Writes the file of an export job: a zip with one csv or json, whose name scripts look for.
//!
//! The task of the job reads devices, a thread formats and compresses them. Bounded: [`PAGES_WAITING`] thousand devices
//! between the two, and one thousand in the hands of each.

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

use super::reports::Columns;
use crate::backend::{Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::devices::list::{Found, Query};
use crate::graph::devices::row::{Formatted, Projection};
use crate::graph::jobs::Format;
use crate::odata::Filter;

/// Pages of a thousand devices that wait to be formatted.
const PAGES_WAITING: usize = 2;

/// The fastest level: the next ones take three times as long for files that are a tenth smaller.
const COMPRESSION: i64 = 1;

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
pub(super) async fn write(call: &Call, order: Order) -> Result<File, WriteError> {
    let read = |error: &dyn std::fmt::Display| WriteError::Read(error.to_string());
    let _permit = call.api.scan_permit().await.map_err(|error| read(&error))?;
    let query = Query::new(call, None).with_test(Arc::new(order.columns.report.has));
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

    /// Writes the devices of all pages.
    fn write(
        &self,
        control: &ControlPlane,
        mut pages: Receiver<Vec<Found>>,
    ) -> Result<File, WriteError> {
        let mut zip = ZipWriter::new(tempfile::tempfile()?);
        let name = format!("{}.{}", self.id, self.format.name());
        let options = SimpleFileOptions::default().large_file(true);
        zip.start_file(name, options.compression_level(Some(COMPRESSION)))?;
        zip.write_all(&self.begin()?)?;
        let (names, mut text, mut is_first) = (self.json_names(), Vec::new(), true);
        while let Some(page) = pages.blocking_recv() {
            text.clear();
            let mut csv = csv::Writer::from_writer(Vec::new());
            for (_, device) in &page {
                let formatted = Formatted::of(device, control);
                let row = self.columns.report.row(device, &formatted);
                if self
                    .filter
                    .as_ref()
                    .is_some_and(|filter| !filter.matches(&row))
                {
                    continue;
                }
                let values = self.columns.values(&row);
                match self.format {
                    Format::Csv => {
                        csv.write_record(values.iter().map(|value| Cell(text_of(value))))?;
                    }
                    Format::Json => {
                        let separator = if std::mem::take(&mut is_first) {
                            ""
                        } else {
                            ","
                        };
                        object(&mut text, separator, &names, &values)?;
                    }
                }
            }
            let csv = csv.into_inner().map_err(|error| error.into_error())?;
            zip.write_all(&csv)?;
            zip.write_all(&text)?;
        }
        zip.write_all(self.end())?;
        Ok(zip.finish()?)
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
