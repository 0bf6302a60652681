//! The binary `muster`: parses the command line, runs one command, exits with a documented code.

use std::process::ExitCode;

use clap::Parser;
use muster_cli::Arguments;

fn main() -> ExitCode {
    match muster_cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(&mut std::io::stderr().lock());
            failure.exit_code().into()
        }
    }
}
