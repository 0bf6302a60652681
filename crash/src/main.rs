//! The binary `muster-crash`: arguments in, a report out, an exit code.
#![forbid(unsafe_code)]

use clap::Parser;
use muster_crash::cli::Cli;

fn main() {
    let Cli {} = Cli::parse();
}
