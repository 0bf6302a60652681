//! The second names of the store's files (docs/reference/STORAGE.md): there while a server runs, gone when it has stopped.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::*;

/// What has a second name, and what has nothing else any more.
fn held(place: &Installation) -> (BTreeSet<String>, BTreeSet<String>) {
    let entries = fs::read_dir(place.data()).expect("the directory exists");
    let names: BTreeSet<String> = entries
        .map(|entry| entry.expect("it can be listed").file_name())
        .map(|name| name.into_string().expect("plain names"))
        .collect();
    let held = names
        .iter()
        .filter_map(|name| name.strip_suffix(".deferred"));
    held.map(str::to_owned)
        .partition(|name| names.contains(name))
}

fn has_log(names: &BTreeSet<String>) -> bool {
    names.iter().any(|name| name.ends_with(".log"))
}

#[test]
fn files_are_held_while_a_server_runs_and_what_a_killed_one_left_goes() {
    let place = Installation::new();
    let server = place.start();
    eventually("the log has a second name", || {
        has_log(&held(&place).0).then_some(())
    });
    server.kill();
    let (left, _) = held(&place);
    assert!(has_log(&left), "{left:?}");

    // A start puts what the log holds into tables and deletes it, also where it holds next to nothing.
    let server = place.start();
    eventually("the old log is given back, and the new one held", || {
        let (present, deleted) = held(&place);
        (has_log(&present) && deleted.is_empty() && present != left).then_some(())
    });
    server.stop();
    assert_eq!(held(&place), Default::default());
}
