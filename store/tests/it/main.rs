//! Tests of the store through its public interface, on real directories. Each module tests one guarantee.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy recognises only test functions"
)]

mod checkpoint;
mod clock;
mod compaction;
mod control;
mod damage;
mod durability;
mod group;
mod log_end;
mod open_files;
mod poison;
mod read_only;
mod refusal;
mod support;
