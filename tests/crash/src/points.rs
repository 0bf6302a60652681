//! Every kill point in turn: a server that dies exactly there, and the same checks as after any death.
//!
//! A point is visited on a fresh directory each time, with small checkpoints so that all points come up:
//! at its first passing by the first server, by a server that recovers what another one left when it was
//! killed, and then at later passings drawn by seed. Servers are started and stopped in order until the
//! point is met; one that is never met is a failure, because nobody knows then what a death there leaves.
//! At the points of a backup servers are ordered to make some; at those of a restore, `muster restore` dies.

mod copy;

use muster_loadgen::random::Random;
use serde::Serialize;

use crate::directory::{Cycle, Directory};
use crate::draw::{next_seed, spread};
use crate::error::CrashError;
use crate::load::BACKUP_POINTS;
use crate::medium::Medium;
use crate::moment::Moment;
use crate::muster::Muster;
use crate::options::{Options, Settings};
use crate::process::Ended;
use crate::report::Tally;
use crate::run::{Plan, Say, runtime, until_told};
use crate::site::Site;

/// Servers started for a visit before the point counts as not met.
const SERVERS_MAX: u64 = 3;

/// Records acknowledged by a server before it is stopped without having met the point.
const RECORDS: u64 = 20_000;

/// Records acknowledged by a server that leaves something to recover.
const RECORDS_BEFORE: u64 = 3_000;

/// The latest passing that is drawn.
const PASSING_MAX: u64 = 200;

/// How the visits of one point went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// Visits at which a server died there.
    pub killed: u64,
    /// Visits at which it was not passed often enough.
    pub missed: u64,
}

/// What all visits showed.
#[derive(Debug, Default, Serialize)]
pub struct PointsReport {
    /// What was counted; of findings the first of each visit.
    #[serde(flatten)]
    pub tally: Tally,
    /// Points at which no server has died.
    pub never_reached: Vec<String>,
    /// All points.
    pub points: Vec<Point>,
}

impl PointsReport {
    /// Whether every point was visited and nothing was wrong.
    pub const fn is_clean(&self) -> bool {
        self.tally.acked > 0 && self.tally.is_clean() && self.never_reached.is_empty()
    }
}

/// Visits every point whose name has `only` in it, so often.
///
/// # Errors
/// If the tool cannot go on, or the binary has no kill points.
pub fn run(
    plan: &Plan,
    only: &str,
    visits: u64,
    medium: &mut dyn Medium,
    say: Say<'_>,
) -> Result<PointsReport, CrashError> {
    let names = names(&plan.server, only)?;
    let site = Site::make(&plan.server, &plan.scratch)?;
    let mut tour = Tour {
        site: &site,
        medium,
        report: PointsReport {
            tally: Tally::new(plan.seed),
            ..PointsReport::default()
        },
        seed: plan.seed,
        keep: plan.keep,
    };
    let outcome = until_told(&runtime()?, tour.visit_all(&names, visits, say));
    let report = std::mem::take(&mut tour.report);
    if plan.keep || outcome.is_err() || !report.tally.findings.is_empty() {
        let kept = site.keep();
        say(&format!("everything is left in {}", kept.display()));
    }
    outcome.map(|()| report)
}

/// The names, as the binary lists them: one a line, with a description after a tab.
fn names(server: &std::path::Path, only: &str) -> Result<Vec<String>, CrashError> {
    let listed = Muster::at(server).run(&["kill-points"])?;
    let names = listed.lines().filter_map(|line| line.split('\t').next());
    let names: Vec<String> = names
        .filter(|name| name.contains(only))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(CrashError::Usage(format!(
            "there is no kill point with \"{only}\" in its name"
        )));
    }
    Ok(names)
}

struct Tour<'a> {
    site: &'a Site,
    medium: &'a mut dyn Medium,
    report: PointsReport,
    /// Of the next directory.
    seed: u64,
    keep: bool,
}

