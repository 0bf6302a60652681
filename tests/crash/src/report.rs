//! The report of a run of the crash loop, as one JSON object.
//!
//! If `lost`, `counter_drift` and `findings` are 0 the exit code is 0.

mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::check;
use crate::directory::Cycle;
use crate::options::DirectoryOptions;
use crate::termination::Termination;

pub use tally::Tally;

/// Times from the start of a server to its ready line.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Recoveries {
    count: usize,
    median_seconds: f64,
    max_seconds: f64,
}

/// The failure that ended a run, and how to reproduce it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Number of the cycle within the run, from 1.
    pub cycle: u64,
    /// The seed of its directory: a run with this seed begins with that directory.
    pub seed: u64,
    /// Cycles of such a run up to the failure.
    pub replay_cycles: u64,
    /// The directory with its files.
    pub directory: PathBuf,
    /// The findings.
    pub findings: Vec<String>,
}

/// The sums over all cycles of a run.
#[derive(Debug, Default)]
pub struct Report {
    seed: u64,
    disk: &'static str,
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
    terminations: BTreeMap<&'static str, u64>,
    disk_statistics: Vec<(&'static str, u64)>,
    failure: Option<Failure>,
}

impl Report {
    /// The report of a run that has not begun; `disk` is the name of its disk backend.
    pub fn new(seed: u64, disk: &'static str) -> Self {
        Self {
            seed,
            disk,
            ..Self::default()
        }
    }

    /// Adds a directory.
    pub fn add_directory(&mut self, options: &DirectoryOptions) {
        self.directories += 1;
        for (name, value) in options.describe() {
            self.options.entry(name).or_default().insert(value);
        }
    }

    /// Adds a cycle.
    pub fn add_cycle(&mut self, termination: &Termination, cycle: &Cycle) {
        self.cycles += 1;
        self.acked += cycle.acknowledged;
        self.lost += check::lost(&cycle.findings);
        self.counter_drift += check::drift(&cycle.findings);
        self.findings += cycle.findings.len() as u64;
        self.accepted += cycle.progress.accepted;
        self.duplicate += cycle.progress.duplicate;
        self.stale += cycle.progress.stale;
        self.connections += cycle.progress.connections;
        self.unacked_found += cycle.observed.unacknowledged;
        self.recoveries.extend(cycle.recovery);
        *self.terminations.entry(termination.name()).or_default() += 1;
    }

    /// Adds the devices of a directory after its last cycle.
    pub const fn add_devices(&mut self, devices: u64) {
        self.devices += devices;
    }

    /// Sets the statistics of the disk backend.
    pub fn set_disk_statistics(&mut self, statistics: Vec<(&'static str, u64)>) {
        self.disk_statistics = statistics;
    }

    /// Sets the failure that ends the run.
    pub fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// The failure that ended the run.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Number of cycles so far.
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Whether there are no findings. A run of several servers without acknowledgements has tested nothing and is not
    /// clean.
    pub const fn is_clean(&self) -> bool {
        let has_tested_something = self.acked > 0 || self.cycles < 2;
        self.lost == 0 && self.counter_drift == 0 && self.findings == 0 && has_tested_something
    }

    fn recoveries(&self) -> Recoveries {
        let mut all = self.recoveries.clone();
        all.sort_unstable();
        // Rounded to tenths of a millisecond.
        let seconds = |index: usize| {
            let seconds = all.get(index).map_or(0.0, Duration::as_secs_f64);
            (seconds * 1e4).round() / 1e4
        };
        Recoveries {
            count: all.len(),
            median_seconds: seconds(all.len() / 2),
            max_seconds: seconds(all.len().saturating_sub(1)),
        }
    }

    /// The report as a JSON object.
    pub fn to_json(&self) -> Value {
        let disk_statistics: Map<String, Value> = self
            .disk_statistics
            .iter()
            .map(|(name, count)| ((*name).to_owned(), Value::from(*count)))
            .collect();
        let mut json = Map::new();
        for (name, value) in [
            ("cycles", Value::from(self.cycles)),
            ("acked", Value::from(self.acked)),
            ("lost", Value::from(self.lost)),
            ("counter_drift", Value::from(self.counter_drift)),
            ("seed", Value::from(self.seed)),
            ("findings", Value::from(self.findings)),
            ("directories", Value::from(self.directories)),
            ("devices", Value::from(self.devices)),
            ("accepted", Value::from(self.accepted)),
            ("duplicate", Value::from(self.duplicate)),
            ("stale", Value::from(self.stale)),
            ("connections", Value::from(self.connections)),
            ("unacked_found", Value::from(self.unacked_found)),
            ("recoveries", to_value(&self.recoveries())),
            ("terminations", to_value(&self.terminations)),
            ("disk", Value::from(self.disk)),
            ("disk_statistics", Value::Object(disk_statistics)),
            ("options", to_value(&self.options)),
            ("failure", to_value(&self.failure)),
        ] {
            json.insert(name.to_owned(), value);
        }
        Value::Object(json)
    }
}

fn to_value(part: &impl Serialize) -> Value {
    // Strings, numbers and maps with string keys can always be serialized.
    serde_json::to_value(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_fields_that_scripts_need() {
        let mut report = Report::new(7, "plain");
        report.add_directory(&DirectoryOptions::sample(7));
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
        let recoveries = report.recoveries();
        assert_eq!(
            (recoveries.median_seconds, recoveries.max_seconds),
            (2.0, 3.0)
        );
        assert_eq!(Report::default().recoveries().max_seconds, 0.0);
    }
}
