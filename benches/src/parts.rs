//! Benches of each part of the pipeline alone, and of the socket and the disk below it.
//!
//! The order of the runs is fixed. Data directories are temporary.

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
    /// From the bytes of a stream to shard batches in the inboxes.
    Decode,
    /// From shard batches to new state and a journal value.
    Apply,
    /// From journal values to the disk.
    Journal,
    /// A bulk stream between two sockets.
    Quic,
    /// Requests and replies between two sockets.
    Requests,
    /// Connections between two sockets.
    Handshakes,
}

impl Name {
    /// All parts, in the order in which they run.
    pub const ALL: [Self; 6] = [
        Self::Quic,
        Self::Requests,
        Self::Handshakes,
        Self::Decode,
        Self::Apply,
        Self::Journal,
    ];

    /// The parts that every check-in of a gateway passes; the sum of their costs estimates that of a check-in.
    pub const CHECK_IN_PATH: [Self; 4] = [Self::Quic, Self::Decode, Self::Apply, Self::Journal];

    /// The name in tables and options.
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
    /// Shows that a bench works; its figures mean nothing.
    Quick,
    /// The size for figures that are quoted.
    Full,
}

impl Size {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// Selects the number for this size.
    pub(crate) const fn pick(self, quick: u64, full: u64) -> u64 {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct PartsOptions {
    /// How much work a bench does.
    pub size: Size,
    /// Number of runs of every bench.
    pub repeats: u32,
    /// The parts to measure.
    pub only: Vec<Name>,
    /// The directory for temporary data directories.
    pub directory: PathBuf,
}

impl PartsOptions {
    /// All parts, with five runs, or three for the quick size.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            repeats: size.pick(3, 5) as u32,
            only: Name::ALL.to_vec(),
            directory: std::env::temp_dir(),
        }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// One row per bench. The case of the row that represents its part in the sum ends with a star.
    pub rows: Vec<Row>,
    /// Flush latencies of the disk between the runs of the journal.
    pub flushes: Vec<Flushes>,
}

/// Runs the benches.
///
/// # Errors
/// If a bench cannot run, or two of its runs have different results.
pub fn run(options: &PartsOptions) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    for name in Name::ALL {
        if !options.only.contains(&name) {
            continue;
        }
        let rows = match name {
            Name::Decode => decode::run(options),
            Name::Apply => apply::run(options),
            Name::Journal => journal::run(options, &mut figures.flushes),
            Name::Quic => quic::run(options),
            Name::Requests => quic::requests::run(options),
            Name::Handshakes => quic::handshakes::run(options),
        };
        figures.rows.extend(rows.with_context(|| name.name())?);
    }
    Ok(figures)
}
