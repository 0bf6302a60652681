//! When and how a server of the loop terminates, sampled from the seed.
//!
//! Another way to terminate (such as a policy change just before the kill) is another variant here and another arm in
//! [`crate::load`]. What the disk does when a server terminates is up to the
//! [`DiskBackend`](crate::disk_backend::DiskBackend).

use std::fmt;
use std::time::Duration;

use muster_testkit::random::Random;
use muster_testkit::server::Ended;

use crate::check::Finding;
use crate::sampling::{log_uniform, uniform};

/// The highest number of acknowledged records that a termination waits for.
const RECORDS_MAX: u64 = 30_000;

/// Prefix of the names of the kill points of a change of the control plane.
const CHANGE_POINTS: &str = "store.control.";

/// The environment variable that configures the kill points of `muster-failpoints`.
pub const FAILPOINTS: &str = "FAILPOINTS";

/// The value of [`FAILPOINTS`] for a process that kills itself at a kill point after it was passed `passes` times.
pub fn at_kill_point(name: &str, passes: u64) -> String {
    format!("{name}={passes}*off->return")
}

/// The termination of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Termination {
    /// SIGKILL after this time from the start of the process, whether it is ready or not.
    DuringStartUp(Duration),
    /// SIGKILL once this many records are acknowledged.
    AfterAcks(u64),
    /// SIGKILL after this time under load.
    AfterDelay(Duration),
    /// SIGTERM once this many records are acknowledged, SIGKILL after this time, while it drains.
    DuringDrain(u64, Duration),
    /// SIGKILL once this many records and all that were sent are acknowledged.
    WhenIdle(u64),
    /// The same, after backups with these names.
    AfterBackups(u64, Vec<String>),
    /// SIGTERM once this many records are acknowledged: a graceful stop.
    GracefulStop(u64),
    /// A disk fault once this many records are acknowledged; SIGKILL after the response of the server was observed.
    AfterFault(u64),
    /// The same, with a backup during the fault, because a backup makes RocksDB flush.
    AfterFaultInFlush(u64),
    /// A disk fault before the start of the server, which must not become ready.
    FaultAtStart,
    /// The server kills itself at the kill point of this name after passing it this many times. If it does not,
    /// SIGTERM once this many records are acknowledged. At kill points of a backup, backups are requested.
    AtKillPoint(String, u64, u64),
}

impl Termination {
    /// Samples a termination.
    pub fn sample(random: &mut Random) -> Self {
        let records = log_uniform(random, 1, RECORDS_MAX);
        match random.below(100) {
            0..10 => Self::DuringStartUp(log_uniform_micros(random, 100, 200_000)),
            10..50 => Self::AfterAcks(records),
            50..75 => Self::AfterDelay(log_uniform_micros(random, 3_000, 300_000)),
            75..85 => Self::DuringDrain(records, log_uniform_micros(random, 100, 100_000)),
            85..90 => Self::WhenIdle(records),
            _ => Self::GracefulStop(uniform(random, 1, RECORDS_MAX)),
        }
    }

    /// The name in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DuringStartUp(_) => "during_start_up",
            Self::AfterAcks(_) => "after_acks",
            Self::AfterDelay(_) => "after_delay",
            Self::DuringDrain(..) => "during_drain",
            Self::WhenIdle(_) => "when_idle",
            Self::AfterBackups(..) => "after_backups",
            Self::GracefulStop(_) => "graceful_stop",
            Self::AfterFault(_) => "after_fault",
            Self::AfterFaultInFlush(_) => "after_fault_in_flush",
            Self::FaultAtStart => "fault_at_start",
            Self::AtKillPoint(..) => "at_kill_point",
        }
    }

    /// The finding if a server with a sound disk ended in another way: only the loop and a kill point may end it.
    pub fn check_end(&self, ended: Ended) -> Option<Finding> {
        let is_told_to_stop = matches!(
            self,
            Self::GracefulStop(_) | Self::DuringDrain(..) | Self::AtKillPoint(..)
        );
        match ended {
            Ended::Killed => None,
            Ended::Code(0) if is_told_to_stop => None,
            Ended::Code(_) if *self == Self::FaultAtStart => None,
            ended => Some(Finding::Behavior(format!(
                "the server ended by itself: {ended:?}"
            ))),
        }
    }

    /// Whether rules change under load until the server terminates.
    pub fn changes_rules(&self) -> bool {
        matches!(self, Self::AtKillPoint(name, ..) if name.starts_with(CHANGE_POINTS))
    }

    /// The environment of the server: kill points are configured by a variable.
    pub fn environment(&self) -> Option<(&'static str, String)> {
        match self {
            Self::AtKillPoint(name, passes, _) => Some((FAILPOINTS, at_kill_point(name, *passes))),
            _ => None,
        }
    }
}

fn log_uniform_micros(random: &mut Random, first: u64, last: u64) -> Duration {
    Duration::from_micros(log_uniform(random, first, last))
}

impl fmt::Display for Termination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuringStartUp(time) => write!(formatter, "killed {time:.1?} after start"),
            Self::AfterAcks(records) => write!(formatter, "killed after {records} acks"),
            Self::AfterDelay(time) => write!(formatter, "killed after {time:.1?} of load"),
            Self::DuringDrain(records, time) => {
                write!(
                    formatter,
                    "stopped after {records} acks, killed {time:.1?} later"
                )
            }
            Self::WhenIdle(_) => write!(formatter, "killed when idle"),
            Self::AfterBackups(_, names) => {
                write!(formatter, "killed when idle, after {} backups", names.len())
            }
            Self::GracefulStop(records) => write!(formatter, "stopped after {records} acks"),
            Self::AfterFault(records) => write!(formatter, "disk fault after {records} acks"),
            Self::AfterFaultInFlush(records) => {
                write!(formatter, "disk fault in a flush after {records} acks")
            }
            Self::FaultAtStart => write!(formatter, "disk fault at start"),
            Self::AtKillPoint(name, passes, _) => {
                write!(formatter, "kill point {name} after {passes} passes")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_termination_is_sampled() {
        let mut random = Random::new(5, 5);
        let names: Vec<&str> = (0..300)
            .map(|_| Termination::sample(&mut random).name())
            .collect();
        for name in [
            "during_start_up",
            "after_acks",
            "after_delay",
            "during_drain",
            "when_idle",
            "graceful_stop",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_environment_configures_a_kill_point() {
        let termination = Termination::AtKillPoint("store.group.after_sync".to_owned(), 3, 100);
        let value = "store.group.after_sync=3*off->return".to_owned();
        assert_eq!(termination.environment(), Some(("FAILPOINTS", value)));
        assert_eq!(Termination::WhenIdle(1).environment(), None);
    }
}
