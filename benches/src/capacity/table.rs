//! The same for people.

use std::fmt;

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
        self.knee(out)?;
        for note in self.notes() {
            writeln!(out, "- {note}")?;
        }
        Ok(())
    }
}

impl Outcome {
    fn knee(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.knee.0.is_empty() {
            return Ok(());
        }
        let mut table = markdown([
            "of the highest rate",
            "kept up",
            "offered/s",
            "reached/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
        ]);
        for point in &self.knee.0 {
            table.add_row([
                format!("{} %", point.percent),
                if point.saturated { "NO" } else { "yes" }.to_owned(),
                number(point.offered),
                number(point.reached),
                number(point.latency.p50),
                number(point.latency.p99),
                number(point.latency.p999),
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
