//! The command line.

use clap::Parser;

/// Kills Muster servers under load and checks that nothing acknowledged is lost.
#[derive(Debug, Parser)]
#[command(name = "muster-crash", version)]
pub struct Cli {}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
