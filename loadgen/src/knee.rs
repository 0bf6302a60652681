//! The knee: the highest rate that a server takes with good latencies.
//!
//! An open loop at one rate after the other, on the same connections: doubled until one is bad, then between the
//! best good one and the lowest bad one until they are close. A rate is good if its p99 from when frames were due is
//! low enough and what was offered was sent and acknowledged in time; it is bad if it was not so twice, since a
//! machine that others share has its moments. Bounds: a number of points and a time. The
//! fleet is settled first, and all of it is verified in the end.

use std::{sync::Arc, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets};
use muster_client::ClientError;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use muster_testkit::fleet::Part;

use crate::{
    cli::{CHECK_INS_MAX, KneeArguments},
    driver::{Connections, Live, Load, Measured},
    error::RunError,
    profile::Profile,
    report::{Limit, Report, grouped},
    run::{Order, plan, prepare, runtime},
};

/// Rates that are tried, at most.
const POINTS_MAX: usize = 64;

/// Durable check-ins must be this share of what was offered. The last acks come after the last second.
const ACHIEVED_MIN: f64 = 0.99;

/// One rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Check-ins a second that were offered.
    pub rate: f64,
    /// Check-ins a second that were durable, to the last ack.
    pub achieved: f64,
    /// Check-ins that were due and not sent.
    pub held_back: u64,
    /// Latencies in milliseconds, p50, p99, p99.9 and the highest.
    pub latency_ms: [f64; 4],
    /// What kept it from being good.
    pub limit: Option<Limit>,
    /// Whether the server kept up.
    pub is_good: bool,
}

/// Which rates to try.
#[derive(Debug)]
struct Search {
    good: Option<f64>,
    bad: Option<f64>,
    from: f64,
    to: f64,
    precision: f64,
}

