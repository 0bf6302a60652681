//! Kill points: a server kills itself at each of them, and the checks are those after any termination.
//!
//! Each visit of a kill point uses a new directory with small checkpoints, so that a server passes all points: the
//! first visit at the first pass of the first server, the second at the first pass of a server that recovers after
//! a kill, the others after a sampled number of passes. Servers are started and stopped until one reaches the
//! point. A point that no server reaches is a failure, because a termination there was not tested. At the points of
//! a backup the servers are requested to make backups; at those of a restore `muster restore` kills itself.

mod backup;

use muster_testkit::muster::Muster;
use muster_testkit::random::Random;
use muster_testkit::server::Ended;
use serde::Serialize;

use crate::directory::{Cycle, Directory};
use crate::disk_backend::DiskBackend;
use crate::environment::TestEnvironment;
use crate::error::CrashError;
use crate::load::BACKUP_POINTS;
use crate::options::{DirectoryOptions, Settings};
use crate::report::Tally;
use crate::run::{Logger, RunOptions, runtime, until_interrupted};
use crate::sampling::{log_uniform, next_seed};
use crate::termination::Termination;

/// Maximum number of servers of a visit; if none reaches the point, the visit has missed it.
const SERVERS_MAX: u64 = 3;

/// Records acknowledged before a server that has not reached the point is stopped.
const RECORDS: u64 = 20_000;

/// Records acknowledged by a server that is killed so that the next one recovers.
const RECORDS_BEFORE: u64 = 3_000;

/// The highest number of passes that is sampled.
const PASSES_MAX: u64 = 200;

/// The visits of one kill point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// Visits in which a process killed itself there.
    pub killed: u64,
    /// Visits in which no process passed it often enough.
    pub missed: u64,
}

/// The report of all visits.
#[derive(Debug, Default, Serialize)]
pub struct PointsReport {
    /// The counts; of findings the first of each cycle.
    #[serde(flatten)]
    pub tally: Tally,
    /// Kill points that no process reached.
    pub never_reached: Vec<String>,
    /// All kill points.
    pub points: Vec<Point>,
}

impl PointsReport {
    /// Whether every kill point was reached and there are no findings.
    pub const fn is_clean(&self) -> bool {
        self.tally.acked > 0 && self.tally.is_clean() && self.never_reached.is_empty()
    }
}

/// Visits every kill point whose name contains `only`, `visits` times.
///
/// # Errors
/// If the tool cannot continue, or the binary has no kill points.
pub fn run(
    run_options: &RunOptions,
    only: &str,
    visits: u64,
    disk: &mut dyn DiskBackend,
    log: Logger<'_>,
) -> Result<PointsReport, CrashError> {
    let names = kill_points(&run_options.server, only)?;
    let environment = TestEnvironment::make(&run_options.server, &run_options.scratch)?;
    let mut visitor = Visitor {
        environment: &environment,
        disk,
        report: PointsReport {
            tally: Tally::new(run_options.seed),
            ..PointsReport::default()
        },
        seed: run_options.seed,
        keep: run_options.keep,
    };
    let result = until_interrupted(&runtime()?, visitor.visit_all(&names, visits, log));
    let report = std::mem::take(&mut visitor.report);
    if run_options.keep || result.is_err() || !report.tally.findings.is_empty() {
        let kept = environment.keep();
        log(&format!("files kept in {}", kept.display()));
    }
    result.map(|()| report)
}

/// The kill points of a binary, which prints one per line with a description after a tab.
fn kill_points(server: &std::path::Path, only: &str) -> Result<Vec<String>, CrashError> {
    let listed = Muster::at(server).run(&["kill-points"])?;
    let names = listed.lines().filter_map(|line| line.split('\t').next());
    let names: Vec<String> = names
        .filter(|name| name.contains(only))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(CrashError::Usage(format!(
            "no kill point has \"{only}\" in its name"
        )));
    }
    Ok(names)
}

/// Visits kill points and collects the report.
struct Visitor<'a> {
    environment: &'a TestEnvironment,
    disk: &'a mut dyn DiskBackend,
    report: PointsReport,
    /// The seed of the next directory.
    seed: u64,
    keep: bool,
}

