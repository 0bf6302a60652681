//! The knee: the highest rate at which the server's p99 latency stays below a limit.
//!
//! Offers one rate after the other in an open loop, on the same connections. The rate is doubled until it fails, and
//! then bisected between the highest that passed and the lowest that failed. A rate passes if its p99, measured from
//! when frames were due, is within the limit, and everything offered was sent and acknowledged in time. Otherwise it is
//! tried again, because the latency of a shared machine varies, and fails the second time. Bounds: a number of points
//! and a time. The search starts with a warm-up, and the counts are verified at the end.

use std::{sync::Arc, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets};
use muster_client::ClientError;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use muster_testkit::fleet::FleetPart;

use crate::{
    cli::{CHECK_INS_MAX, KneeArguments},
    driver::{Connections, LiveCounters, Load, Measurements},
    error::RunError,
    profile::Profile,
    report::{Limit, Report, grouped},
    run::{RunPlan, prepare, runtime, target},
};

/// The maximum number of points.
const POINTS_MAX: usize = 64;

/// The minimum share of the offered check-ins that must be durable in time. The last acks arrive after the last second.
const ACHIEVED_MIN: f64 = 0.99;

/// The result for one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Check-ins offered per second.
    pub rate: f64,
    /// Durable check-ins per second, until the last ack.
    pub achieved: f64,
    /// Check-ins that were due but not sent.
    pub held_back: u64,
    /// The latencies p50, p99, p99.9 and max, in milliseconds.
    pub latency_ms: [f64; 4],
    /// What kept the rate from being good.
    pub limit: Option<Limit>,
    /// Whether the rate is good.
    pub is_good: bool,
}

/// The state of the search for the knee.
#[derive(Debug)]
struct Search {
    good: Option<f64>,
    bad: Option<f64>,
    from: f64,
    to: f64,
    precision: f64,
}

impl Search {
    /// The next rate to try; `None` if the knee is found.
    fn next(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (None, None) => Some(self.from),
            (Some(good), None) => (good < self.to).then(|| (good * 2.0).min(self.to)),
            // Halved until even one check-in per second is too much.
            (None, Some(bad)) => (bad > 1.0).then_some(bad / 2.0),
            (Some(good), Some(bad)) => {
                (bad > good * (1.0 + self.precision)).then(|| f64::midpoint(good, bad))
            }
        }
    }

    fn record(&mut self, rate: f64, is_good: bool) {
        if is_good {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
    }
}

/// The result of the search.
#[derive(Debug)]
pub struct Knee {
    /// The points, in the order in which they were tried.
    pub points: Vec<Point>,
    /// The highest good rate.
    pub rate: Option<f64>,
    /// Why the search ended.
    pub ended_by: &'static str,
    p99_max: f64,
    /// All points as one run, with its verdict.
    pub report: Report,
}

/// Finds the knee.
///
/// # Errors
/// If the run has no result. Counts that differ are a result.
pub fn find(arguments: &KneeArguments) -> Result<Knee, RunError> {
    if arguments.from > arguments.to {
        return Err(RunError::Usage("--from is above --to".to_owned()));
    }
    let (prepared, specs) = prepare(plan(arguments))?;
    let target = target(prepared.plan());
    let found = runtime(arguments.environment.threads)?.block_on(async {
        let mut connections = Connections::open(target, specs).await?;
        connections.send_inventories().await?;
        let warm_up_check_ins = connections.warm_up().await?;
        search(arguments, connections, warm_up_check_ins).await
    })?;
    let (points, ended_by, parts, measured) = found;
    let good = points
        .iter()
        .filter(|point| point.is_good)
        .map(|point| point.rate);
    Ok(Knee {
        rate: good.reduce(f64::max),
        points,
        ended_by,
        p99_max: arguments.p99_max,
        report: prepared.report(&parts, measured)?,
    })
}

