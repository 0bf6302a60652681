//! The binary `muster-benches`, and the loops of the guard that need a crate to themselves.
//!
//! When these loops were in the library, adding an unrelated module once raised the instruction count of validation by
//! 17 %, and another one that of routing by 9 %.

use std::hint::black_box;
use std::process::ExitCode;

use muster_benches::Loops;
use muster_ingest::route::Router;
use muster_wire::{CheckInBytes, CheckInRecord};

fn main() -> ExitCode {
    muster_benches::cli::run(Loops { all_valid, route })
}

#[inline(never)]
fn all_valid(records: &[CheckInBytes]) -> bool {
    records
        .iter()
        .all(|bytes| black_box(CheckInRecord::validate(bytes)).is_ok())
}

#[inline(never)]
fn route(router: &mut Router, records: &[CheckInRecord]) {
    for record in records {
        router.check_in(*record);
    }
}
