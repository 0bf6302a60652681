//! `muster config check` and `muster config print`.

use std::path::Path;

use super::output;
use crate::config::Config;
use crate::exit::Failure;

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    Config::load(file)?;
    output::print("ok")
}

pub(super) fn print(file: &Path) -> Result<(), Failure> {
    output::print(&Config::load(file)?.to_toml())
}
