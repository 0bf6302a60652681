//! `muster` with kill points: the variable FAILPOINTS arms them.
//!
//! `muster-failpoints kill-points` prints the name and description of each, separated by a tab. For the crash test
//! only; built with the feature `failpoints` and never shipped.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use muster_cli::{Arguments, Failure, kill_points};

fn main() -> ExitCode {
    muster_cli::end(run())
}

fn run() -> Result<(), Failure> {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "kill-points")
    {
        let mut out = std::io::stdout().lock();
        for (name, description) in kill_points::all() {
            // Fails if the reader has closed the pipe.
            let _ = writeln!(out, "{name}\t{description}");
        }
        return Ok(());
    }
    if let Ok(text) = std::env::var("FAILPOINTS") {
        kill_points::set(&text).map_err(Failure::Usage)?;
    }
    muster_cli::run(Arguments::parse())
}
