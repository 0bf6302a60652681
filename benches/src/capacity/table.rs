//! The same for people.

use std::fmt;

use super::gateways::{HALF, HEAVY, PERCENTILES, from_empty_of, known_of};
use super::limits::PACED;
use super::load::Latency;
use super::outcome::{Headline, Outcome};
use crate::parts::Size;
use crate::report::markdown;

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            out,
            "{}, {} cores, {} GiB, Linux {}, {}, load {} before and {} after, commit {}",
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            self.file_system,
            machine.load,
            self.load_after,
            machine.commit,
        )?;
        writeln!(
            out,
            "size {}, {} rounds, {:.0} s; both ends on the same cores, a sync before every ack, every run verified\n",
            self.size.name(),
            self.rounds,
            self.seconds,
        )?;
        if self.size == Size::Quick {
            writeln!(out, "QUICK: figures mean little\n")?;
        }
        let mut table = markdown(["ratio", "made of", "value"]);
        for Headline {
            name,
            value,
            made_of,
        } in self.headlines()
        {
            let value = value.map_or_else(|| "-".to_owned(), number);
            table.add_row([name.to_owned(), made_of, value]);
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
    /// Latencies under load, medians of the rounds, beside those of the disk.
    fn latencies(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.figures.get(&from_empty_of(HALF.0, "p99")).is_none() {
            return Ok(());
        }
        let median = |name: &str| self.figures.get(name).map(|series| series.median());
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        let mut table = markdown(["latency", "of", "p50 ms", "p99 ms", "p99.9 ms", "p99.99 ms"]);
        for (load, percent) in [HALF, HEAVY] {
            let load_name = format!("ack at {percent} % of the highest rate");
            let known = PERCENTILES.map(|percentile| shown(median(&known_of(load, percentile))));
            let all = PERCENTILES.map(|percentile| shown(median(&from_empty_of(load, percentile))));
            for (of, values) in [
                ("a fleet the server knows", known),
                ("all frames, from an empty server on", all),
            ] {
                table.add_row([load_name.clone(), of.to_owned()].into_iter().chain(values));
            }
        }
        let disk = PACED.map(|name| shown(median(name).map(|microseconds| microseconds / 1000.0)));
        let name = [
            "disk beside half load",
            "append of 150 kB and sync, each 4 ms",
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
            "kept up",
            "offered/s",
            "reached/s",
            "known fleet: p50 ms",
            "p99 ms",
            "p99.9 ms",
        ]);
        for point in &self.knee.0 {
            let latency = |of: fn(&Latency) -> f64| {
                let value = point.latency.as_ref().map(of);
                value.map_or_else(|| "-".to_owned(), number)
            };
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

/// Three digits at least, and no digits behind the point where there are more before it.
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
    fn numbers_have_three_digits_that_count() {
        let shown = [1_234_567.8, 45.67, 3.456, 0.1987].map(number);
        assert_eq!(shown, ["1234568", "45.7", "3.46", "0.199"]);
    }
}
