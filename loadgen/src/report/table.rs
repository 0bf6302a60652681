//! The report as text.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value;

use super::{DIFFERENCES_SHOWN, Report, reason_name, samples};
use crate::{error::printable, verify::Verdict};

/// The whole report, section by section.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for section in [run(report), latency(report), phases(report), counts(report)] {
        if section.row_count() == 0 {
            continue;
        }
        let _ = writeln!(text, "{section}");
    }
    known_latency(&mut text, report);
    rejections(&mut text, report);
    if let Some((tenant, other)) = &report.other {
        let (acked, rate) = (
            grouped(other.measured.acked),
            other.check_ins_per_second().round(),
        );
        let verdict = if other.is_verified() {
            "verified"
        } else {
            "not verified"
        };
        let (tenant, rate) = (printable(tenant), grouped(rate as u64));
        let _ = writeln!(
            text,
            "Tenant {tenant}: {acked} check-ins acknowledged, {rate} a second, {verdict}."
        );
    }
    limit(&mut text, report);
    match &report.verdict {
        Some(verdict) => verdict_lines(&mut text, verdict),
        None => text.push_str("Not verified: --no-verify.\n"),
    }
    text
}

fn new_table(header: [&str; 2]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([Cell::new(header[0]), right(header[1])]);
    table
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn run(report: &Report) -> Table {
    let (setup, measured) = (&report.setup, &report.measured);
    let mut table = new_table([setup.workload, setup.mode]);
    let mut row = |name: &str, value: String| {
        table.add_row([Cell::new(name), right(value)]);
    };
    row("devices", grouped(setup.devices));
    row("connections", grouped(setup.connections as u64));
    row("seed", setup.shape.seed.to_string());
    if let Some(timing) = setup.timing {
        row(
            "seconds of the scenario per second",
            format!("{}", timing.compress),
        );
    }
    if measured.held_back > 0 {
        row("check-ins offered", grouped(measured.offered));
        row("check-ins held back", grouped(measured.held_back));
    }
    row("check-ins sent", grouped(measured.sent));
    row("check-ins acknowledged", grouped(measured.acked));
    for (name, count) in report.answers() {
        row(&format!("  {name}"), grouped(count));
    }
    if measured.inventories > 0 {
        row("inventories", grouped(measured.inventories));
    }
    if measured.warm_up_check_ins > 0 {
        row(
            "check-ins of the warm-up",
            grouped(measured.warm_up_check_ins),
        );
    }
    row("seconds", format!("{:.3}", measured.seconds));
    if let Some(rate) = setup.rate {
        row("check-ins offered per second", grouped(rate.round() as u64));
    }
    row(
        "durable check-ins per second",
        grouped(report.check_ins_per_second().round() as u64),
    );
    let progress = &measured.progress;
    for (name, count) in [
        ("reconnects", report.reconnects()),
        ("frames resent", progress.frames_resent),
        ("busy frames", progress.busy),
    ] {
        if count > 0 {
            row(name, grouped(count));
        }
    }
    resource_usage(&mut row, report);
    table
}

/// The CPU time and memory, as far as they are known.
fn resource_usage(row: &mut impl FnMut(&str, String), report: &Report) {
    let (setup, measured) = (&report.setup, &report.measured);
    for (name, seconds) in [
        (
            "CPU ns per check-in, generator",
            measured.generator_core_seconds,
        ),
        ("CPU ns per check-in, server", measured.server_core_seconds),
    ] {
        if let Some(seconds) = seconds.filter(|_| measured.acked > 0) {
            row(
                name,
                format!("{:.0}", seconds * 1e9 / measured.acked as f64),
            );
        }
    }
    if let Some(bytes) = report.server_rss_bytes {
        row("resident memory of the server, MiB", grouped(bytes >> 20));
    }
    if let Some((after, before)) = report.server_rss_bytes.zip(report.server_rss_base_bytes)
        && setup.devices > 0
    {
        let bytes = after.saturating_sub(before) / setup.devices;
        row("  increase in bytes per device", grouped(bytes));
    }
}

fn latency(report: &Report) -> Table {
    let latency = report.latency();
    let mut table = new_table(["ack latency of a frame, after fsync", "ms"]);
    for (name, quantile) in [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("p99.99", 0.9999),
    ] {
        table.add_row([
            Cell::new(name),
            right(format!("{:.2}", latency.quantile_ms(quantile))),
        ]);
    }
    table.add_row([Cell::new("max"), right(format!("{:.2}", latency.max_ms()))]);
    if report.is_saturated() {
        let note = "saturated: below the requested rate, so these are waits in a growing queue";
        table.add_row([Cell::new(note)]);
    }
    table
}

/// The latencies without those of first check-ins, on one line.
fn known_latency(text: &mut String, report: &Report) {
    let Some(latency) = report.known_latency() else {
        return;
    };
    let [p50, p99, p999, p9999] =
        [0.5, 0.99, 0.999, 0.9999].map(|quantile| latency.quantile_ms(quantile));
    let _ = writeln!(
        text,
        "Ack latency of a known fleet, without frames sent before all devices had checked in: p50 {p50:.2}, \
         p99 {p99:.2}, p99.9 {p999:.2}, p99.99 {p9999:.2}, max {:.2} ms.",
        latency.max_ms(),
    );
}

/// The phases of the run, one per row.
fn phases(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    let header = [
        "phase",
        "offered/s",
        "acked/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "late: server",
        "generator",
    ];
    table.set_header(header.map(right));
    for (phase, found) in samples::by_phase(report) {
        let rate = found.added.acked as f64 / found.seconds.max(f64::MIN_POSITIVE);
        let offered = found.added.offered as f64 / found.seconds.max(f64::MIN_POSITIVE);
        table.add_row([
            Cell::new(&phase.name),
            right(grouped(offered.round() as u64)),
            right(grouped(rate.round() as u64)),
            right(format!("{:.2}", found.latency.quantile_ms(0.5))),
            right(format!("{:.2}", found.latency.quantile_ms(0.99))),
            right(format!("{:.2}", found.latency.max_ms())),
            right(grouped(found.added.late.by_server)),
            right(grouped(found.added.late.by_generator)),
        ]);
    }
    table
}

/// A warning if the generator was the limit.
fn limit(text: &mut String, report: &Report) {
    if let Some(sentence) = report.warning() {
        let _ = writeln!(text, "{sentence}");
    }
}

/// The server's counts: totals first, then the non-zero counts of each dimension.
fn counts(report: &Report) -> Table {
    let mut table = new_table(["counted by the server", "devices"]);
    let Some(counts) = &report.counts else {
        return table;
    };
    for (name, value) in counts {
        match value {
            Value::Number(number) => {
                let number = number.as_u64().unwrap_or(0);
                table.add_row([Cell::new(printable(name)), right(grouped(number))]);
            }
            Value::Object(members) => {
                table.add_row([Cell::new(printable(name))]);
                for (member, number) in members {
                    let number = number.as_u64().unwrap_or(0);
                    if number > 0 {
                        let member = format!("  {}", printable(member));
                        table.add_row([Cell::new(member), right(grouped(number))]);
                    }
                }
            }
            _ => {}
        }
    }
    table
}

fn rejections(text: &mut String, report: &Report) {
    for rejection in &report.measured.rejections {
        let reason = reason_name(rejection);
        let (device, seq) = (rejection.device_id, rejection.seq);
        let _ = writeln!(text, "rejected: device {device} seq {seq}: {reason}");
    }
}

fn verdict_lines(text: &mut String, verdict: &Verdict) {
    for dimension in &verdict.matching_dimensions {
        let _ = writeln!(text, "{dimension}: as expected");
    }
    for difference in verdict.differences.iter().take(DIFFERENCES_SHOWN) {
        let (expected, found) = (grouped(difference.expected), grouped(difference.found));
        let _ = writeln!(
            text,
            "{}: expected {expected}, counted {found}",
            difference.what
        );
    }
    for difference in verdict.cell_differences.iter().take(DIFFERENCES_SHOWN) {
        let (expected, found) = (grouped(difference.expected), grouped(difference.found));
        let what = printable(&difference.what);
        let _ = writeln!(text, "cell {what}: expected {expected}, counted {found}");
    }
    let cells = grouped(verdict.cells);
    let _ = if verdict.matches() {
        writeln!(
            text,
            "VERIFIED: all {cells} cells match the expected counts."
        )
    } else {
        let differing = grouped(verdict.cell_differences.len() as u64);
        writeln!(
            text,
            "NOT VERIFIED: {differing} cells differ from the {cells} expected ones."
        )
    };
}

/// Formats a number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
