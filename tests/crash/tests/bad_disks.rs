//! Servers on disks that lose power, lie, are full, or fail.
//!
//! Where no disk can be mounted these tests print that they are skipped.

#[path = "support/command.rs"]
mod command;

use std::process::Output;

use muster_crash::disk::{DiskSettings, FaultDisk};

use command::{muster_crash, report, stderr};

/// Runs the binary, if a disk can be mounted.
fn run_with_disk(arguments: &[&str]) -> Option<Output> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    if let Err(error) = FaultDisk::mount(scratch.path(), DiskSettings::default()) {
        eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
        return None;
    }
    Some(muster_crash(scratch.path(), arguments))
}

#[test]
fn a_power_loss_loses_nothing_acknowledged() {
    let arguments = [
        "run",
        "--disk",
        "power-loss",
        "--cycles",
        "10",
        "--seed",
        "1",
    ];
    let Some(output) = run_with_disk(&arguments) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    for name in ["lost", "counter_drift", "findings"] {
        assert_eq!(report[name], 0, "{name}: {}", stderr(&output));
    }
    assert!(report["acked"].as_u64() > Some(0), "{report}");
    // A disk that loses nothing would test nothing.
    let statistics = &report["disk_statistics"];
    let counts = ["power_losses", "killed_only"].map(|name| statistics[name].as_u64().unwrap_or(0));
    assert!(counts[0] > 0 && counts[1] > 0, "{report}");
    assert_eq!(counts[0] + counts[1], 10, "{report}");
    assert!(statistics["files_changed"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_lying_disk_is_found() {
    let arguments = ["run", "--disk", "lying", "--cycles", "40", "--seed", "3"];
    let Some(output) = run_with_disk(&arguments) else {
        return;
    };
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(
        text.contains("--disk lying"),
        "the command that reproduces it: {text}"
    );
}

#[test]
fn a_full_disk_poisons_the_store_until_a_restart_with_room() {
    let Some(output) = run_with_disk(&["bad-disk", "--only", "full"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    let [under_load, at_start] = report["faults"].as_array().map_or(&[][..], Vec::as_slice) else {
        panic!("two faults: {report}");
    };
    assert_eq!(under_load["response"]["ready"], 503);
    assert_eq!(under_load["response"]["counts"], 200);
    assert_eq!(under_load["response"]["acked_after_detection"], 0);
    for row in [under_load, at_start] {
        assert_eq!(row["recovered"], true, "{row}");
        assert_eq!(row["lost"], 0, "{row}");
    }
}

#[test]
fn a_failed_sync_poisons_the_store() {
    let Some(output) = run_with_disk(&["bad-disk", "--only", "syncLog"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let row = &report(&output)["faults"][0];
    let reason = row["response"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("fdatasync"), "{row}");
    assert_eq!(row["recovered"], true, "{row}");
}