impl Search {
    /// The next rate, unless the knee is found.
    fn next(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (None, None) => Some(self.from),
            (Some(good), None) => (good < self.to).then(|| (good * 2.0).min(self.to)),
            // Halved, until even one check-in a second is too much.
            (None, Some(bad)) => (bad > 1.0).then_some(bad / 2.0),
            (Some(good), Some(bad)) => {
                (bad > good * (1.0 + self.precision)).then(|| f64::midpoint(good, bad))
            }
        }
    }

    fn note(&mut self, rate: f64, is_good: bool) {
        if is_good {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Knee {
    /// The rates, in the order in which they were tried.
    pub points: Vec<Point>,
    /// The highest good one.
    pub rate: Option<f64>,
    /// Why the search ended.
    pub ended: &'static str,
    p99_max: f64,
    /// The whole of it as a run, with its verdict.
    pub report: Report,
}

/// Finds the knee.
///
/// # Errors
/// Whatever keeps it from having a result. Counts that differ are a result.
pub fn find(arguments: &KneeArguments) -> Result<Knee, RunError> {
    if arguments.from > arguments.to {
        return Err(RunError::Usage("--from is above --to".to_owned()));
    }
    let (prepared, members) = prepare(order(arguments))?;
    let plan = plan(prepared.order());
    let found = runtime(arguments.environment.threads)?.block_on(async {
        let mut connections = Connections::open(plan, members).await?;
        connections.send_inventories().await?;
        let settled = connections.settle().await?;
        sweep(arguments, connections, settled).await
    })?;
    let (points, ended, parts, measured) = found;
    let good = points
        .iter()
        .filter(|point| point.is_good)
        .map(|point| point.rate);
    Ok(Knee {
        rate: good.reduce(f64::max),
        points,
        ended,
        p99_max: arguments.p99_max,
        report: prepared.report(&parts, measured)?,
    })
}

fn order(arguments: &KneeArguments) -> Order {
    let parameters = json!({
        "from": arguments.from,
        "to": arguments.to,
        "p99_max_ms": arguments.p99_max,
        "point_seconds": arguments.point_seconds,
        "precision": arguments.precision,
    });
    Order {
        environment: arguments.environment.clone(),
        fleet: arguments.fleet.clone(),
        shape: arguments.fleet.shape(),
        workload: "knee",
        check_ins: CHECK_INS_MAX,
        load: Load::closed(),
        cadence: None,
        settle: true,
        parameters: parameters.as_object().cloned().unwrap_or_else(Map::new),
        phases: Vec::new(),
    }
}

type Swept = (Vec<Point>, &'static str, Vec<Part>, Measured);

async fn sweep(
    arguments: &KneeArguments,
    mut connections: Connections,
    settled: u64,
) -> Result<Swept, ClientError> {
    let before = connections.progress();
    let deadline = Instant::now() + Duration::from_secs_f64(arguments.time_max);
    let mut search = Search {
        good: None,
        bad: None,
        from: arguments.from,
        to: arguments.to,
        precision: arguments.precision,
    };
    let mut all = Measured {
        settled,
        before,
        ..Measured::default()
    };
    let mut points: Vec<Point> = Vec::new();
    let ended = loop {
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
            storm: None,
        };
        connections.share(CHECK_INS_MAX);
        let measured = connections
            .measure(&load, Arc::new(Live::default()))
            .await?;
        let point = Point::of(rate, &measured, arguments);
        let was_tried = points
            .last()
            .is_some_and(|last| last.rate.total_cmp(&rate).is_eq());
        if point.is_good || was_tried {
            search.note(rate, point.is_good);
        }
        points.push(point);
        add(&mut all, measured);
    };
    let (parts, progress, rejections) = connections.close().await?;
    (all.progress, all.rejections) = (progress, rejections);
    Ok((points, ended, parts, all))
}

/// The points together are one run, as far as counts go.
fn add(all: &mut Measured, one: Measured) {
    all.offered += one.offered;
    all.sent += one.sent;
    all.held_back += one.held_back;
    all.acked += one.acked;
    all.seconds += one.seconds;
    all.waiting_seconds += one.waiting_seconds;
    all.late.add(&one.late);
    let add = |all: Option<f64>, one: Option<f64>| Some(all.unwrap_or_default() + one?);
    all.generator_core_seconds = add(all.generator_core_seconds, one.generator_core_seconds);
    all.server_core_seconds = add(all.server_core_seconds, one.server_core_seconds);
    if all.started.is_zero() {
        all.started = one.started;
    }
    all.series.append(&one.series);
}

impl Point {
    fn of(rate: f64, measured: &Measured, arguments: &KneeArguments) -> Self {
        let latency = measured.series.latency();
        let latency_ms = [0.5, 0.99, 0.999, 1.0].map(|quantile| latency.quantile_ms(quantile));
        let seconds = measured.seconds.max(f64::MIN_POSITIVE);
        // Frames of the schedule's last interval are not acknowledged before it ends.
        let in_time = arguments.point_seconds / ACHIEVED_MIN + arguments.p99_max / 1000.0;
        let is_complete = measured.held_back == 0 && measured.seconds <= in_time;
        let is_good = is_complete && latency_ms[1] <= arguments.p99_max;
        let generators = measured.late.is_generators();
        Self {
            rate,
            achieved: measured.acked as f64 / seconds,
            held_back: measured.held_back,
            latency_ms,
            limit: (!is_good).then_some(if generators {
                Limit::Generator
            } else {
                Limit::Server
            }),
            is_good,
        }
    }
}

impl Knee {
    /// Who keeps the rate from being higher, by the worst of the rates that were just too much.
    pub fn limit(&self) -> Option<Limit> {
        let bad = self.points.iter().filter(|point| !point.is_good);
        bad.min_by(|a, b| a.rate.total_cmp(&b.rate))?.limit
    }

    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        let mut json = self.report.to_json();
        json["knee_per_second"] = self.rate.into();
        json["knee_ended_by"] = self.ended.into();
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
            "THE GENERATOR WAS THE LIMIT: at the lowest rate that was too much, its own threads sent frames late; \
             the server may take more."
                .to_owned()
        })
    }

    /// The table for people, the knee last.
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
            row.push(Cell::new(if point.is_good { "good" } else { "too much" }));
            row.push(Cell::new(point.limit.map_or("", Limit::name)));
            table.add_row(row);
        }
        let knee = match self.rate {
            Some(rate) => format!(
                "The knee: {} check-ins/s with p99 at most {} ms (ended by: {}).",
                grouped(rate.round() as u64),
                self.p99_max,
                self.ended
            ),
            None => "No rate that was tried was good.".to_owned(),
        };
        let verified = match &self.report.verdict {
            None => "Not verified: --no-verify.",
            Some(_) if self.report.is_verified() => "VERIFIED: every count equals the prediction.",
            Some(_) => "NOT VERIFIED: the server's counts differ.",
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

    /// Searches a server that is good up to this rate; returns what was found and how often was tried.
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
            search.note(rate, rate <= knee);
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
    fn a_server_that_takes_all_or_nothing_ends_the_search() {
        assert_eq!(search(1e9, 10_000.0, 50_000.0).0, Some(50_000.0));
        assert_eq!(search(0.0, 10_000.0, 50_000.0).0, None);
    }
}
