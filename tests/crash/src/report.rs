//! What a run found, as one JSON object and as lines for people.
//!
//! Names with numbers; a script needs `lost`, `counter_drift` and `findings` to be 0, which is exit code 0.

mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::check;
use crate::directory::Cycle;
use crate::moment::Moment;
use crate::options::Options;

pub use tally::Tally;

/// How long servers took from their start to their ready line.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Recoveries {
    count: usize,
    median_seconds: f64,
    max_seconds: f64,
}

/// A failure, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The cycle, counted over the run from 1.
    pub cycle: u64,
    /// The seed of its directory: a run with it begins with that directory.
    pub seed: u64,
    /// Cycles of such a run up to the failure.
    pub replay_cycles: u64,
    /// Where everything was left.
    pub folder: PathBuf,
    /// What was found.
    pub findings: Vec<String>,
}

/// Adds up cycles.
#[derive(Debug, Default)]
pub struct Report {
    seed: u64,
    medium: String,
    cycles: u64,
    directories: u64,
    acked: u64,
    lost: u64,
    counter_drift: u64,
    findings: u64,
    devices: u64,
    accepted: u64,
    duplicate: u64,
    stale: u64,
    connections: u64,
    unacked_found: u64,
    recoveries: Vec<Duration>,
    options: BTreeMap<&'static str, BTreeSet<String>>,
    kills: BTreeMap<&'static str, u64>,
    notes: Vec<(&'static str, u64)>,
    failure: Option<Failure>,
}

impl Report {
    /// For a run that has not begun.
    pub fn new(seed: u64, medium: &str) -> Self {
        Self {
            seed,
            medium: medium.to_owned(),
            ..Self::default()
        }
    }

    /// A directory begins.
    pub fn directory(&mut self, options: &Options) {
        self.directories += 1;
        for (name, value) in options.describe() {
            self.options.entry(name).or_default().insert(value);
        }
    }

    /// A cycle has ended.
    pub fn cycle(&mut self, moment: &Moment, cycle: &Cycle) {
        self.cycles += 1;
        self.acked += cycle.acknowledged;
        self.lost += check::lost(&cycle.findings);
        self.counter_drift += check::drift(&cycle.findings);
        self.findings += cycle.findings.len() as u64;
        self.accepted += cycle.progress.accepted;
        self.duplicate += cycle.progress.duplicate;
        self.stale += cycle.progress.stale;
        self.connections += cycle.progress.connections;
        self.unacked_found += cycle.seen.unacknowledged;
        self.recoveries.extend(cycle.recovery);
        *self.kills.entry(moment.name()).or_default() += 1;
    }

    /// A directory has ended with so many devices.
    pub const fn directory_ended(&mut self, devices: u64) {
        self.devices += devices;
    }

    /// What the medium did.
    pub fn notes(&mut self, notes: Vec<(&'static str, u64)>) {
        self.notes = notes;
    }

    /// The run ends here.
    pub fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// The failure that ended the run.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Cycles so far.
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Whether nothing was wrong. A run of several servers that acknowledged nothing has shown nothing.
    pub const fn is_clean(&self) -> bool {
        let has_shown_something = self.acked > 0 || self.cycles < 2;
        self.lost == 0 && self.counter_drift == 0 && self.findings == 0 && has_shown_something
    }

    fn recoveries(&self) -> Recoveries {
        let mut all = self.recoveries.clone();
        all.sort_unstable();
        let seconds = |place: usize| all.get(place).map_or(0.0, Duration::as_secs_f64);
        let rounded = |seconds: f64| (seconds * 1e4).round() / 1e4;
        Recoveries {
            count: all.len(),
            median_seconds: rounded(seconds(all.len() / 2)),
            max_seconds: rounded(seconds(all.len().saturating_sub(1))),
        }
    }

    /// One object.
    pub fn to_json(&self) -> Value {
        let number = |value: u64| Value::from(value);
        let mut json = Map::new();
        let notes: Map<String, Value> = self
            .notes
            .iter()
            .map(|(name, count)| ((*name).to_owned(), number(*count)))
            .collect();
        for (name, value) in [
            ("cycles", number(self.cycles)),
            ("acked", number(self.acked)),
            ("lost", number(self.lost)),
            ("counter_drift", number(self.counter_drift)),
            ("seed", number(self.seed)),
            ("findings", number(self.findings)),
            ("directories", number(self.directories)),
            ("devices", number(self.devices)),
            ("accepted", number(self.accepted)),
            ("duplicate", number(self.duplicate)),
            ("stale", number(self.stale)),
            ("connections", number(self.connections)),
            ("unacked_found", number(self.unacked_found)),
            ("recoveries", value(&self.recoveries())),
            ("kills", value(&self.kills)),
            ("medium", Value::from(self.medium.as_str())),
            ("medium_notes", Value::Object(notes)),
            ("options", value(&self.options)),
            ("failure", value(&self.failure)),
        ] {
            json.insert(name.to_owned(), value);
        }
        Value::Object(json)
    }
}

fn value(of: &impl Serialize) -> Value {
    // Strings, numbers and maps of strings always are JSON.
    serde_json::to_value(of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_scripts_need() {
        let mut report = Report::new(7, "plain");
        report.directory(&Options::draw(7));
        let json = report.to_json();
        for name in ["cycles", "acked", "lost", "counter_drift", "findings"] {
            assert_eq!(json[name], 0, "{name}");
        }
        assert_eq!(json["seed"], 7);
        assert_eq!(json["failure"], Value::Null);
        assert_eq!(json["options"]["mode"].as_array().unwrap().len(), 1);
        assert!(report.is_clean());
    }

    #[test]
    fn the_median_of_recoveries_is_one_of_them() {
        let mut report = Report::new(1, "plain");
        report.recoveries = [3, 1, 2].map(Duration::from_secs).into();
        let found = report.recoveries();
        assert_eq!((found.median_seconds, found.max_seconds), (2.0, 3.0));
        assert_eq!(Report::default().recoveries().max_seconds, 0.0);
    }
}
