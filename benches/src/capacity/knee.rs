//! Where the server falls behind: runs at rising rates, once, after the rounds.
//!
//! The knee is the highest rate that was kept up with, of those below the first that was not. A rate counts as too
//! much if it was so twice: a machine that pauses for a moment makes any server fall behind. Latencies are those of a
//! known fleet, as in the rounds.

use anyhow::Context;
use serde_json::{Value, json};

use super::environment::Environment;
use super::figures::Figures;
use super::gateways;
use super::load::Latency;
use super::sizes::Sizes;

/// A run at one rate.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) percent: u64,
    pub(super) offered: f64,
    pub(super) reached: f64,
    /// Of a known fleet.
    pub(super) latency: Option<Latency>,
    pub(super) saturated: bool,
}

/// All of them, from the lowest rate on.
#[derive(Clone, Debug, Default)]
pub(super) struct Knee(pub(super) Vec<Point>);

pub(super) fn sweep(
    environment: &Environment,
    sizes: &Sizes,
    figures: &mut Figures,
) -> anyhow::Result<Knee> {
    let name = gateways::rate_of(sizes.fleet());
    let highest = figures
        .get(&name)
        .context("the highest rate comes first")?
        .median();
    let mut points = Vec::new();
    for percent in sizes.knee {
        let offered = highest * *percent as f64 / 100.0;
        let offer = || gateways::offer(environment, sizes.fleet(), offered, sizes.knee_seconds);
        let mut report = offer()?;
        if report.saturated {
            report = offer()?;
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
        figures.note("knee: the server fell behind at the lowest rate already");
    }
    Ok(knee)
}

impl Knee {
    /// Check-ins a second; none if the server fell behind at once.
    pub(super) fn rate(&self) -> Option<f64> {
        let kept_up = self.0.iter().take_while(|point| !point.saturated);
        kept_up.last().map(|point| point.offered)
    }

    pub(super) fn json(&self) -> Value {
        let points = self.0.iter().map(|point| {
            let latency = |of: fn(&Latency) -> f64| point.latency.as_ref().map(of);
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
    fn the_knee_lies_below_the_first_rate_that_was_too_much() {
        assert_eq!(knee(&[false, false, true, false]).rate(), Some(1.0));
        assert_eq!(knee(&[false, false]).rate(), Some(1.0));
        assert_eq!(knee(&[true, false]).rate(), None);
    }

    #[test]
    fn a_point_without_a_known_fleet_has_no_latency() {
        let json = knee(&[false, false]).json();
        let of = |point: usize| json["points"][point]["p99_ms"].as_f64();
        assert_eq!((of(0), of(1)), (None, Some(2.0)));
    }
}
