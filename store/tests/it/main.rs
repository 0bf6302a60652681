//! The store through its public face, on real directories. Each file is one promise.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy sees that of test functions only"
)]

mod checkpoint;
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
