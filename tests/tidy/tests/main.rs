//! Tests of the project's structure and style: dependencies between crates and modules, sources, documents.
//!
//! Every test only reads files of the clone, so its result is the same on every machine. Nothing here repeats a lint of
//! rustc or clippy.

mod circles;
mod conflicts;
mod dependencies;
mod documents;
mod kill_points;
mod rows;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of the crates. A package is named after its folder: `muster-engine` is in `ingest/engine`.
const CRATES: [&str; 17] = [
    "wire",
    "ingest",
    "ingest/api",
    "ingest/cli",
    "ingest/control",
    "ingest/engine",
    "store",
    "client",
    "loadgen",
    "loadgen/testkit",
    "benches",
    "benches/peers",
    "tests/acceptance",
    "tests/crash",
    "tests/fuzz",
    "tests/simulate",
    "tests/tidy",
];

/// A crate is named after its folder.
fn name_of(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

/// The clone that this test runs in. The binary may have been built in another clone that shares the target directory.
fn root() -> PathBuf {
    let tidy = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    Path::new(&tidy)
        .ancestors()
        .nth(2)
        .expect("tests/tidy lies in the clone")
        .to_owned()
}

/// Every file below `folder` with this extension, in a stable order. None if the folder does not exist.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a folder of the clone can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The path relative to the clone, for messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Fails with all faults at once, one per line.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} fault(s):\n{}",
        faults.len(),
        faults.join("\n")
    );
}
