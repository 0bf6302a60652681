//! Benches: what each part of the pipeline costs, beside what the machine can do at all.
//!
//! Every bench does a fixed amount of work with fixed seeds, several times over, and gives the median
//! and the spread; every run must end in the same result, whose hash is printed. docs/BENCHMARKS.md
//! says how to read the figures. A time is never asserted; counts of instructions are, by the guard.

pub mod capacity;
pub mod cli;
mod fleet;
mod gate;
mod guard;
mod latencies;
mod machine;
mod measure;
pub mod parts;
mod report;
