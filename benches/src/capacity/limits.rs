//! The limits of the machine: the benches of the parts, with one run per round.

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

/// Bytes appended before a flush: a disk block, and a journal value of 1,000 check-ins.
const FLUSH_SIZES: [(usize, &str); 2] = [(4 << 10, "flush_4k"), (48_000, "flush_48k")];

/// Bytes appended before each paced flush, and the interval of the flushes: about those of a server under load.
const PACED_BYTES: usize = 150_000;
const PACED_INTERVAL: Duration = Duration::from_millis(4);

/// The name of the figure for bare requests on this number of connections with this window.
pub(super) fn requests_figure((connections, window): (u64, u64)) -> String {
    format!("raw_quic_{connections}_connections_window_{window}_requests_per_second")
}

/// The 99th percentile of the smaller flushes.
pub(super) const FLUSH_P99: &str = "flush_4k_p99_us";

/// Percentiles of paced flushes.
pub(super) const PACED: [&str; 3] = [
    "flush_paced_150k_p50_us",
    "flush_paced_150k_p99_us",
    "flush_paced_150k_p999_us",
];
pub(super) const PACED_P99: &str = PACED[1];

/// Measures these parts once.
pub(super) fn measure(
    environment: &Environment,
    parts: &[Name],
    figures: &mut Figures,
) -> anyhow::Result<()> {
    environment.check_interrupted()?;
    let size = environment.size();
    let options = parts::PartsOptions {
        size,
        repeats: 1,
        only: parts.to_vec(),
        directory: environment.directory().to_owned(),
    };
    let measured = parts::run(&options)?;
    for row in &measured.rows {
        let Some(name) = rate_figure(row, size) else {
            continue;
        };
        let prefix = name.trim_end_matches("_per_second");
        figures.add(name.clone(), row.rate());
        figures.add(format!("{prefix}_core_ns"), row.core_ns());
        if let Some([p50, p99]) = row.latency_us() {
            figures.add(format!("{prefix}_p50_us"), p50);
            figures.add(format!("{prefix}_p99_us"), p99);
        }
    }
    Ok(())
}

/// The name of the figure for the rate of a case; `None` for cases that are not compared with anything.
fn rate_figure(row: &Row, size: Size) -> Option<String> {
    let case = row.case.as_str();
    match row.part {
        Name::Quic => Some(STREAM.to_owned()),
        Name::Requests => {
            let cases = requests::cases(size);
            let found = cases
                .into_iter()
                .find(|candidate| requests::case_name(*candidate) == case);
            found.map(requests_figure)
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
                let kind = match case {
                    _ if case == *known => "known",
                    _ if case == *new => "new",
                    _ => return None,
                };
                let fleet = label(*devices);
                Some(format!("device_table_{fleet}_{kind}_updates_per_second"))
            }),
        Name::Journal => match case {
            "rocksdb, 1,000 per value, one sync each" => {
                Some("rocksdb_append_1000_synced_records_per_second")
            }
            "rocksdb, 1,000 per value, no sync" => {
                Some("rocksdb_append_1000_unsynced_records_per_second")
            }
            "store, 65,536 per value, one sync each *" => {
                Some("store_append_65536_synced_records_per_second")
            }
            _ => None,
        }
        .map(str::to_owned),
        Name::Decode => None,
    }
}

/// Flush latencies of the disk while no server writes to it: short bursts before and after the gateways, and paced
/// flushes immediately before and after the run at half load.
#[derive(Debug)]
pub(super) struct Disk {
    bursts: [Flushes; 2],
    paced: Flushes,
    /// Directories of the paced flushes, which are not removed before the end, when no server uses the disk.
    directories: Vec<TempDir>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            bursts: FLUSH_SIZES.map(|(bytes, _)| Flushes::new(bytes)),
            paced: Flushes::new(PACED_BYTES),
            directories: Vec::new(),
        }
    }

    pub(super) fn sample(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
    ) -> anyhow::Result<()> {
        for flushes in &mut self.bursts {
            flushes
                .sample(environment.directory(), sizes.flushes)
                .context("cannot measure flushes of the disk")?;
        }
        Ok(())
    }

    pub(super) fn sample_paced(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
    ) -> anyhow::Result<()> {
        let duration = Duration::from_millis(sizes.paced_ms);
        let Self {
            paced, directories, ..
        } = self;
        // The files of the last server were just removed; with the mount option `discard`, the file system has to
        // finish discarding their blocks first.
        let status = Command::new("sync")
            .arg("-f")
            .arg(environment.directory())
            .status();
        anyhow::ensure!(status?.success(), "sync of the measured directory failed");
        environment.block_on(async {
            let sampled = paced.sample_paced(environment.directory(), PACED_INTERVAL, duration);
            directories.push(
                sampled
                    .await
                    .context("cannot measure paced flushes of the disk")?,
            );
            Ok(())
        })
    }

    pub(super) fn add_figures(&self, figures: &mut Figures) {
        for (name, microseconds) in PACED.into_iter().zip(self.paced.tail_percentiles_us()) {
            figures.add(name, microseconds as f64);
        }
        for (flushes, (_, name)) in self.bursts.iter().zip(FLUSH_SIZES) {
            let [p50, p99, max] = flushes.percentiles_us();
            figures.add(format!("{name}_p50_us"), p50 as f64);
            figures.add(format!("{name}_p99_us"), p99 as f64);
            figures.add(format!("{name}_max_us"), max as f64);
        }
    }
}
