//! The kill points that the code calls equal those in the lists of the crates, so the crash loop visits all of them.

use super::{assert_none, files_below, name_of, read, root, shown};
use std::collections::BTreeMap;

/// The text of a call, up to the name of the point.
const CALL: &str = "kill_point(\"";

/// The folders of the crates that have kill points.
const FOLDERS: [&str; 3] = ["store", "ingest", "ingest/cli"];

/// Every kill point that the sources call, with its crate and one file that calls it.
fn called() -> BTreeMap<String, (&'static str, String)> {
    let mut names = BTreeMap::new();
    for folder in FOLDERS {
        for path in files_below(&root().join(folder).join("src"), "rs") {
            let text = read(&path);
            for rest in text.split(CALL).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                names.insert(name.to_owned(), (name_of(folder), shown(&path)));
            }
        }
    }
    names
}

#[test]
fn kill_points_in_the_code_and_in_the_lists_are_the_same() {
    let called = called();
    let listed: BTreeMap<&str, &str> = muster_cli::kill_points::all().copied().collect();
    let mut faults = Vec::new();
    for (name, (crate_name, file)) in &called {
        if !listed.contains_key(name.as_str()) {
            faults.push(format!("{file}: kill point {name} is in no list"));
        }
        // The list of a crate names the points of that crate.
        if name.split('.').next() != Some(crate_name) {
            faults.push(format!(
                "{file}: kill point {name} is named after another crate"
            ));
        }
    }
    for name in listed.keys() {
        if !called.contains_key(*name) {
            faults.push(format!(
                "kill point {name} is listed and nowhere in the code"
            ));
        }
    }
    assert_none(&faults);
    let count = muster_cli::kill_points::all().count();
    assert_eq!(count, listed.len(), "a name is listed twice");
}

#[test]
fn kill_points_are_off_unless_asked_for() {
    for manifest in FOLDERS {
        let text = read(&root().join(manifest).join("Cargo.toml"));
        let default = text.lines().find(|line| line.starts_with("default ="));
        assert_eq!(
            default, None,
            "{manifest}: no default feature may switch them on"
        );
    }
}
