//! Runs of the crash loop against the real server: one without findings, and several that must have some.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_crash::disk_backend::{DiskBackend, PlainBackend};
use muster_crash::run::{RunOptions, run};
use serde_json::Value;

use command::{muster_crash, report, server, stderr};

#[test]
fn nothing_acknowledged_is_lost_and_no_files_are_left() {
    let scratch = tempfile::tempdir().unwrap();
    let output = muster_crash(scratch.path(), &["run", "--cycles", "4", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = report(&output);
    assert_eq!(report["cycles"], 4);
    for name in ["lost", "counter_drift", "findings"] {
        assert_eq!(report[name], 0, "{name}: {}", stderr(&output));
    }
    assert!(report["acked"].as_u64() > Some(0), "{report}");
    assert_eq!(report["failure"], Value::Null);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn an_older_state_is_found_kept_and_reproducible() {
    let scratch = tempfile::tempdir().unwrap();
    // The second server of this seed acknowledges thousands of check-ins.
    let arguments = ["run", "--cycles", "10", "--seed", "1", "--sabotage"];
    let output = muster_crash(scratch.path(), &arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let report = report(&output);
    assert_eq!(report["cycles"], 2, "a run ends at its first failure");
    assert!(report["lost"].as_u64() > Some(0), "{report}");
    let directory = report["failure"]["directory"].as_str().expect("a path");
    for file in ["data", "ledger.txt", "muster.toml", "server.log"] {
        assert!(Path::new(directory).join(file).exists(), "{file}");
    }
    assert!(text.contains("--seed 1 --cycles 2 --sabotage"), "{text}");
    assert!(text.contains("was acknowledged or recovered before"));
}

/// A backend that damages the data directory after the second server.
struct DamagingBackend {
    data: PathBuf,
    servers: u64,
    damage: fn(&Path) -> io::Result<()>,
}

impl DiskBackend for DamagingBackend {
    fn name(&self) -> &'static str {
        "damaging"
    }

    fn prepare(&mut self, directory: &Path, seed: u64) -> io::Result<PathBuf> {
        self.data = PlainBackend.prepare(directory, seed)?;
        Ok(self.data.clone())
    }

    fn server_ended(&mut self) -> io::Result<()> {
        self.servers += 1;
        if self.servers == 2 {
            (self.damage)(&self.data)?;
        }
        Ok(())
    }
}

/// The findings of a run on a damaging backend.
fn findings(damage: fn(&Path) -> io::Result<()>) -> Vec<String> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let run_options = RunOptions {
        server: server(),
        scratch: scratch.path().to_owned(),
        cycles: 10,
        time_max: None,
        seed: 1,
        keep: false,
    };
    let mut disk = DamagingBackend {
        data: PathBuf::new(),
        servers: 0,
        damage,
    };
    let report = run(&run_options, &mut disk, &mut |_| ()).expect("the tool does not fail");
    assert!(!report.is_clean());
    report.failure().expect("a failure").findings.clone()
}

#[test]
fn a_missing_directory_is_a_finding() {
    let found = findings(|data| {
        fs::remove_dir_all(data)?;
        fs::create_dir(data)
    });
    assert!(found[0].contains("after the server ended"), "{found:?}");
}

#[test]
fn truncated_logs_are_a_finding() {
    let found = findings(|data| {
        for entry in fs::read_dir(data)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                // Not only the end, which may be an unacknowledged write.
                fs::OpenOptions::new().write(true).open(&path)?.set_len(0)?;
            }
        }
        Ok(())
    });
    assert!(
        !found.is_empty(),
        "everything acknowledged since the start is lost"
    );
}

#[test]
fn a_binary_that_is_not_a_server_is_an_error() {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_muster-crash"))
        .args(["run", "--server", "/bin/false", "--scratch"])
        .arg(scratch.path())
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("pki init"), "{}", stderr(&output));
}
