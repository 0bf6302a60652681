//! Each part of the pipeline alone, and what lies under it: a socket, a disk.
//!
//! The order of the runs is fixed. A bench leaves nothing behind: data directories are temporary.

pub(crate) mod apply;
pub(crate) mod decode;
pub mod disk;
mod journal;
pub(crate) mod quic;

use std::path::PathBuf;

use anyhow::Context;

use crate::measure::Row;
use disk::Flushes;

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Bytes of a stream to parts in the inboxes.
    Decode,
    /// Parts to new state and a journal value.
    Apply,
    /// Journal values to the disk.
    Journal,
    /// Bytes from one socket to another.
    Quic,
    /// Requests and replies from one socket to another.
    Requests,
    /// Connections from one socket to another.
    Handshakes,
}

impl Name {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 6] = [
        Self::Quic,
        Self::Requests,
        Self::Handshakes,
        Self::Decode,
        Self::Apply,
        Self::Journal,
    ];

    /// Those that every check-in of a gateway passes: their sum estimates what it costs.
    pub const PASSED: [Self; 4] = [Self::Quic, Self::Decode, Self::Apply, Self::Journal];

    /// The word in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Apply => "apply",
            Self::Journal => "journal",
            Self::Quic => "quic",
            Self::Requests => "requests",
            Self::Handshakes => "handshakes",
        }
    }
}

/// How much work a bench does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Enough to see that a bench works; its figures mean nothing.
    Quick,
    /// What figures are quoted from.
    Full,
}

impl Size {
    /// The word in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The number for this size.
    pub(crate) const fn pick(self, quick: u64, full: u64) -> u64 {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How much work a bench does.
    pub size: Size,
    /// Runs of every bench.
    pub repeats: u32,
    /// Which parts.
    pub only: Vec<Name>,
    /// Where data directories are made.
    pub directory: PathBuf,
}

impl Plan {
    /// Every part: five runs, or three quick ones.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            repeats: size.pick(3, 5) as u32,
            only: Name::ALL.to_vec(),
            directory: std::env::temp_dir(),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// One row a bench. The case of the row that stands for its part in the sum ends in a star.
    pub rows: Vec<Row>,
    /// How long the disk took between the runs of the journal.
    pub flushes: Vec<Flushes>,
}

/// Runs the plan.
///
/// # Errors
/// If a bench cannot run, or two of its runs came to different results.
pub fn run(plan: &Plan) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    for name in Name::ALL {
        if !plan.only.contains(&name) {
            continue;
        }
        let rows = match name {
            Name::Decode => decode::run(plan),
            Name::Apply => apply::run(plan),
            Name::Journal => journal::run(plan, &mut figures.flushes),
            Name::Quic => quic::run(plan),
            Name::Requests => quic::requests::run(plan),
            Name::Handshakes => quic::handshakes::run(plan),
        };
        figures.rows.extend(rows.with_context(|| name.name())?);
    }
    Ok(figures)
}
