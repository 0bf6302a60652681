//! What the machine can do at all: the benches of single parts, one run of each in every round.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::environment::Environment;
use super::figures::Figures;
use super::sizes::{Sizes, label};
use crate::measure::Row;
use crate::parts::disk::Flushes;
use crate::parts::quic::requests;
use crate::parts::{self, Name, Size, apply};

pub(super) const STREAM: &str = "raw_quic_stream_records_per_second";
pub(super) const CONNECT_FULL: &str = "raw_quic_connect_full_per_second";
pub(super) const CONNECT_RESUMED: &str = "raw_quic_connect_resumed_per_second";

/// Bytes appended before a flush: the least, and a journal value of 1,000 check-ins.
const FLUSHED: [(usize, &str); 2] = [(4 << 10, "flush_4k"), (48_000, "flush_48k")];

/// Bytes appended before a flush that comes at a pace, and the time from one to the next: about how often a server under
/// load syncs, and how much.
const PACED_BYTES: usize = 150_000;
const PACED_INTERVAL: Duration = Duration::from_millis(4);

/// The name of the bare requests on so many connections with this window.
pub(super) fn requests_of((connections, window): (u64, u64)) -> String {
    format!("raw_quic_{connections}_connections_window_{window}_requests_per_second")
}

/// The 99th percentile of the smallest flush.
pub(super) const FLUSH_P99: &str = "flush_4k_p99_us";

/// Percentiles of flushes at a pace.
pub(super) const PACED: [&str; 3] = [
    "flush_paced_150k_p50_us",
    "flush_paced_150k_p99_us",
    "flush_paced_150k_p999_us",
];
pub(super) const PACED_P99: &str = PACED[1];

/// Runs these parts once.
pub(super) fn measure(
    environment: &Environment,
    parts: &[Name],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    environment.go_on()?;
    let size = environment.size();
    let plan = parts::Plan {
        size,
        repeats: 1,
        only: parts.to_vec(),
        directory: environment.directory().to_owned(),
    };
    let measured = parts::run(&plan)?;
    for row in &measured.rows {
        let Some(name) = name_of(row, size) else {
            continue;
        };
        let what = name.trim_end_matches("_per_second");
        figures.add(name.clone(), row.rate());
        figures.add(format!("{what}_core_ns"), row.core_ns());
        if let Some([p50, p99]) = row.latency_us() {
            figures.add(format!("{what}_p50_us"), p50);
            figures.add(format!("{what}_p99_us"), p99);
        }
    }
    Ok(())
}

/// What a case is called here; none for those that nothing is held against.
fn name_of(row: &Row, size: Size) -> Option<String> {
    let case = row.case.as_str();
    match row.part {
        Name::Quic => Some(STREAM.to_owned()),
        Name::Requests => {
            let cases = requests::cases(size);
            let found = cases.into_iter().find(|of| requests::name(*of) == case);
            found.map(requests_of)
        }
        Name::Handshakes => match case.split_once(", ")? {
            ("resumed", _) => Some(CONNECT_RESUMED.to_owned()),
            ("full", rest) if rest.starts_with("after Retry") => {
                Some("raw_quic_connect_full_after_retry_per_second".to_owned())
            }
            ("full", _) => Some(CONNECT_FULL.to_owned()),
            _ => None,
        },
        Name::Apply => apply::fleets(size)
            .iter()
            .find_map(|(devices, known, new)| {
                let what = match case {
                    _ if case == *known => "known",
                    _ if case == *new => "new",
                    _ => return None,
                };
                let fleet = label(*devices);
                Some(format!("device_table_{fleet}_{what}_updates_per_second"))
            }),
        Name::Journal => match case {
            "rocksdb, 1,000 a value, a sync each" => {
                Some("rocksdb_append_1000_synced_records_per_second")
            }
            "rocksdb, 1,000 a value, no sync" => {
                Some("rocksdb_append_1000_unsynced_records_per_second")
            }
            "store, 65,536 a value, a sync each *" => {
                Some("store_append_65536_synced_records_per_second")
            }
            _ => None,
        }
        .map(str::to_owned),
        Name::Decode => None,
    }
}

/// How long the disk takes for a flush while nothing else of ours writes. In a short burst twice in every round, before
/// and after the gateways; at the pace of a server right before and right after the run at half load.
#[derive(Debug)]
pub(super) struct Disk {
    in_bursts: [Flushes; 2],
    paced: Flushes,
    /// Files of it, which are removed with this: not while a server has the disk.
    files: Vec<TempDir>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            in_bursts: FLUSHED.map(|(bytes, _)| Flushes::new(bytes)),
            paced: Flushes::new(PACED_BYTES),
            files: Vec::new(),
        }
    }

    pub(super) fn sample(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
    ) -> anyhow::Result<()> {
        for flushes in &mut self.in_bursts {
            flushes
                .sample(environment.directory(), sizes.flushes)
                .context("flushes of the disk")?;
        }
        Ok(())
    }

    pub(super) fn sample_at_a_pace(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
    ) -> anyhow::Result<()> {
        let lasting = Duration::from_millis(sizes.paced_ms);
        let Self { paced, files, .. } = self;
        // What a server has left was removed a moment ago; a file system with `discard` still has that before it.
        let synced = Command::new("sync")
            .arg("-f")
            .arg(environment.directory())
            .status();
        anyhow::ensure!(synced?.success(), "sync of the measured directory failed");
        environment.wait(async {
            let measured = paced.sample_at_a_pace(environment.directory(), PACED_INTERVAL, lasting);
            files.push(measured.await.context("flushes of the disk at a pace")?);
            Ok(())
        })
    }

    pub(super) fn figures(&self, figures: &mut Figures) {
        for (name, microseconds) in PACED.into_iter().zip(self.paced.high_percentiles_us()) {
            figures.add(name, microseconds as f64);
        }
        for (flushes, (_, name)) in self.in_bursts.iter().zip(FLUSHED) {
            let [p50, p99, max] = flushes.percentiles_us();
            figures.add(format!("{name}_p50_us"), p50 as f64);
            figures.add(format!("{name}_p99_us"), p99 as f64);
            figures.add(format!("{name}_max_us"), max as f64);
        }
    }
}