fn plan(arguments: &KneeArguments) -> RunPlan {
    let parameters = json!({
        "from": arguments.from,
        "to": arguments.to,
        "p99_max_ms": arguments.p99_max,
        "point_seconds": arguments.point_seconds,
        "precision": arguments.precision,
    });
    RunPlan {
        environment: arguments.environment.clone(),
        fleet: arguments.fleet.clone(),
        shape: arguments.fleet.shape(),
        workload: "knee",
        check_ins: CHECK_INS_MAX,
        load: Load::closed(),
        cadence: None,
        warm_up: true,
        parameters: parameters.as_object().cloned().unwrap_or_else(Map::new),
        phases: Vec::new(),
    }
}

type SearchResult = (Vec<Point>, &'static str, Vec<FleetPart>, Measurements);

async fn search(
    arguments: &KneeArguments,
    mut connections: Connections,
    warm_up_check_ins: u64,
) -> Result<SearchResult, ClientError> {
    let before = connections.progress();
    let deadline = Instant::now() + Duration::from_secs_f64(arguments.time_max);
    let mut search = Search {
        good: None,
        bad: None,
        from: arguments.from,
        to: arguments.to,
        precision: arguments.precision,
    };
    let mut total = Measurements {
        warm_up_check_ins,
        before,
        ..Measurements::default()
    };
    let mut points: Vec<Point> = Vec::new();
    let ended_by = loop {
        let Some(rate) = search.next() else {
            break "found";
        };
        if points.len() >= POINTS_MAX {
            break "points";
        }
        if Instant::now() >= deadline {
            break "time";
        }
        let load = Load {
            profile: Profile::of_rate(Some(rate)),
            time_max: Some(Duration::from_secs_f64(arguments.point_seconds)),
            reconnect_within: None,
        };
        connections.distribute(CHECK_INS_MAX);
        let measured = connections
            .measure(&load, Arc::new(LiveCounters::default()))
            .await?;
        let point = Point::of(rate, &measured, arguments);
        let is_second_try = points
            .last()
            .is_some_and(|last| last.rate.total_cmp(&rate).is_eq());
        if point.is_good || is_second_try {
            search.record(rate, point.is_good);
        }
        points.push(point);
        add(&mut total, measured);
    };
    let (parts, progress, rejections) = connections.close().await?;
    (total.progress, total.rejections) = (progress, rejections);
    Ok((points, ended_by, parts, total))
}

/// Adds the measurements of a point to the total. For the counts, all points are one run.
fn add(total: &mut Measurements, one: Measurements) {
    total.offered += one.offered;
    total.sent += one.sent;
    total.held_back += one.held_back;
    total.acked += one.acked;
    total.seconds += one.seconds;
    total.waiting_seconds += one.waiting_seconds;
    total.late.add(&one.late);
    let add = |total: Option<f64>, one: Option<f64>| Some(total.unwrap_or_default() + one?);
    total.generator_core_seconds = add(total.generator_core_seconds, one.generator_core_seconds);
    total.server_core_seconds = add(total.server_core_seconds, one.server_core_seconds);
    if total.started.is_zero() {
        total.started = one.started;
    }
    total.series.append(&one.series);
}

impl Point {
    fn of(rate: f64, measured: &Measurements, arguments: &KneeArguments) -> Self {
        let latency = measured.series.latency();
        let latency_ms = [0.5, 0.99, 0.999, 1.0].map(|quantile| latency.quantile_ms(quantile));
        let seconds = measured.seconds.max(f64::MIN_POSITIVE);
        // The frames of the last interval are acknowledged after the schedule ends.
        let seconds_max = arguments.point_seconds / ACHIEVED_MIN + arguments.p99_max / 1000.0;
        let is_complete = measured.held_back == 0 && measured.seconds <= seconds_max;
        let is_good = is_complete && latency_ms[1] <= arguments.p99_max;
        let is_generator_limited = measured.late.is_generator_limited();
        Self {
            rate,
            achieved: measured.acked as f64 / seconds,
            held_back: measured.held_back,
            latency_ms,
            limit: (!is_good).then_some(if is_generator_limited {
                Limit::Generator
            } else {
                Limit::Server
            }),
            is_good,
        }
    }
}

impl Knee {
    /// What keeps the rate from being higher: the limit of the lowest bad rate.
    pub fn limit(&self) -> Option<Limit> {
        let bad = self.points.iter().filter(|point| !point.is_good);
        bad.min_by(|a, b| a.rate.total_cmp(&b.rate))?.limit
    }

    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        let mut json = self.report.to_json();
        json["knee_per_second"] = self.rate.into();
        json["knee_ended_by"] = self.ended_by.into();
        json["limited_by"] = self.limit().map(Limit::name).into();
        json["warning"] = self.warning().into();
        let points = self.points.iter().map(|point| {
            json!({
                "rate": point.rate,
                "achieved": point.achieved,
                "held_back": point.held_back,
                "p50_ms": point.latency_ms[0],
                "p99_ms": point.latency_ms[1],
                "p999_ms": point.latency_ms[2],
                "max_ms": point.latency_ms[3],
                "limited_by": point.limit.map(Limit::name),
                "good": point.is_good,
            })
        });
        json["points"] = points.collect();
        json
    }

    fn warning(&self) -> Option<String> {
        (self.limit() == Some(Limit::Generator)).then(|| {
            "THE GENERATOR WAS THE LIMIT: at the lowest bad rate, its own threads sent frames late; the server may \
             take more."
                .to_owned()
        })
    }

    /// The report as text: a table, the knee, and the verdict.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let header = [
            "offered/s",
            "durable/s",
            "held back",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "",
            "limit",
        ];
        table.set_header(header.map(|name| right(name.to_owned())));
        for point in &self.points {
            let mut row = vec![
                right(grouped(point.rate.round() as u64)),
                right(grouped(point.achieved.round() as u64)),
                right(grouped(point.held_back)),
            ];
            row.extend(point.latency_ms.map(|ms| right(format!("{ms:.2}"))));
            row.push(Cell::new(if point.is_good { "good" } else { "bad" }));
            row.push(Cell::new(point.limit.map_or("", Limit::name)));
            table.add_row(row);
        }
        let knee = match self.rate {
            Some(rate) => format!(
                "The knee: {} check-ins/s with a p99 of at most {} ms (search ended by: {}).",
                grouped(rate.round() as u64),
                self.p99_max,
                self.ended_by
            ),
            None => "No rate was good.".to_owned(),
        };
        let verified = match &self.report.verdict {
            None => "Not verified: --no-verify.",
            Some(_) if self.report.is_verified() => {
                "VERIFIED: all counts match the expected counts."
            }
            Some(_) => "NOT VERIFIED: the server's counts differ from the expected counts.",
        };
        let warning = self
            .warning()
            .map_or_else(String::new, |text| format!("{text}\n"));
        format!("{table}\n{warning}{knee}\n{verified}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with a server that is good up to the rate `knee`; returns the result and the number of rates tried.
    fn search(knee: f64, from: f64, to: f64) -> (Option<f64>, usize) {
        let mut search = Search {
            good: None,
            bad: None,
            from,
            to,
            precision: 0.05,
        };
        let mut tried = 0;
        while let Some(rate) = search.next() {
            search.record(rate, rate <= knee);
            tried += 1;
            assert!(tried < 100, "a search ends");
        }
        (search.good, tried)
    }

    #[test]
    fn a_knee_is_found_from_below_and_from_above() {
        for (knee, from) in [
            (123_456.0, 10_000.0),
            (3000.0, 10_000.0),
            (10_000.0, 10_000.0),
        ] {
            let (found, tried) = search(knee, from, 1e8);
            let found = found.unwrap();
            assert!(found <= knee && found >= knee / 1.06, "{found} of {knee}");
            assert!(tried < 20, "{tried}");
        }
    }

    #[test]
    fn the_search_ends_if_every_rate_or_no_rate_is_good() {
        assert_eq!(search(1e9, 10_000.0, 50_000.0).0, Some(50_000.0));
        assert_eq!(search(0.0, 10_000.0, 50_000.0).0, None);
    }
}
