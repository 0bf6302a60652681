//! Whole servers on disks that lose power, lie, fill up and fail.
//!
//! Where nothing can be mounted these tests say so and check nothing.

#[path = "support/command.rs"]
mod command;

use std::process::Output;

use muster_crash::disk::{DiskSettings, ForgetfulDisk};

use command::{muster_crash, report, said};

/// Runs the binary on a disk of its own; none, and a loud word, where no disk can be mounted.
fn on_a_disk(words: &[&str]) -> Option<Output> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    if let Err(error) = ForgetfulDisk::mount(scratch.path(), DiskSettings::default()) {
        eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
        return None;
    }
    Some(muster_crash(scratch.path(), words))
}

#[test]
fn power_takes_nothing_that_was_acknowledged() {
    let words = [
        "run",
        "--disk",
        "forgetful",
        "--cycles",
        "10",
        "--seed",
        "1",
    ];
    let Some(output) = on_a_disk(&words) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    for name in ["lost", "counter_drift", "findings"] {
        assert_eq!(report[name], 0, "{name}: {}", said(&output));
    }
    assert!(report["acked"].as_u64() > Some(0), "{report}");
    // A disk that forgets nothing shows nothing.
    let notes = &report["medium_notes"];
    let ends = ["losses", "killed_only"].map(|name| notes[name].as_u64().unwrap_or(0));
    assert!(ends[0] > 0 && ends[1] > 0, "{report}");
    assert_eq!(ends[0] + ends[1], 10, "{report}");
    assert!(notes["files_changed"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_disk_whose_syncs_are_worth_nothing_is_found_out() {
    let words = ["run", "--disk", "lying", "--cycles", "40", "--seed", "3"];
    let Some(output) = on_a_disk(&words) else {
        return;
    };
    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("--disk lying"), "how to see it again: {text}");
}

#[test]
fn a_full_disk_poisons_the_store_and_is_recovered_from_once_there_is_room() {
    let Some(output) = on_a_disk(&["bad-disk", "--only", "full"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    let [under_load, at_start] = report["faults"].as_array().map_or(&[][..], Vec::as_slice) else {
        panic!("two faults: {report}");
    };
    assert_eq!(under_load["shown"]["ready"], 503);
    assert_eq!(under_load["shown"]["counts"], 200);
    assert_eq!(under_load["shown"]["acked_late"], 0);
    for row in [under_load, at_start] {
        assert_eq!(row["recovered"], true, "{row}");
        assert_eq!(row["lost"], 0, "{row}");
    }
}

#[test]
fn a_failed_sync_is_never_taken_for_done() {
    let Some(output) = on_a_disk(&["bad-disk", "--only", "syncLog"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &report(&output)["faults"][0];
    let reason = row["shown"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("fdatasync"), "{row}");
    assert_eq!(row["recovered"], true, "{row}");
}
