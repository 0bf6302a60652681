//! Gateways: frames of thousands of check-ins, as fast as the server takes them and at shares of that.
//!
//! The highest rate is that of a fleet the server knows: the first check-in of every device is left out, because it
//! comes once in a device's life. It is read from the server's own counters while the run goes on. Latencies are
//! those of the generator, counted from when a frame was due: those of a known fleet, of frames that were made when
//! every device of their connection had checked in before, and those from empty, of all frames, the first ones included.

use anyhow::Context;
use muster_ingest::clock::{self, Stamp};

use super::environment::{Environment, Running, sum_of};
use super::figures::Figures;
use super::load::{Load, Report};
use super::sizes::{Sizes, label};

/// Shares of the highest rate at which latency is measured, in percent.
pub(super) const HALF: (&str, u64) = ("half", 50);
pub(super) const HEAVY: (&str, u64) = ("heavy", 80);

/// Percentiles of a latency, as the names of figures have them.
pub(super) const PERCENTILES: [&str; 4] = ["p50", "p99", "p999", "p9999"];

/// The highest rate of this fleet.
pub(super) fn rate_of(devices: u64) -> String {
    format!("gateway_{}_check_ins_per_second", label(devices))
}

/// Memory of a device of this fleet, all that the server has taken divided by them.
pub(super) fn memory_of(devices: u64) -> String {
    format!("gateway_{}_bytes_per_device", label(devices))
}

/// A percentile under this load, of a known fleet.
pub(super) fn known_of(load: &str, percentile: &str) -> String {
    format!("gateway_{load}_load_{percentile}_ms")
}

/// The same of all frames from an empty server on, the first check-in of every device among them.
pub(super) fn from_empty_of(load: &str, percentile: &str) -> String {
    format!("gateway_{load}_load_from_empty_{percentile}_ms")
}

pub(super) fn fastest(
    environment: &Environment,
    sizes: &Sizes,
    devices: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = environment.serve()?;
    let load = Load {
        look_ms: sizes.sample_ms,
        ..Load::through_gateways(devices, devices + sizes.check_ins)
    };
    let mut samples = Vec::new();
    let report = load.run(environment, &server, &mut || {
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
    environment: &Environment,
    sizes: &Sizes,
    (name, percent): (&str, u64),
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let highest = figures
        .last(&rate_of(sizes.fleet()))
        .context("the highest rate comes first")?;
    let offered = highest * percent as f64 / 100.0;
    let report = offer(environment, sizes.fleet(), offered, sizes.rate_seconds)?;
    if report.saturated {
        figures.note(format!(
            "gateway_{name}_load: the server fell behind in a round, so these latencies are those of a queue that grew"
        ));
    }
    figures.add(format!("gateway_{name}_load_offered_per_second"), offered);
    add_latencies(name, &report, figures);
    Ok(())
}

/// The latencies of a known fleet, if any frame was of one, and those of all frames.
fn add_latencies(name: &str, report: &Report, figures: &mut Figures) {
    match &report.ack_latency_known_ms {
        Some(latency) => {
            for (percentile, milliseconds) in PERCENTILES.into_iter().zip(latency.all()) {
                figures.add(known_of(name, percentile), milliseconds);
            }
        }
        None => figures.note(format!(
            "gateway_{name}_load: no frame was made after the first check-in of every device, so there is no latency of \
             a known fleet"
        )),
    }
    let all = report.ack_latency_ms.all();
    for (percentile, milliseconds) in PERCENTILES.into_iter().zip(all) {
        figures.add(from_empty_of(name, percentile), milliseconds);
    }
}

/// An empty server gets so many check-ins a second: the first one of every device, and then others for so long.
pub(super) fn offer(
    environment: &Environment,
    devices: u64,
    rate: f64,
    seconds: u64,
) -> anyhow::Result<Report> {
    let load = offered(devices, rate, seconds);
    let server = environment.serve()?;
    let report = load.run(environment, &server, &mut || Ok(()))?;
    server.stop()?;
    Ok(report)
}

/// However slow the server is, the fleet is a known one for so long.
fn offered(devices: u64, rate: f64, seconds: u64) -> Load {
    Load {
        rate: Some(rate),
        ..Load::through_gateways(devices, devices + (rate * seconds as f64) as u64)
    }
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
    use serde_json::{Value, json};

    use super::*;

    fn samples(all: &[(u64, f64, f64)]) -> Vec<Sample> {
        let sample = |(seconds, acknowledged, devices): &(u64, f64, f64)| Sample {
            at: Stamp(seconds * 1_000_000_000),
            acknowledged: *acknowledged,
            devices: *devices,
        };
        all.iter().map(sample).collect()
    }

    /// The values of all figures after a run whose generator said this.
    fn figures_of(known: &Value) -> (Vec<(String, f64)>, usize) {
        let report = json!({
            "check_ins_acked": 1,
            "check_ins_per_second": 1.0,
            "saturated": false,
            "ack_latency_ms": {"p50": 5.0, "p90": 5.5, "p99": 6.0, "p999": 7.0, "p9999": 8.0, "max": 9.0},
            "ack_latency_known_ms": known,
            "server_rss_base_bytes": 1,
            "server_rss_bytes": 2,
            "verified": true,
        });
        let report = serde_json::from_value(report).unwrap();
        let mut figures = Figures::default();
        add_latencies("half", &report, &mut figures);
        let values = figures.all().iter();
        let values = values.map(|series| (series.name.clone(), series.median()));
        (values.collect(), figures.notes().len())
    }

    #[test]
    fn latencies_of_a_known_fleet_and_from_empty_have_figures_of_their_own() {
        let known =
            json!({"p50": 1.0, "p90": 1.5, "p99": 2.0, "p999": 3.0, "p9999": 4.0, "max": 4.5});
        let from_empty = [
            ("gateway_half_load_from_empty_p50_ms", 5.0),
            ("gateway_half_load_from_empty_p99_ms", 6.0),
            ("gateway_half_load_from_empty_p999_ms", 7.0),
            ("gateway_half_load_from_empty_p9999_ms", 8.0),
        ];
        let expected = [
            ("gateway_half_load_p50_ms", 1.0),
            ("gateway_half_load_p99_ms", 2.0),
            ("gateway_half_load_p999_ms", 3.0),
            ("gateway_half_load_p9999_ms", 4.0),
        ];
        let named = |all: &[(&str, f64)]| -> Vec<(String, f64)> {
            all.iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect()
        };
        let all = named(&[expected, from_empty].concat());
        assert_eq!(figures_of(&known), (all, 0));
        assert_eq!(
            figures_of(&Value::Null),
            (named(&from_empty), 1),
            "and a note"
        );
    }

    #[test]
    fn a_fleet_is_known_for_all_the_time_of_a_run_at_a_rate() {
        assert_eq!(offered(1_000_000, 1000.0, 15).check_ins, 1_015_000);
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
