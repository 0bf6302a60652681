//! `muster config check` and `muster config print`.

use std::path::Path;

use muster_ingest::config::Config;
use muster_ingest::memory::MemoryBound;
use muster_ingest::open_files;
use serde_json::json;

use crate::exit::Failure;
use crate::{output, table};

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    // A server that is started from here would be refused for the same.
    open_files::require(open_files::max_of_server())?;
    output::print("ok")?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = config.shards.threads_on(cores);
    let bound = MemoryBound::of(&config, cores);
    let row = |component: &str, bytes: u64, formula: &str| {
        let mebibytes = bytes.div_ceil(1 << 20);
        json!({"memory bound": component, "MiB": mebibytes, "formula": formula})
    };
    let parts = bound.parts().iter();
    let mut rows: Vec<_> = parts
        .map(|part| row(part.component, part.bytes, part.formula))
        .collect();
    let plural = if threads == 1 { "" } else { "s" };
    let note = match config.shards.threads {
        0 => ", one per core",
        _ => "",
    };
    let total = format!("with {threads} shard thread{plural}{note}");
    rows.push(row("total", bound.bytes(), &total));
    output::print(table::list(&rows).trim_end())?;
    let files = open_files::max_of_server();
    output::print(&format!(
        "open files: at most {files}; the hard limit of the server must allow that many"
    ))
}

pub(super) fn print(file: &Path) -> Result<(), Failure> {
    output::print(&Config::load(file)?.to_toml())
}
