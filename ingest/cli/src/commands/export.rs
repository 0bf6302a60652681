//! `muster export`: a report of all devices as a file.
//!
//! An export job of the API: created, waited for, downloaded, unpacked, deleted. Flat in memory. The file appears when it
//! is complete.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use zip::ZipArchive;

use super::context::ContextArgument;
use crate::api_client::ApiClient;
use crate::exit::Failure;
use crate::objects;

/// Wait between two questions whether a job is complete.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often it is asked: half an hour.
const POLLS_MAX: u32 = 3_600;

const JOBS: &str = "deviceManagement/reports/exportJobs";

/// The format of a report.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReportFormat {
    Csv,
    Json,
}

/// The arguments of `muster export`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The report, like Devices; an unknown one lists all.
    #[arg(value_name = "REPORT")]
    report: String,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "csv")]
    format: ReportFormat,
    /// The columns, separated by commas; by default all.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    select: Vec<String>,
    /// Only the rows that fulfil this condition of OData, over the columns.
    #[arg(long, value_name = "ODATA")]
    filter: Option<String>,
    /// The file to write or replace; by default, and for -, standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let client = arguments.context.client()?;
    let format = match arguments.format {
        ReportFormat::Csv => "csv",
        ReportFormat::Json => "json",
    };
    let order = json!({
        "reportName": arguments.report,
        "format": format,
        "select": arguments.select,
        "filter": arguments.filter,
    });
    let created = client.post(&objects::path(JOBS), &order, &[])?.value;
    let id = created.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| client.unexpected("\"id\" is missing"))?;
    let job = objects::path(&format!("{JOBS}/{}", objects::encoded(id)));
    let exported = finished(&client, &job).and_then(|link| {
        let archive = download(&client, &link)?;
        unpack(&client, archive, arguments.out.as_deref())
    });
    // Jobs are few, and their files are kept for hours. That it cannot be deleted does not undo the export.
    let _ = client.delete(&job);
    exported
}

/// Waits until a job is complete, and returns the link to its file.
fn finished(client: &ApiClient, job: &str) -> Result<String, Failure> {
    for _ in 0..POLLS_MAX {
        let shown = client.get(job)?.value;
        match shown.get("status").and_then(Value::as_str) {
            Some("completed") => {
                let link = shown.get("url").and_then(Value::as_str);
                let link = link.ok_or_else(|| client.unexpected("\"url\" is missing"))?;
                return Ok(link.to_owned());
            }
            Some("failed") => {
                let message = "the export failed; the log of the server has the reason";
                return Err(Failure::Internal(message.to_owned()));
            }
            _ => std::thread::park_timeout(POLL_INTERVAL),
        }
    }
    Err(Failure::Unavailable(
        "the export is not complete after half an hour".to_owned(),
    ))
}

/// The file of a job, in a file without a name.
fn download(client: &ApiClient, link: &str) -> Result<File, Failure> {
    let failed = |error: io::Error| Failure::File(format!("cannot download the export: {error}"));
    let mut archive = tempfile::tempfile().map_err(failed)?;
    let mut read = client.download(link)?;
    io::copy(&mut read, &mut archive).map_err(failed)?;
    archive.rewind().map_err(failed)?;
    Ok(archive)
}

/// Writes the one file of an archive.
fn unpack(client: &ApiClient, archive: File, out: Option<&Path>) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::from(client.unexpected(format!("the export is not a zip of one file: {error}")))
    };
    let mut archive = ZipArchive::new(archive).map_err(|error| bad(&error))?;
    if archive.len() != 1 {
        return Err(bad(&format!("{} files", archive.len())));
    }
    let mut file = archive.by_index(0).map_err(|error| bad(&error))?;
    if let Some(out) = out.filter(|out| *out != Path::new("-")) {
        let written = write(&mut file, out);
        return written
            .map_err(|error| Failure::File(format!("cannot write {}: {error}", out.display())));
    }
    let mut output = io::stdout().lock();
    match io::copy(&mut file, &mut output).and_then(|_| output.flush()) {
        // A closed pipe (as of `head`) is not an error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::File(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes a file beside its place, then moves it there, so that no half is taken for the whole.
fn write(from: &mut impl Read, out: &Path) -> io::Result<()> {
    // A pipe or a device is written to, not replaced.
    if std::fs::metadata(out).is_ok_and(|found| !found.is_file()) {
        let mut opened = File::options().write(true).open(out)?;
        return io::copy(from, &mut opened).map(drop);
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut written = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    io::copy(from, &mut written)?;
    written.flush()?;
    written.persist(out)?;
    Ok(())
}
