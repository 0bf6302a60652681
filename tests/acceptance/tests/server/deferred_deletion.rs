//! Deferred deletion (docs/reference/STORAGE.md): the links exist while a server runs and are removed when it stops.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::*;

/// Files with a deferred link: those that still have their original name, and those that do not.
fn linked(place: &Installation) -> (BTreeSet<String>, BTreeSet<String>) {
    let entries = fs::read_dir(place.data()).expect("the directory exists");
    let names: BTreeSet<String> = entries
        .map(|entry| entry.expect("the directory can be listed").file_name())
        .map(|name| name.into_string().expect("the name is UTF-8"))
        .collect();
    let linked = names
        .iter()
        .filter_map(|name| name.strip_suffix(".deferred"));
    linked
        .map(str::to_owned)
        .partition(|name| names.contains(name))
}

fn has_log(names: &BTreeSet<String>) -> bool {
    names.iter().any(|name| name.ends_with(".log"))
}

#[test]
fn files_are_linked_while_a_server_runs_and_links_of_a_killed_one_are_removed() {
    let place = Installation::new();
    let server = place.start();
    eventually("the log is linked", || {
        has_log(&linked(&place).0).then_some(())
    });
    server.kill();
    let (left, _) = linked(&place);
    assert!(has_log(&left), "{left:?}");

    // A start flushes the log to tables and deletes it, even if it is almost empty.
    let server = place.start();
    eventually("the old log is removed and the new one is linked", || {
        let (present, deleted) = linked(&place);
        (has_log(&present) && deleted.is_empty() && present != left).then_some(())
    });
    server.stop();
    assert_eq!(linked(&place), Default::default());
}
