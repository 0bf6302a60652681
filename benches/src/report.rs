//! The tables and the JSON object of a run.

use std::fmt;

use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::measure::Row;
use crate::parts::disk::Flushes;
use crate::parts::{Figures, Name, PartsOptions, Size};

/// The results of a run.
#[derive(Debug)]
pub(crate) struct Report {
    size: Size,
    machine: Machine,
    figures: Figures,
}

impl Report {
    pub(crate) fn new(options: &PartsOptions, machine: Machine, figures: Figures) -> Self {
        Self {
            size: options.size,
            machine,
            figures,
        }
    }

    /// The JSON object.
    pub(crate) fn json(&self) -> Value {
        let machine = &self.machine;
        let rows: Vec<Value> = self.figures.rows.iter().map(row_json).collect();
        let flushes = self.figures.flushes.iter().map(|flushes| {
            let [p50, p99, max] = flushes.percentiles_us();
            json!({
                "bytes": flushes.bytes,
                "flushes": flushes.count(),
                "p50_us": p50,
                "p99_us": p99,
                "max_us": max,
            })
        });
        json!({
            "size": self.size.name(),
            "machine": {
                "cpu": machine.cpu,
                "cores": machine.cores,
                "memory_gib": machine.memory_gib,
                "kernel": machine.kernel,
                "load": machine.load,
            },
            "commit": machine.commit,
            "parts": rows,
            "flushes": flushes.collect::<Vec<_>>(),
            "check_ins_per_second_limit": self.limit().map(|(_, rate)| rate.round()),
        })
    }

    /// The core time in nanoseconds of the parts that every check-in of a gateway passes, and the rate at which they
    /// would keep all cores busy. `None` unless all of these parts were measured.
    fn limit(&self) -> Option<(f64, f64)> {
        let core_ns = |name: Name| {
            let row = self
                .figures
                .rows
                .iter()
                .find(|row| row.part == name && row.case.ends_with('*'))?;
            Some(row.core_ns())
        };
        let sum = Name::CHECK_IN_PATH
            .into_iter()
            .map(core_ns)
            .sum::<Option<f64>>()?;
        Some((sum, self.machine.cores as f64 * 1e9 / sum))
    }
}

fn row_json(row: &Row) -> Value {
    json!({
        "part": row.part.name(),
        "case": row.case,
        "check_ins": row.items(),
        "repeats": row.repeats(),
        "check_ins_per_second": row.rate().round(),
        "spread": row.spread(),
        "core_ns_per_check_in": row.core_ns(),
        "p50_us": row.latency_us().map(|[p50, _]| p50),
        "p99_us": row.latency_us().map(|[_, p99]| p99),
        "result": format!("{:016x}", row.result()),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            out,
            "{}, {} cores, {} GiB, Linux {}, load {} before, commit {}, size {}\n",
            machine.cpu,
            machine.cores,
            machine.memory_gib,
            machine.kernel,
            machine.load,
            machine.commit,
            self.size.name()
        )?;
        let (with_latency, streamed): (Vec<&Row>, Vec<&Row>) =
            (self.figures.rows.iter()).partition(|row| row.latency_us().is_some());
        if !streamed.is_empty() {
            writeln!(out, "{}\n", throughput_table(&streamed))?;
        }
        if !with_latency.is_empty() {
            writeln!(out, "{}\n", latency_table(&with_latency))?;
        }
        for flushes in &self.figures.flushes {
            writeln!(out, "{}", flush_line(flushes))?;
        }
        if let Some((sum, rate)) = self.limit() {
            writeln!(
                out,
                "Sum of the parts marked *: {sum:.0} ns of core time; {:.2} M check-ins/s would saturate {} cores.",
                rate / 1e6,
                machine.cores
            )?;
        }
        Ok(())
    }
}

fn flush_line(flushes: &Flushes) -> String {
    let (bytes, count) = (flushes.bytes, flushes.count());
    let [p50, p99, max] = flushes.percentiles_us();
    format!(
        "Disk between the runs: {bytes} B appended and flushed {count} times: p50 {p50} us, p99 {p99} us, max {max} us."
    )
}

/// Parts that process a stream of check-ins.
fn throughput_table(rows: &[&Row]) -> Table {
    let mut table = markdown([
        "part",
        "case",
        "M check-ins/s",
        "spread",
        "core ns/check-in",
        "runs",
        "result",
    ]);
    for row in rows {
        table.add_row([
            row.part.name().to_owned(),
            row.case.clone(),
            format!("{:.2}", row.rate() / 1e6),
            format!("{:.0} %", row.spread() * 100.0),
            format!("{:.1}", row.core_ns()),
            format!("{} x {}", row.repeats(), row.items()),
            format!("{:08x}", row.result() >> 32),
        ]);
    }
    table
}

/// Parts that a client waits for, with one check-in per operation.
fn latency_table(rows: &[&Row]) -> Table {
    let mut table = markdown([
        "part",
        "case",
        "per second",
        "spread",
        "core us each",
        "p50 us",
        "p99 us",
        "runs",
    ]);
    for row in rows {
        let [p50, p99] = row.latency_us().unwrap_or_default();
        table.add_row([
            row.part.name().to_owned(),
            row.case.clone(),
            format!("{:.0}", row.rate()),
            format!("{:.0} %", row.spread() * 100.0),
            format!("{:.1}", row.core_ns() / 1e3),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            format!("{} x {}", row.repeats(), row.items()),
        ]);
    }
    table
}

/// A Markdown table.
pub(crate) fn markdown<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
