//! The binary `muster-peers`.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_peers::cli::run()
}
