//! Whole runs against the real server: one that must find nothing, and some that must.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_crash::medium::{Medium, Plain};
use muster_crash::run::{Plan, run};
use serde_json::Value;

use command::{muster_crash, report, said, server};

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_left_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let output = muster_crash(scratch.path(), &["run", "--cycles", "4", "--seed", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["cycles"], 4);
    for name in ["lost", "counter_drift", "findings"] {
        assert_eq!(report[name], 0, "{name}: {}", said(&output));
    }
    assert!(report["acked"].as_u64() > Some(0), "{report}");
    assert_eq!(report["failure"], Value::Null);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn an_older_state_is_found_kept_and_can_be_seen_again() {
    let scratch = tempfile::tempdir().unwrap();
    // The second server of this seed lives until thousands of check-ins are acknowledged.
    let words = ["run", "--cycles", "10", "--seed", "1", "--sabotage"];
    let output = muster_crash(scratch.path(), &words);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(7), "{text}");
    let report = report(&output);
    assert_eq!(report["cycles"], 2, "a run ends with its first failure");
    assert!(report["lost"].as_u64() > Some(0), "{report}");
    let folder = report["failure"]["folder"].as_str().expect("a path");
    for file in ["data", "ledger.txt", "muster.toml", "server.log"] {
        assert!(Path::new(folder).join(file).exists(), "{file}");
    }
    assert!(text.contains("--seed 1 --cycles 2 --sabotage"), "{text}");
    assert!(text.contains("was acknowledged or recovered before"));
}

/// Damages what the second server has left.
struct Damaging {
    data: PathBuf,
    servers: u64,
    damage: fn(&Path) -> io::Result<()>,
}

impl Medium for Damaging {
    fn name(&self) -> &'static str {
        "damaging"
    }

    fn prepare(&mut self, folder: &Path, seed: u64) -> io::Result<PathBuf> {
        self.data = Plain.prepare(folder, seed)?;
        Ok(self.data.clone())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.servers += 1;
        match self.servers {
            2 => (self.damage)(&self.data),
            _ => Ok(()),
        }
    }
}

/// What a run of two servers on such a medium finds.
fn findings(damage: fn(&Path) -> io::Result<()>) -> Vec<String> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let plan = Plan {
        server: server(),
        scratch: scratch.path().to_owned(),
        cycles: 10,
        time_max: None,
        seed: 1,
        keep: false,
    };
    let mut medium = Damaging {
        data: PathBuf::new(),
        servers: 0,
        damage,
    };
    let report = run(&plan, &mut medium, &mut |_| ()).expect("the tool goes on");
    assert!(!report.is_clean());
    report.failure().expect("a failure").findings.clone()
}

#[test]
fn a_directory_that_is_gone_is_a_finding() {
    let found = findings(|data| {
        fs::remove_dir_all(data)?;
        fs::create_dir(data)
    });
    assert!(found[0].contains("after the end of a server"), "{found:?}");
}

#[test]
fn logs_that_lost_everything_are_a_finding() {
    let found = findings(|data| {
        for entry in fs::read_dir(data)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                // Not a part of it: the end may be a write that nobody was told of.
                fs::OpenOptions::new().write(true).open(&path)?.set_len(0)?;
            }
        }
        Ok(())
    });
    assert!(
        !found.is_empty(),
        "what was acknowledged since the start is gone"
    );
}

#[test]
fn a_server_that_is_none_is_said_to_be() {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_muster-crash"))
        .args(["run", "--server", "/bin/false", "--scratch"])
        .arg(scratch.path())
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("pki init"), "{}", said(&output));
}
