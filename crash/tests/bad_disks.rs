//! Whole servers on disks that lose power, lie, fill up and fail.
//!
//! Where nothing can be mounted these tests say so and check nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use muster_crash::disk::{DiskSettings, ForgetfulDisk};
use serde_json::Value;

/// Runs the binary below a scratch directory; none, and a loud word, where no disk can be mounted.
fn muster_crash(words: &[&str]) -> Option<Output> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    if let Err(error) = ForgetfulDisk::mount(scratch.path(), DiskSettings::default()) {
        eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
        return None;
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_muster-crash"));
    let server: PathBuf = binary.with_file_name("muster");
    assert!(
        server.exists(),
        "{} is missing: cargo build --release --workspace --bin muster",
        server.display()
    );
    let output = Command::new(binary)
        .args(words)
        .args(["--json", "--server"])
        .arg(server)
        .arg("--scratch")
        .arg(scratch.path())
        .output();
    Some(output.expect("the binary starts"))
}

fn report(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    let last = out.lines().last().expect("a run prints its report");
    serde_json::from_str(last).expect("a report is JSON")
}

/// What it said on the way, to look at when a test fails.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
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
    let Some(output) = muster_crash(&words) else {
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
    let Some(output) = muster_crash(&words) else {
        return;
    };
    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains("--disk lying"), "how to see it again: {text}");
}

#[test]
fn a_full_disk_poisons_the_store_and_is_recovered_from_once_there_is_room() {
    let Some(output) = muster_crash(&["bad-disk", "--only", "full"]) else {
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
    let Some(output) = muster_crash(&["bad-disk", "--only", "syncLog"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let row = &report(&output)["faults"][0];
    let reason = row["shown"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("fdatasync"), "{row}");
    assert_eq!(row["recovered"], true, "{row}");
}
