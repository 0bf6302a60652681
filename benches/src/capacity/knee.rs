//! The knee: runs at increasing rates, once after the rounds, to find where the server falls behind.
//!
//! The knee is the highest rate that the server sustained, among the rates below the first that it did not. A rate that
//! saturates the server is tried again, because a short stall of the machine makes any server fall behind. Latencies
//! are those of a known fleet, as in the rounds.

use anyhow::Context;
use serde_json::{Value, json};

use super::environment::Environment;
use super::figures::Figures;
use super::gateways;
use super::load::Latency;
use super::sizes::Sizes;

/// The result at one rate.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) percent: u64,
    pub(super) offered: f64,
    pub(super) reached: f64,
    /// The latency of a known fleet.
    pub(super) latency: Option<Latency>,
    pub(super) saturated: bool,
}

/// The results, in the order of their rates.
#[derive(Clone, Debug, Default)]
pub(super) struct Knee(pub(super) Vec<Point>);

pub(super) fn sweep(
    environment: &Environment,
    sizes: &Sizes,
    figures: &mut Figures,
) -> anyhow::Result<Knee> {
    let name = gateways::rate_figure(sizes.fleet());
    let highest = figures
        .get(&name)
        .context("the highest rate was not measured")?
        .median();
    let mut points = Vec::new();
    for percent in sizes.knee {
        let offered = highest * *percent as f64 / 100.0;
        let run = || gateways::run_at_rate(environment, sizes.fleet(), offered, sizes.knee_seconds);
        let mut report = run()?;
        if report.saturated {
            report = run()?;
        }
        points.push(Point {
            percent: *percent,
            offered,
            reached: report.check_ins_per_second,
            latency: report.ack_latency_known_ms,
            saturated: report.saturated,
        });
    }
    let knee = Knee(points);
    if knee.rate().is_none() {
        figures.note("knee: the server fell behind even at the lowest rate");
    }
    Ok(knee)
}

impl Knee {
    /// The knee in check-ins per second; `None` if the server fell behind at the lowest rate.
    pub(super) fn rate(&self) -> Option<f64> {
        let sustained = self.0.iter().take_while(|point| !point.saturated);
        sustained.last().map(|point| point.offered)
    }

    pub(super) fn json(&self) -> Value {
        let points = self.0.iter().map(|point| {
            let latency = |percentile: fn(&Latency) -> f64| point.latency.as_ref().map(percentile);
            json!({
                "percent": point.percent,
                "offered_per_second": point.offered.round(),
                "reached_per_second": point.reached.round(),
                "p50_ms": latency(|latency| latency.p50),
                "p99_ms": latency(|latency| latency.p99),
                "p999_ms": latency(|latency| latency.p999),
                "saturated": point.saturated,
            })
        });
        json!({
            "check_ins_per_second": self.rate().map(f64::round),
            "points": points.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knee(saturated: &[bool]) -> Knee {
        let latency = Latency {
            p50: 1.0,
            p99: 2.0,
            p999: 3.0,
            p9999: 4.0,
        };
        let point = |(number, saturated): (usize, &bool)| Point {
            percent: 10 * number as u64,
            offered: number as f64,
            reached: number as f64,
            latency: (number > 0).then_some(latency),
            saturated: *saturated,
        };
        Knee(saturated.iter().enumerate().map(point).collect())
    }

    #[test]
    fn the_knee_is_below_the_first_rate_that_saturates_the_server() {
        assert_eq!(knee(&[false, false, true, false]).rate(), Some(1.0));
        assert_eq!(knee(&[false, false]).rate(), Some(1.0));
        assert_eq!(knee(&[true, false]).rate(), None);
    }

    #[test]
    fn a_point_without_a_known_fleet_has_no_latency() {
        let json = knee(&[false, false]).json();
        let p99_ms = |point: usize| json["points"][point]["p99_ms"].as_f64();
        assert_eq!((p99_ms(0), p99_ms(1)), (None, Some(2.0)));
    }
}
