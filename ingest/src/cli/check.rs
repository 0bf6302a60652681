//! `muster config check` and `muster config print`.

use std::path::Path;

use serde_json::json;

use super::{output, table};
use crate::config::Config;
use crate::exit::Failure;
use crate::memory::MemoryBound;

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    output::print("ok")?;
    let shards = match config.shards.count {
        0 => std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16),
        count => count,
    };
    let bound = MemoryBound::of(&config, shards);
    let row = |component: &str, bytes: u64, formula: &str| {
        let mebibytes = bytes.div_ceil(1 << 20);
        json!({"memory, at most": component, "MiB": mebibytes, "by": formula})
    };
    let parts = bound.parts().iter();
    let mut rows: Vec<_> = parts
        .map(|part| row(part.component, part.bytes, part.formula))
        .collect();
    let total = format!("with {shards} shards");
    rows.push(row("total", bound.bytes(), &total));
    output::print(table::list(&rows).trim_end())
}

pub(super) fn print(file: &Path) -> Result<(), Failure> {
    output::print(&Config::load(file)?.to_toml())
}
