//! The binary `muster`: parses the command line, runs one command, ends with a documented exit code.

use std::process::ExitCode;

use clap::Parser;
use muster_ingest::cli::{self, Arguments};

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&mut std::io::stderr().lock());
            failure.exit_code().into()
        }
    }
}
