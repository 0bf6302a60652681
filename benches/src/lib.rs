//! Benches: the cost of each part of the pipeline, compared with the limits of the machine.
//!
//! Every bench repeats a fixed amount of work with fixed seeds and reports the median and the spread. All runs of a
//! bench must produce the same result, whose hash is printed. docs/BENCHMARKS.md explains the figures. Times are never
//! asserted; instruction counts are, by the guard.

pub mod api;
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

/// Loops of the guard around functions that are inlined into their callers. The code that the compiler generates for
/// them depends on the rest of the crate, so they are defined in the binary, whose crate has nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Loops {
    /// Returns whether all records are valid.
    pub all_valid: fn(&[CheckInBytes]) -> bool,
    /// Hands the records of a frame to the router.
    pub route: fn(&mut Router, &[CheckInRecord]),
}
