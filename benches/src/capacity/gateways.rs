//! Gateways, which send frames of thousands of check-ins: in a closed loop, and in an open loop at fractions of that
//! rate.
//!
//! The highest rate is that of a known fleet. It excludes the first check-in of every device, which happens only once,
//! and is computed from the server's counters, which are sampled during the run. Latencies are those of the load
//! generator, from when a frame was due. Those of a known fleet are from frames made after every device of the
//! connection had checked in; those from empty are from all frames, including the first.

use anyhow::Context;
use muster_ingest::clock::{self, Stamp};

use super::environment::{Environment, ServerProcess, sum_of};
use super::figures::Figures;
use super::load::{Load, Report};
use super::sizes::{Sizes, label};

/// The loads at which latency is measured, by name, in percent of the highest rate.
pub(super) const HALF: (&str, u64) = ("half", 50);
pub(super) const HEAVY: (&str, u64) = ("heavy", 80);

/// Percentiles of a latency, as in the names of figures.
pub(super) const PERCENTILES: [&str; 4] = ["p50", "p99", "p999", "p9999"];

/// The name of the figure for the highest rate of this fleet.
pub(super) fn rate_figure(devices: u64) -> String {
    format!("gateway_{}_check_ins_per_second", label(devices))
}

/// The name of the figure for the growth of the server's memory per device of this fleet.
pub(super) fn memory_figure(devices: u64) -> String {
    format!("gateway_{}_bytes_per_device", label(devices))
}

/// The name of the figure for a percentile under this load, of a known fleet.
pub(super) fn known_fleet_figure(load: &str, percentile: &str) -> String {
    format!("gateway_{load}_load_{percentile}_ms")
}

/// The same for all frames, including the first check-in of every device.
pub(super) fn from_empty_figure(load: &str, percentile: &str) -> String {
    format!("gateway_{load}_load_from_empty_{percentile}_ms")
}

/// Measures the highest rate of this fleet.
pub(super) fn closed_loop(
    environment: &Environment,
    sizes: &Sizes,
    devices: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = environment.serve()?;
    let load = Load {
        poll_ms: sizes.sample_ms,
        ..Load::through_gateways(devices, devices + sizes.check_ins)
    };
    let mut samples = Vec::new();
    let report = load.run(environment, &server, &mut || {
        samples.extend(Sample::take(&server));
        Ok(())
    })?;
    let core_ns = server.core_ns(load.check_ins);
    server.stop()?;
    let rate = known_fleet_rate(&samples, devices, load.check_ins)
        .context("the run ended before its rate could be measured")?;
    let fleet = label(devices);
    figures.add(rate_figure(devices), rate);
    figures.add(
        format!("gateway_{fleet}_from_empty_check_ins_per_second"),
        report.check_ins_per_second,
    );
    figures.add(format!("gateway_{fleet}_server_core_ns"), core_ns);
    let bytes = report.memory_growth_bytes() as f64 / devices as f64;
    figures.add(memory_figure(devices), bytes);
    Ok(())
}

/// Measures latencies at this percentage of the highest rate of the round.
pub(super) fn open_loop(
    environment: &Environment,
    sizes: &Sizes,
    (name, percent): (&str, u64),
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let highest = figures
        .last(&rate_figure(sizes.fleet()))
        .context("the highest rate was not measured")?;
    let offered = highest * percent as f64 / 100.0;
    let report = run_at_rate(environment, sizes.fleet(), offered, sizes.rate_seconds)?;
    if report.saturated {
        figures.note(format!(
            "gateway_{name}_load: the server fell behind in a round, so these latencies include a growing queue"
        ));
    }
    figures.add(format!("gateway_{name}_load_offered_per_second"), offered);
    add_latencies(name, &report, figures);
    Ok(())
}

/// Adds the latencies of a known fleet, if there are any, and those of all frames.
fn add_latencies(name: &str, report: &Report, figures: &mut Figures) {
    match &report.ack_latency_known_ms {
        Some(latency) => {
            for (percentile, milliseconds) in PERCENTILES.into_iter().zip(latency.all()) {
                figures.add(known_fleet_figure(name, percentile), milliseconds);
            }
        }
        None => figures.note(format!(
            "gateway_{name}_load: no frame was sent after every device had checked in once, so the latency of a known \
             fleet is missing"
        )),
    }
    let all = report.ack_latency_ms.all();
    for (percentile, milliseconds) in PERCENTILES.into_iter().zip(all) {
        figures.add(from_empty_figure(name, percentile), milliseconds);
    }
}

/// Runs an empty server at this rate: the first check-in of every device, then further ones for the given time.
pub(super) fn run_at_rate(
    environment: &Environment,
    devices: u64,
    rate: f64,
    seconds: u64,
) -> anyhow::Result<Report> {
    let load = load_at_rate(devices, rate, seconds);
    let server = environment.serve()?;
    let report = load.run(environment, &server, &mut || Ok(()))?;
    server.stop()?;
    Ok(report)
}

/// A load that includes `seconds` of check-ins of a known fleet, whatever the rate is.
fn load_at_rate(devices: u64, rate: f64, seconds: u64) -> Load {
    Load {
        rate: Some(rate),
        ..Load::through_gateways(devices, devices + (rate * seconds as f64) as u64)
    }
}

/// The server's counters at one point in time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Stamp,
    acknowledged: f64,
    devices: f64,
}

impl Sample {
    fn take(server: &ServerProcess<'_>) -> Option<Self> {
        let metrics = server.metrics()?;
        Some(Self {
            at: clock::stamp(),
            acknowledged: sum_of(&metrics, "muster_session_records_acknowledged_total"),
            devices: sum_of(&metrics, "muster_shard_devices"),
        })
    }
}

/// Check-ins per second between the first sample with all devices and the last sample before the end.
fn known_fleet_rate(samples: &[Sample], devices: u64, check_ins: u64) -> Option<f64> {
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

    /// All figures, and the number of notes, of a run with these latencies of a known fleet.
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
    fn latencies_of_a_known_fleet_and_from_empty_are_separate_figures() {
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
        let owned = |all: &[(&str, f64)]| -> Vec<(String, f64)> {
            all.iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect()
        };
        let all = owned(&[expected, from_empty].concat());
        assert_eq!(figures_of(&known), (all, 0));
        assert_eq!(
            figures_of(&Value::Null),
            (owned(&from_empty), 1),
            "with a note"
        );
    }

    #[test]
    fn a_load_at_a_rate_has_the_first_check_ins_in_addition_to_its_duration() {
        assert_eq!(load_at_rate(1_000_000, 1000.0, 15).check_ins, 1_015_000);
    }

    #[test]
    fn the_rate_excludes_first_check_ins_and_the_time_after_the_last_one() {
        let all = samples(&[
            (0, 0.0, 0.0),
            (1, 50.0, 50.0),
            (2, 110.0, 100.0),
            (4, 310.0, 100.0),
            (9, 400.0, 100.0),
        ]);
        assert_eq!(known_fleet_rate(&all, 100, 400), Some(100.0));
        assert_eq!(known_fleet_rate(&all[..3], 100, 400), None);
        assert_eq!(known_fleet_rate(&all, 101, 400), None);
    }
}
