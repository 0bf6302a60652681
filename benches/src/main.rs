//! The binary `muster-benches`, and the one loop of the guard that must stand alone in its crate.

use std::hint::black_box;
use std::process::ExitCode;

use muster_wire::{CheckInBytes, CheckInRecord};

fn main() -> ExitCode {
    muster_benches::cli::run(all_valid)
}

/// Whether all records are valid. Validation is inlined into whoever calls it, and what the compiler makes of
/// that follows from whatever else is in the crate: in the library, a module that had nothing to do with it
/// made this 17 % more instructions.
#[inline(never)]
fn all_valid(records: &[CheckInBytes]) -> bool {
    records
        .iter()
        .all(|bytes| black_box(CheckInRecord::validate(bytes)).is_ok())
}
