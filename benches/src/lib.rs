//! Benches: what each part of the pipeline costs, beside what the machine can do at all.
//!
//! Every bench does a fixed amount of work with fixed seeds, several times over, and gives the median
//! and the spread; every run must end in the same result, whose hash is printed. docs/BENCHMARKS.md
//! says how to read the figures. A time is never asserted; counts of instructions are, by the guard.

pub mod capacity;
pub mod cli;
mod fleet;
mod guard;
mod latencies;
mod machine;
mod measure;
pub mod parts;
mod report;
mod start_barrier;

use muster_ingest::route::Router;
use muster_wire::{CheckInBytes, CheckInRecord};

/// Loops of the guard around what is inlined into whoever calls it. What the compiler makes of that follows from
/// whatever else is in the crate, so they come from the binary, whose crate has nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Loops {
    /// Whether all records are valid.
    pub all_valid: fn(&[CheckInBytes]) -> bool,
    /// Hands the records of a frame to the router.
    pub route: fn(&mut Router, &[CheckInRecord]),
}
