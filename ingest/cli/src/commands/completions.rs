//! `muster completions`: the script with which a shell completes commands.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::exit::Failure;
use crate::output;

/// The arguments of `muster completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell that reads the script.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "muster", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
