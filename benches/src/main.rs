//! The binary `muster-benches`.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_benches::cli::run()
}
