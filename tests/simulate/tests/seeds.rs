//! Seeds that every test run repeats, determinism of a seed, and a seed that finds each injected fault.

use std::process::Command;

use muster_simulate::injected_fault::InjectedFault;
use muster_simulate::seeds::{self, Report, RunOptions};
use muster_simulate::world::Options;

/// Regressions: seeds that failed once, with the defect that they found.
const REGRESSIONS: [(u64, &str); 1] = [(1845, "a draining server sent Goodbye twice")];

/// Maximum number of seeds to find an injected fault.
const SEEDS_TO_FIND: u64 = 400;

fn run(first_seed: u64, seeds: u64, injected_fault: Option<InjectedFault>) -> Report {
    let run_options = RunOptions {
        first_seed,
        seeds_max: seeds,
        time_max: None,
        threads: 2,
    };
    let options = Options {
        injected_fault,
        on_event: None,
    };
    seeds::run(run_options, options)
}

#[test]
fn the_first_seeds_pass() {
    let report = run(1, 100, None);
    assert!(report.is_clean(), "{:#?}", report.failures);
    assert_eq!(report.seeds, 100);
    // Runs in which nothing happens would pass as well.
    let summary = report.summary;
    let counts = [
        summary.crashes,
        summary.drains,
        summary.policy_revisions,
        summary.checkpoints,
        summary.trims,
        summary.recounts,
        summary.clock_steps,
    ];
    assert!(counts.iter().all(|&count| count > 50), "{summary:?}");
    assert!(summary.acked > 10_000, "{summary:?}");
    assert!(summary.recoveries > summary.crashes, "{summary:?}");
}

#[test]
fn a_run_without_seeds_is_not_clean() {
    assert!(!run(1, 0, None).is_clean());
    for arguments in [["--seeds", "0"], ["--seconds", "0"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-simulate"));
        let output = command.args(arguments).output().expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(arguments[0]), "{arguments:?}: {stderr}");
    }
}

#[test]
fn regressions_pass() {
    for (seed, defect) in REGRESSIONS {
        let report = run(seed, 1, None);
        assert!(report.is_clean(), "{defect}: {:#?}", report.failures);
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let summary = |seed| seeds::run_seed(seed, Options::default()).summary;
    for seed in [3, 14, 15] {
        assert_eq!(summary(seed), summary(seed), "seed {seed}");
    }
    assert_ne!(summary(3).hash, summary(4).hash);
}

#[test]
fn each_injected_fault_is_found() {
    for fault in InjectedFault::ALL {
        let report = run(1, SEEDS_TO_FIND, Some(fault));
        let Some(failure) = report.failures.first() else {
            panic!("{SEEDS_TO_FIND} seeds do not find {fault:?}");
        };
        let check = failure.violation.check;
        assert_ne!(check, "no panic", "{fault:?}: {failure:?}");
        if fault == InjectedFault::RetryFailedWrite {
            assert_eq!(check, "poison", "{failure:?}");
        }
        // The seed reproduces the failure, and passes without the fault.
        let repeated = run(failure.seed, 1, Some(fault));
        assert_eq!(repeated.failures.len(), 1, "{fault:?}");
        assert_eq!(
            repeated.failures[0].violation, failure.violation,
            "{fault:?}"
        );
        assert!(run(failure.seed, 1, None).is_clean(), "{fault:?}");
    }
}
