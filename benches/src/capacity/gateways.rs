//! Gateways: frames of thousands of check-ins, as fast as the server takes them and at shares of that.
//!
//! The highest rate is that of a fleet the server knows: the first check-in of every device is left out, because it
//! comes once in a device's life. It is read from the server's own counters while the run goes on. Latencies are
//! those of the generator, of all frames, the first ones included, counted from when a frame was due.

use anyhow::Context;
use muster_ingest::clock::{self, Stamp};

use super::figures::Figures;
use super::load::{Load, Report};
use super::site::{Running, Site, sum_of};
use super::sizes::{Sizes, label};

/// Shares of the highest rate at which latency is measured, in percent.
pub(super) const LOADS: [(&str, u64); 2] = [("half", 50), ("heavy", 80)];

/// The highest rate of this fleet.
pub(super) fn rate_of(devices: u64) -> String {
    format!("gateway_{}_check_ins_per_second", label(devices))
}

/// Memory of a device of this fleet, all that the server has taken divided by them.
pub(super) fn memory_of(devices: u64) -> String {
    format!("gateway_{}_bytes_per_device", label(devices))
}

/// The 99th percentile under this load.
pub(super) fn p99_of(load: &str) -> String {
    format!("gateway_{load}_load_p99_ms")
}

pub(super) fn fastest(
    site: &Site,
    sizes: &Sizes,
    devices: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = site.serve()?;
    let load = Load {
        look_ms: sizes.sample_ms,
        ..Load::through_gateways(devices, devices + sizes.check_ins)
    };
    let mut samples = Vec::new();
    let report = load.run(site, &server, &mut || {
        samples.extend(Sample::take(&server));
        Ok(())
    })?;
    let core_ns = server.core_ns(load.check_ins);
    server.stop()?;
    let rate = rate_once_known(&samples, devices, load.check_ins)
        .context("the run was over before its rate could be read")?;
    let fleet = label(devices);
    figures.add(rate_of(devices), rate);
    figures.add(
        format!("gateway_{fleet}_from_empty_check_ins_per_second"),
        report.check_ins_per_second,
    );
    figures.add(format!("gateway_{fleet}_server_core_ns"), core_ns);
    let bytes = report.grown_bytes() as f64 / devices as f64;
    figures.add(memory_of(devices), bytes);
    Ok(())
}

/// A run at so many percent of the highest rate of this round.
pub(super) fn at_rate(
    site: &Site,
    sizes: &Sizes,
    name: &str,
    percent: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let highest = figures
        .last(&rate_of(sizes.fleet()))
        .context("the highest rate comes first")?;
    let offered = highest * percent as f64 / 100.0;
    let report = offer(site, sizes.fleet(), offered, sizes.rate_seconds)?;
    if report.saturated {
        figures.note(format!(
            "gateway_{name}_load: the server fell behind in a round, so these latencies are those of a queue that grew"
        ));
    }
    figures.add(format!("gateway_{name}_load_offered_per_second"), offered);
    let latency = report.ack_latency_ms;
    figures.add(format!("gateway_{name}_load_p50_ms"), latency.p50);
    figures.add(p99_of(name), latency.p99);
    figures.add(format!("gateway_{name}_load_p999_ms"), latency.p999);
    figures.add(format!("gateway_{name}_load_p9999_ms"), latency.p9999);
    Ok(())
}

/// An empty server gets so many check-ins a second for so long.
pub(super) fn offer(site: &Site, devices: u64, rate: f64, seconds: u64) -> anyhow::Result<Report> {
    let check_ins = (rate * seconds as f64) as u64;
    let load = Load {
        rate: Some(rate),
        ..Load::through_gateways(devices, check_ins)
    };
    let server = site.serve()?;
    let report = load.run(site, &server, &mut || Ok(()))?;
    server.stop()?;
    Ok(report)
}

/// What the server's counters said at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Stamp,
    acknowledged: f64,
    devices: f64,
}

impl Sample {
    fn take(server: &Running<'_>) -> Option<Self> {
        let metrics = server.metrics()?;
        Some(Self {
            at: clock::stamp(),
            acknowledged: sum_of(&metrics, "muster_session_records_acknowledged_total"),
            devices: sum_of(&metrics, "muster_shard_devices"),
        })
    }
}

/// Check-ins a second from when the server knew every device to the last sample before the end.
fn rate_once_known(samples: &[Sample], devices: u64, check_ins: u64) -> Option<f64> {
    let first = samples
        .iter()
        .find(|sample| sample.devices >= devices as f64)?;
    let last = samples
        .iter()
        .rfind(|sample| sample.acknowledged < check_ins as f64)?;
    let seconds = last.at.since(first.at).as_secs_f64();
    (seconds > 0.0).then(|| (last.acknowledged - first.acknowledged) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(all: &[(u64, f64, f64)]) -> Vec<Sample> {
        let sample = |(seconds, acknowledged, devices): &(u64, f64, f64)| Sample {
            at: Stamp(seconds * 1_000_000_000),
            acknowledged: *acknowledged,
            devices: *devices,
        };
        all.iter().map(sample).collect()
    }

    #[test]
    fn first_check_ins_and_the_wait_after_the_last_one_are_left_out() {
        let all = samples(&[
            (0, 0.0, 0.0),
            (1, 50.0, 50.0),
            (2, 110.0, 100.0),
            (4, 310.0, 100.0),
            (9, 400.0, 100.0),
        ]);
        assert_eq!(rate_once_known(&all, 100, 400), Some(100.0));
        assert_eq!(rate_once_known(&all[..3], 100, 400), None);
        assert_eq!(rate_once_known(&all, 101, 400), None);
    }
}
