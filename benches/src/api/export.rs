//! Export jobs: rows a second until the file is complete, and by how much the memory of the server grows meanwhile.

use std::io::{BufRead, BufReader, Cursor};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use muster_ingest::clock;
use serde_json::{Value, json};
use tokio::time::sleep;
use zip::ZipArchive;

use super::client::{Connection, Target};
use crate::capacity::environment::ServerProcess;

const JOBS: &str = "/beta/deviceManagement/reports/exportJobs";

/// How often the job and the memory of the server are looked at.
const POLL: Duration = Duration::from_millis(20);

/// The longest that a job may take.
const TIME_MAX: Duration = Duration::from_secs(1_800);

/// A report of all devices.
#[derive(Clone, Debug)]
pub(super) struct Export {
    pub(super) format: &'static str,
    pub(super) rows: u64,
    pub(super) seconds: f64,
    /// Growth of the resident memory of the server, at its peak.
    pub(super) growth_bytes: u64,
}

impl Export {
    pub(super) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// Exports all devices in a format, downloads the file and counts its rows.
///
/// # Errors
/// The job fails, or the file does not have `devices` rows.
pub(super) async fn measure(
    target: &Target,
    server: &ServerProcess<'_>,
    format: &'static str,
    devices: u64,
) -> anyhow::Result<Export> {
    let mut connection = target.connect().await?;
    let order = json!({ "reportName": "Devices", "format": format });
    let base = server.resident_bytes()?;
    let (began, mut peak) = (clock::stamp(), base);
    let job = connection.call("POST", JOBS, Some(&order)).await?;
    let job = format!("{JOBS}/{}", job["id"].as_str().context("a job has an id")?);
    let url = loop {
        peak = peak.max(server.resident_bytes()?);
        let document = connection.call("GET", &job, None).await?;
        match document["status"].as_str() {
            Some("completed") => break document["url"].as_str().map(str::to_owned),
            Some("inProgress") => {}
            other => bail!("the export job is {other:?}"),
        }
        ensure!(
            clock::stamp().since(began) < TIME_MAX,
            "the export job takes too long"
        );
        sleep(POLL).await;
    };
    let seconds = clock::stamp().since(began).as_secs_f64();
    let url = url.context("a completed job has a URL")?;
    let rows = rows(&download(&mut connection, &url).await?, format)?;
    connection.call("DELETE", &job, None).await?;
    ensure!(
        rows == devices,
        "the {format} file has {rows} rows, not {devices}"
    );
    Ok(Export {
        format,
        rows,
        seconds,
        growth_bytes: peak - base,
    })
}

async fn download(connection: &mut Connection, url: &str) -> anyhow::Result<Bytes> {
    let path = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'));
    let (_, path) = path.context("the URL of a file is absolute")?;
    connection.get(&format!("/{path}")).await
}

fn rows(file: &[u8], format: &str) -> anyhow::Result<u64> {
    let mut archive = ZipArchive::new(Cursor::new(file))?;
    let mut entry = BufReader::new(archive.by_index(0)?);
    if format == "json" {
        let document: Value = serde_json::from_reader(entry)?;
        return Ok(document["values"].as_array().map_or(0, Vec::len) as u64);
    }
    let (mut line, mut lines) = (Vec::new(), 0);
    while entry.read_until(b'\n', &mut line)? > 0 {
        line.clear();
        lines += 1;
    }
    // The first line has the names of the columns.
    Ok(lines - 1)
}