impl Tour<'_> {
    async fn visit_all(
        &mut self,
        names: &[String],
        visits: u64,
        say: Say<'_>,
    ) -> Result<(), CrashError> {
        let mut random = Random::new(self.seed, 2);
        for name in names {
            let mut point = Point {
                name: name.clone(),
                killed: 0,
                missed: 0,
            };
            for visit in 0..visits {
                let passings = match visit {
                    0 | 1 => 0,
                    _ => match copy::passing_max(name).unwrap_or(PASSING_MAX) {
                        0 => 0,
                        passing_max => spread(&mut random, 1, passing_max),
                    },
                };
                let died = match copy::is_of_restore(name) {
                    true => self.visit_restore(name, visit, passings).await?,
                    false => self.visit(name, visit > 0, passings).await?,
                };
                match died {
                    true => point.killed += 1,
                    false => point.missed += 1,
                }
                if !self.report.tally.findings.is_empty() {
                    // Whatever comes after it says nothing new.
                    self.report.points.push(point);
                    return Ok(());
                }
            }
            if point.killed == 0 {
                self.report.never_reached.push(name.clone());
            }
            let Point { killed, missed, .. } = point;
            say(&format!(
                "{name}: died there {killed} times, not reached {missed} times"
            ));
            self.report.points.push(point);
        }
        Ok(())
    }

    /// One directory, up to the death at the point and one server after it. Whether it died there.
    /// `recovers`: a server before it was killed under load.
    async fn visit(
        &mut self,
        name: &str,
        recovers: bool,
        passings: u64,
    ) -> Result<bool, CrashError> {
        let seed = self.seed;
        self.seed = next_seed(seed);
        let number = self.report.tally.cycles;
        let folder = format!("visit-{number}");
        let options = options(seed);
        let mut directory = Directory::make(self.site, &folder, seed, options, self.medium)?;
        let moment = Moment::KillPoint(name.to_owned(), passings, RECORDS);
        let mut died = false;
        let mut cycle = 0;
        if recovers {
            let before = Moment::Acknowledged(RECORDS_BEFORE);
            let result = directory
                .cycle(self.site, cycle, &before, self.medium)
                .await?;
            self.note(name, passings, seed, &result);
            cycle += 1;
        }
        while !died && self.report.tally.findings.is_empty() && cycle < SERVERS_MAX {
            let result = directory
                .cycle(self.site, cycle, &moment, self.medium)
                .await?;
            died = result.ended == Ended::Killed;
            self.note(name, passings, seed, &result);
            cycle += 1;
        }
        let backups = match name.starts_with(BACKUP_POINTS) {
            true => self.after_backup(name, seed, &directory)?,
            false => Vec::new(),
        };
        if self.report.tally.findings.is_empty() {
            // Who comes after a death must find everything, and serve.
            let after = match backups.is_empty() {
                true => Moment::Quiet(100),
                false => Moment::BackedUp(100, backups.clone()),
            };
            let result = directory
                .cycle(self.site, SERVERS_MAX, &after, self.medium)
                .await?;
            self.note(name, passings, seed, &result);
        }
        if self.report.tally.findings.is_empty() {
            self.restore_each(name, seed, &directory, &backups)?;
        }
        self.forget(&directory)?;
        Ok(died)
    }

    /// A directory that has no finding is not needed any more.
    fn forget(&mut self, directory: &Directory) -> Result<(), CrashError> {
        if self.report.tally.findings.is_empty() && !self.keep {
            let folder = directory.folder();
            self.medium.release().map_err(CrashError::file(folder))?;
            std::fs::remove_dir_all(folder).map_err(CrashError::file(folder))?;
        }
        Ok(())
    }

    /// Adds a cycle to the report.
    fn note(&mut self, name: &str, passings: u64, seed: u64, cycle: &Cycle) {
        let tally = &mut self.report.tally;
        tally.cycles += 1;
        tally.acked += cycle.acknowledged;
        tally.add(&cycle.findings);
        for finding in cycle.findings.iter().take(10) {
            let text = format!("{name}={passings}*off->return, seed {seed}: {finding}");
            tally.findings.push(text);
        }
    }
}

/// Small checkpoints, another policy set at every start: everything that has kill points happens.
fn options(seed: u64) -> Options {
    let mut options = Options::draw(seed);
    options.policy_changes = 1000;
    options.fleet.devices_per_gateway = options.fleet.devices_per_gateway.min(200);
    options.settings = Settings {
        group_bytes_max: 64 * 1024,
        checkpoint_journal_bytes: 64 * 1024,
        ..options.settings
    };
    options
}
