//! The same server as `muster`, with kill points: the variable FAILPOINTS says where it is to die.
//!
//! `muster-failpoints kill-points` prints every name and the moment it stands for, with a tab between. For
//! the crash loop only; built with the feature `failpoints` and never shipped.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use muster_cli::{Arguments, Failure, kill_points};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&mut std::io::stderr().lock());
            failure.exit_code().into()
        }
    }
}

fn run() -> Result<(), Failure> {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "kill-points")
    {
        let mut out = std::io::stdout().lock();
        for (name, moment) in kill_points::all() {
            // A reader that has seen enough may close its end.
            let _ = writeln!(out, "{name}\t{moment}");
        }
        return Ok(());
    }
    if let Ok(text) = std::env::var("FAILPOINTS") {
        kill_points::set(&text).map_err(Failure::Usage)?;
    }
    muster_cli::run(Arguments::parse())
}
