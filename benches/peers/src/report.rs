//! The table and the JSON object of a run.

use std::fmt;

use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::job::Size;
use crate::measure::Run;
use crate::peer::Setting;
use crate::search::{Measured, Row};

/// The results of a run.
#[derive(Debug)]
pub struct Report {
    machine: String,
    size: Size,
    rows: Vec<Row>,
}

/// The figures of a peer over all its runs.
struct Figures {
    rate: f64,
    spread: f64,
    p50_ms: f64,
    p99_ms: f64,
    peer_core: f64,
    client_core: f64,
    disk_bytes: f64,
    check_ins: f64,
    disk_flushes: Option<f64>,
    verified: bool,
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let rates = || runs.iter().map(Run::rate);
        let rate = median(rates());
        let max = rates().fold(0.0, f64::max);
        let min = rates().fold(max, f64::min);
        let per_million = |core: fn(&Run) -> f64| {
            median(
                runs.iter()
                    .map(|run| core(run) * 1e6 / run.check_ins.max(1) as f64),
            )
        };
        let flushes: Option<Vec<f64>> = runs
            .iter()
            .map(|run| Some(run.disk_flushes? as f64))
            .collect();
        Self {
            rate,
            spread: (max - min) / rate,
            p50_ms: median(runs.iter().map(|run| run.latency.quantile_ms(0.5))),
            p99_ms: median(runs.iter().map(|run| run.latency.quantile_ms(0.99))),
            peer_core: per_million(|run| run.peer_core.as_secs_f64()),
            client_core: per_million(|run| run.client_core.as_secs_f64()),
            disk_bytes: median(runs.iter().map(|run| run.disk_bytes as f64)),
            check_ins: median(runs.iter().map(|run| run.check_ins as f64)),
            disk_flushes: flushes.map(|flushes| median(flushes.into_iter())),
            verified: runs.iter().all(|run| run.faults.is_empty()),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        len => f64::midpoint(values[(len - 1) / 2], values[len / 2]),
    }
}

impl Report {
    /// Creates the report of these rows.
    pub const fn new(machine: String, size: Size, rows: Vec<Row>) -> Self {
        Self {
            machine,
            size,
            rows,
        }
    }

    /// Whether the states and counts of every run of every peer were right.
    pub fn verified(&self) -> bool {
        self.measured()
            .all(|measured| measured.runs.iter().all(|run| run.faults.is_empty()))
    }

    fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter_map(|row| row.result.as_ref().ok())
    }

    /// The JSON object. An absent peer has a reason instead of figures.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row_json).collect();
        json!({
            "machine": self.machine,
            "devices": self.size.devices,
            "check_ins": self.size.check_ins,
            "seed": self.size.seed,
            // Null if no peer was measured.
            "verified": self.measured().next().map(|_| self.verified()),
            "peers": rows,
        })
    }
}

fn row_json(row: &Row) -> Value {
    let measured = match &row.result {
        Ok(measured) => measured,
        Err(reason) => return json!({"peer": row.name.name(), "absent": reason}),
    };
    let figures = Figures::of(&measured.runs);
    let last = measured.runs.last();
    let facts: serde_json::Map<String, Value> = last
        .into_iter()
        .flat_map(|run| &run.evidence)
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let faults: Vec<&String> = measured.runs.iter().flat_map(|run| &run.faults).collect();
    let tried = measured.tried.iter().map(|(setting, rate)| {
        let mut tried = setting_json(setting);
        tried["check_ins_per_second"] = rate.round().into();
        tried
    });
    json!({
        "peer": row.name.name(),
        "version": measured.installed.version,
        "setting": setting_json(&measured.best),
        "runs": measured.runs.len(),
        "check_ins": figures.check_ins,
        "devices": last.map(|run| run.devices),
        "durable_check_ins_per_second": figures.rate.round(),
        "spread": figures.spread,
        "ack_p50_ms": figures.p50_ms,
        "ack_p99_ms": figures.p99_ms,
        "peer_core_seconds_per_million": figures.peer_core,
        "client_core_seconds_per_million": figures.client_core,
        "disk_bytes": figures.disk_bytes,
        "disk_flushes_of_all_programs": figures.disk_flushes,
        "durable_by": facts,
        "verified": figures.verified,
        "faults": faults,
        "tried": tried.collect::<Vec<_>>(),
    })
}

fn setting_json(setting: &Setting) -> Value {
    json!({
        "way": setting.way,
        "connections": setting.connections,
        "frame_check_ins": setting.frame_check_ins,
        "in_flight": setting.in_flight,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            devices, check_ins, ..
        } = self.size;
        writeln!(
            out,
            "{}, {check_ins} check-ins of {devices} devices\n",
            self.machine
        )?;
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header([
            "peer",
            "setting",
            "durable check-ins/s",
            "spread",
            "ack p50 ms",
            "p99 ms",
            "peer core s/M",
            "client core s/M",
            "disk B/check-in",
            "verified",
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let Ok(measured) = &row.result else { continue };
            let figures = Figures::of(&measured.runs);
            table.add_row([
                row.name.name().to_owned(),
                setting_text(&measured.best),
                format!("{:.0}", figures.rate),
                format!("{:.0} %", figures.spread * 100.0),
                format!("{:.1}", figures.p50_ms),
                format!("{:.1}", figures.p99_ms),
                format!("{:.2}", figures.peer_core),
                format!("{:.2}", figures.client_core),
                format!("{:.0}", figures.disk_bytes / figures.check_ins.max(1.0)),
                if figures.verified { "yes" } else { "NO" }.to_owned(),
            ]);
        }
        writeln!(out, "{table}\n")?;
        for row in &self.rows {
            writeln!(out, "{}", row_text(row))?;
        }
        Ok(())
    }
}

fn setting_text(setting: &Setting) -> String {
    format!(
        "{}, {} connections x {} in flight x {}",
        setting.way, setting.connections, setting.in_flight, setting.frame_check_ins
    )
}

fn row_text(row: &Row) -> String {
    let measured = match &row.result {
        Ok(measured) => measured,
        Err(reason) => return format!("{}: absent: {reason}", row.name.name()),
    };
    let mut text = format!("{}: {}", row.name.name(), measured.installed.version);
    for (setting, rate) in &measured.tried {
        text += &format!("\n  tried {}: {rate:.0}/s", setting_text(setting));
    }
    for run in &measured.runs {
        let flushes = run
            .disk_flushes
            .map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        text += &format!(
            "\n  run {} check-ins of {} devices in {:.2} s, disk flushes (all programs) {flushes}",
            run.check_ins,
            run.devices,
            run.wall.as_secs_f64()
        );
        for fault in &run.faults {
            text += &format!("\n  WRONG: {fault}");
        }
    }
    for (name, value) in measured
        .runs
        .last()
        .into_iter()
        .flat_map(|run| &run.evidence)
    {
        text += &format!("\n  {name} = {value}");
    }
    text
}

#[cfg(test)]
mod tests;
