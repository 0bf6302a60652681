//! When and how a server of the loop ends: drawn by seed, under load or not.
//!
//! A further way to die under load (a disk that fails, a live policy set just before the kill) is a
//! further variant here and a further arm in [`crate::load`]; what the disk does at a death is the
//! [`crate::medium::Medium`]'s.

use std::time::Duration;

use muster_loadgen::random::Random;

use crate::draw::{between, spread};

/// Records that a cycle waits for, at most.
const RECORDS_MAX: u64 = 30_000;

/// The variable that tells `muster-failpoints` where to die.
pub const FAILPOINTS: &str = "FAILPOINTS";

/// What it is told to die at a kill point once that has been passed so often.
pub fn at_kill_point(name: &str, passings: u64) -> String {
    format!("{name}={passings}*off->return")
}

/// The end of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// SIGKILL so long after the start of the process, ready or not: while it opens or recovers.
    StartUp(Duration),
    /// SIGKILL once so many records are acknowledged.
    Acknowledged(u64),
    /// SIGKILL so long after the load began.
    Elapsed(Duration),
    /// SIGTERM once so many records are acknowledged, and SIGKILL so long after it: while it drains.
    Drain(u64, Duration),
    /// SIGKILL when everything that was sent is acknowledged.
    Quiet(u64),
    /// The same, after backups of these names.
    BackedUp(u64, Vec<String>),
    /// SIGTERM under load, and nothing else: an orderly stop.
    Stop(u64),
    /// The disk goes bad once so many records are acknowledged; SIGKILL when the server has shown what it does.
    Fault(u64),
    /// The same, and a backup is ordered, which makes RocksDB flush.
    FaultInFlush(u64),
    /// The disk is bad before the server starts, which must not become ready.
    FaultAtStart,
    /// SIGKILL by the server itself, when it passes the kill point of this name for this many-and-first
    /// time; SIGTERM once so many records are acknowledged without. At points of a backup, backups are ordered.
    KillPoint(String, u64, u64),
}

impl Moment {
    /// Draws one.
    pub fn draw(random: &mut Random) -> Self {
        let records = spread(random, 1, RECORDS_MAX);
        let micros = |random: &mut Random, first: u64, last: u64| {
            Duration::from_micros(spread(random, first, last))
        };
        match random.below(100) {
            0..10 => Self::StartUp(micros(random, 100, 200_000)),
            10..50 => Self::Acknowledged(records),
            50..75 => Self::Elapsed(micros(random, 3_000, 300_000)),
            75..85 => Self::Drain(records, micros(random, 100, 100_000)),
            85..90 => Self::Quiet(records),
            _ => Self::Stop(between(random, 1, RECORDS_MAX)),
        }
    }

    /// For reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StartUp(_) => "start_up",
            Self::Acknowledged(_) => "acknowledged",
            Self::Elapsed(_) => "elapsed",
            Self::Drain(..) => "drain",
            Self::Quiet(_) => "quiet",
            Self::BackedUp(..) => "backed_up",
            Self::Stop(_) => "stop",
            Self::Fault(_) => "fault",
            Self::FaultInFlush(_) => "fault_in_flush",
            Self::FaultAtStart => "fault_at_start",
            Self::KillPoint(..) => "kill_point",
        }
    }

    /// What a server must know before it starts: kill points are set by its environment.
    pub fn environment(&self) -> Option<(&'static str, String)> {
        match self {
            Self::KillPoint(name, passings, _) => {
                Some((FAILPOINTS, at_kill_point(name, *passings)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_comes_up() {
        let mut random = Random::new(5, 5);
        let names: Vec<&str> = (0..300).map(|_| Moment::draw(&mut random).name()).collect();
        for name in [
            "start_up",
            "acknowledged",
            "elapsed",
            "drain",
            "quiet",
            "stop",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_kill_point_is_told_by_the_environment() {
        let moment = Moment::KillPoint("store.group.after_sync".to_owned(), 3, 100);
        let expected = "store.group.after_sync=3*off->return".to_owned();
        assert_eq!(moment.environment(), Some(("FAILPOINTS", expected)));
        assert_eq!(Moment::Quiet(1).environment(), None);
    }
}
