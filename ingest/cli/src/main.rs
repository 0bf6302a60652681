//! The binary `muster`: parses the command line, runs one command, exits with a documented code.

use std::process::ExitCode;

use clap::Parser;
use muster_cli::Arguments;

fn main() -> ExitCode {
    muster_cli::end(muster_cli::run(Arguments::parse()))
}
