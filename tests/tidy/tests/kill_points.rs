//! Kill points: what the code names and what the lists say are the same, so the crash loop visits all of them.

use super::{assert_none, files_below, read, root, shown};
use std::collections::BTreeMap;

/// A call as the sources write it, up to the name.
const CALL: &str = "kill_point(\"";

/// Every name that a call in the sources of these two crates has, with one file that calls it.
fn called() -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for folder in ["store", "ingest"] {
        for path in files_below(&root().join(folder).join("src"), "rs") {
            let text = read(&path);
            for rest in text.split(CALL).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                names.insert(name.to_owned(), shown(&path));
            }
        }
    }
    names
}

#[test]
fn kill_points_in_the_code_and_in_the_lists_are_the_same() {
    let called = called();
    let listed: BTreeMap<&str, &str> = muster_ingest::kill_points::all().copied().collect();
    let mut faults = Vec::new();
    for (name, file) in &called {
        if !listed.contains_key(name.as_str()) {
            faults.push(format!("{file}: kill point {name} is in no list"));
        }
        // The list of a crate names the points of that crate.
        if !file.starts_with(&format!("{}/", name.split('.').next().unwrap_or_default())) {
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
    let count = muster_ingest::kill_points::all().count();
    assert_eq!(count, listed.len(), "a name is listed twice");
}

#[test]
fn kill_points_are_off_unless_asked_for() {
    for manifest in ["store", "ingest"] {
        let text = read(&root().join(manifest).join("Cargo.toml"));
        let default = text.lines().find(|line| line.starts_with("default ="));
        assert_eq!(
            default, None,
            "{manifest}: no default feature may switch them on"
        );
    }
}
