//! The outcome of a capacity run as Markdown tables.

use std::fmt;

use super::gateways::{HALF, HEAVY, PERCENTILES, from_empty_figure, known_fleet_figure};
use super::limits::PACED;
use super::load::Latency;
use super::outcome::{Headline, Outcome};
use crate::parts::Size;
use crate::report::markdown;

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.machine.conditions(&self.file_system, &self.load_after);
        writeln!(out, "{conditions}")?;
        writeln!(
            out,
            "size {}, {} rounds, {:.0} s; both ends share the cores, every ack follows a sync, every run is verified\n",
            self.size.name(),
            self.rounds,
            self.seconds,
        )?;
        if self.size == Size::Quick {
            writeln!(out, "QUICK: figures mean little\n")?;
        }
        let mut table = markdown(["ratio", "formula", "value"]);
        for Headline {
            name,
            value,
            formula,
        } in self.headlines()
        {
            let value = cell(value);
            table.add_row([name.to_owned(), formula, value]);
        }
        writeln!(out, "{table}\n")?;
        let mut table = markdown(["figure", "rounds", "median", "spread"]);
        for series in self.figures.all() {
            table.add_row([
                series.name.clone(),
                series.values.len().to_string(),
                number(series.median()),
                format!("{:.0} %", series.spread() * 100.0),
            ]);
        }
        writeln!(out, "{table}\n")?;
        self.latencies(out)?;
        self.knee(out)?;
        for note in self.notes() {
            writeln!(out, "- {note}")?;
        }
        Ok(())
    }
}

impl Outcome {
    /// Latencies under load and of the disk, as medians of the rounds.
    fn latencies(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self
            .figures
            .get(&from_empty_figure(HALF.0, "p99"))
            .is_none()
        {
            return Ok(());
        }
        let median = |name: &str| self.figures.get(name).map(|series| series.median());
        let mut table = markdown([
            "latency",
            "scope",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "p99.99 ms",
        ]);
        for (load, percent) in [HALF, HEAVY] {
            let load_name = format!("ack at {percent} % of the highest rate");
            let known =
                PERCENTILES.map(|percentile| cell(median(&known_fleet_figure(load, percentile))));
            let all =
                PERCENTILES.map(|percentile| cell(median(&from_empty_figure(load, percentile))));
            for (scope, values) in [
                ("known fleet", known),
                ("all frames, from an empty server", all),
            ] {
                table.add_row(
                    [load_name.clone(), scope.to_owned()]
                        .into_iter()
                        .chain(values),
                );
            }
        }
        let disk = PACED.map(|name| cell(median(name).map(|microseconds| microseconds / 1000.0)));
        let name = [
            "disk, before and after half load",
            "append of 150 kB and sync every 4 ms",
        ]
        .map(str::to_owned);
        table.add_row(name.into_iter().chain(disk));
        writeln!(out, "{table}\n")
    }

    fn knee(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.knee.0.is_empty() {
            return Ok(());
        }
        let mut table = markdown([
            "of the highest rate",
            "sustained",
            "offered/s",
            "reached/s",
            "known fleet: p50 ms",
            "p99 ms",
            "p99.9 ms",
        ]);
        for point in &self.knee.0 {
            let latency =
                |percentile: fn(&Latency) -> f64| cell(point.latency.as_ref().map(percentile));
            table.add_row([
                format!("{} %", point.percent),
                if point.saturated { "NO" } else { "yes" }.to_owned(),
                number(point.offered),
                number(point.reached),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                latency(|latency| latency.p999),
            ]);
        }
        writeln!(out, "{table}\n")
    }
}

/// A value in a table, or a dash.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// Formats a number with three significant digits, or as an integer if it is larger.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let texts = [1_234_567.8, 45.67, 3.456, 0.1987].map(number);
        assert_eq!(texts, ["1234568", "45.7", "3.46", "0.199"]);
    }
}
