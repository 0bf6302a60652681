//! Worlds that every test run looks at: seeds that once failed, that a seed is always the same world, and that each
//! planted defect is found.

use std::process::Command;

use muster_simulate::plant::Plant;
use muster_simulate::seeds::{self, Plan, Report};
use muster_simulate::world::Options;

/// Seeds that found something, with what it was. They must hold for ever.
const ONCE_FAILED: [(u64, &str); 1] = [(1845, "a draining server said Goodbye twice")];

/// Worlds until a planted defect has to be found.
const SEEDS_TO_FIND: u64 = 400;

fn run(first: u64, seeds: u64, plant: Option<Plant>) -> Report {
    let plan = Plan {
        first,
        seeds,
        time: None,
        threads: 2,
    };
    seeds::run(plan, Options { plant, shown: None })
}

#[test]
fn the_first_seeds_hold() {
    let report = run(1, 100, None);
    assert!(report.holds(), "{:#?}", report.failed);
    assert_eq!(report.seeds, 100);
    // Worlds in which nothing happens would hold as well.
    let summary = report.summary;
    let happened = [
        summary.crashes,
        summary.drains,
        summary.policy_revisions,
        summary.checkpoints,
        summary.trims,
        summary.recounts,
    ];
    assert!(happened.iter().all(|&times| times > 50), "{summary:?}");
    assert!(summary.acked > 10_000, "{summary:?}");
    assert!(summary.recoveries > summary.crashes, "{summary:?}");
}

#[test]
fn a_run_without_a_world_does_not_hold() {
    assert!(!run(1, 0, None).holds());
    for arguments in [["--seeds", "0"], ["--seconds", "0"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-simulate"));
        let output = command.args(arguments).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(arguments[0]), "{arguments:?}: {said}");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    for (seed, why) in ONCE_FAILED {
        let report = run(seed, 1, None);
        assert!(report.failed.is_empty(), "{why}: {:#?}", report.failed);
    }
}

#[test]
fn a_seed_is_always_the_same_world() {
    let summary = |seed| seeds::one(seed, Options::default()).summary;
    for seed in [3, 14, 15] {
        assert_eq!(summary(seed), summary(seed), "seed {seed}");
    }
    assert_ne!(summary(3).hash, summary(4).hash);
}

#[test]
fn each_planted_defect_is_found() {
    for plant in Plant::ALL {
        let report = run(1, SEEDS_TO_FIND, Some(plant));
        let Some(found) = report.failed.first() else {
            panic!("{plant:?} is not found in {SEEDS_TO_FIND} seeds");
        };
        assert_ne!(found.violation.check, "no panic", "{plant:?}: {found:?}");
        if plant == Plant::RetryFailedWrite {
            assert_eq!(found.violation.check, "poison", "{found:?}");
        }
        // The same seed shows it again, and holds without it.
        let again = run(found.seed, 1, Some(plant));
        assert_eq!(again.failed.len(), 1, "{plant:?}");
        assert_eq!(again.failed[0].violation, found.violation, "{plant:?}");
        assert!(run(found.seed, 1, None).failed.is_empty(), "{plant:?}");
    }
}