impl Visitor<'_> {
    async fn visit_all(
        &mut self,
        names: &[String],
        visits: u64,
        log: Logger<'_>,
    ) -> Result<(), CrashError> {
        let mut random = Random::new(self.seed, 2);
        for name in names {
            let mut point = Point {
                name: name.clone(),
                killed: 0,
                missed: 0,
            };
            for visit in 0..visits {
                let passes_max = backup::passes_max(name).unwrap_or(PASSES_MAX);
                let passes = if visit < 2 || passes_max == 0 {
                    0
                } else {
                    log_uniform(&mut random, 1, passes_max)
                };
                let killed = if backup::is_of_restore(name) {
                    self.visit_restore(name, visit, passes).await?
                } else {
                    self.visit(name, visit > 0, passes).await?
                };
                if killed {
                    point.killed += 1;
                } else {
                    point.missed += 1;
                }
                if !self.report.tally.findings.is_empty() {
                    // Later visits tell nothing new.
                    self.report.points.push(point);
                    return Ok(());
                }
            }
            if point.killed == 0 {
                self.report.never_reached.push(name.clone());
            }
            let Point { killed, missed, .. } = point;
            log(&format!(
                "{name}: killed {killed} times, missed {missed} times"
            ));
            self.report.points.push(point);
        }
        Ok(())
    }

    /// Visits a kill point of a server on a new directory, with one more server after it. Returns whether a server
    /// killed itself there. If `recovers` is set, an earlier server is killed under load.
    async fn visit(&mut self, name: &str, recovers: bool, passes: u64) -> Result<bool, CrashError> {
        let seed = self.seed;
        self.seed = next_seed(seed);
        let number = self.report.tally.cycles;
        let directory_name = format!("visit-{number}");
        let options = options(seed);
        let mut directory =
            Directory::create(self.environment, &directory_name, seed, options, self.disk)?;
        let termination = Termination::AtKillPoint(name.to_owned(), passes, RECORDS);
        let mut killed = false;
        let mut cycle = 0;
        if recovers {
            let before = Termination::AfterAcks(RECORDS_BEFORE);
            let result = directory
                .cycle(self.environment, cycle, &before, self.disk)
                .await?;
            self.add(name, passes, seed, &result);
            cycle += 1;
        }
        while !killed && self.report.tally.findings.is_empty() && cycle < SERVERS_MAX {
            let result = directory
                .cycle(self.environment, cycle, &termination, self.disk)
                .await?;
            killed = result.ended == Ended::Killed;
            self.add(name, passes, seed, &result);
            cycle += 1;
        }
        let backups = if name.starts_with(BACKUP_POINTS) {
            self.check_backups(name, seed, &directory)?
        } else {
            Vec::new()
        };
        if self.report.tally.findings.is_empty() {
            // The next server must recover everything and serve.
            let after = if backups.is_empty() {
                Termination::WhenIdle(100)
            } else {
                Termination::AfterBackups(100, backups.clone())
            };
            let result = directory
                .cycle(self.environment, SERVERS_MAX, &after, self.disk)
                .await?;
            self.add(name, passes, seed, &result);
        }
        if self.report.tally.findings.is_empty() {
            self.restore_backups(name, seed, &directory, &backups)?;
        }
        self.remove(&directory)?;
        Ok(killed)
    }

    /// Removes a directory, unless there are findings or directories are kept.
    fn remove(&mut self, directory: &Directory) -> Result<(), CrashError> {
        if self.report.tally.findings.is_empty() && !self.keep {
            let path = directory.path();
            self.disk.release().map_err(CrashError::file(path))?;
            std::fs::remove_dir_all(path).map_err(CrashError::file(path))?;
        }
        Ok(())
    }

    /// Adds a cycle to the report.
    fn add(&mut self, name: &str, passes: u64, seed: u64, cycle: &Cycle) {
        let tally = &mut self.report.tally;
        tally.cycles += 1;
        tally.acked += cycle.acknowledged;
        tally.add(&cycle.findings);
        for finding in cycle.findings.iter().take(10) {
            let text = format!("{name}={passes}*off->return, seed {seed}: {finding}");
            tally.findings.push(text);
        }
    }
}

/// The sampled options, with small checkpoints and a policy change at every restart, so that servers pass all kill
/// points.
fn options(seed: u64) -> DirectoryOptions {
    let mut options = DirectoryOptions::sample(seed);
    options.policy_changes = 1000;
    options.fleet.devices_per_gateway = options.fleet.devices_per_gateway.min(200);
    options.settings = Settings {
        group_bytes_max: 64 * 1024,
        checkpoint_journal_bytes: 64 * 1024,
        ..options.settings
    };
    options
}
