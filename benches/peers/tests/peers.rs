//! Each installed peer does a tiny job and holds the states and counts of the model. A peer that is not installed is
//! skipped with a message. Figures are not compared with anything.
#![expect(clippy::print_stdout, reason = "a skipped peer must be reported")]

use std::time::Duration;

use muster_peers::job::{Job, Size};
use muster_peers::peer::Name;
use muster_peers::search::{self, SearchOptions};

fn check(name: Name) {
    let size = Size {
        devices: 300,
        check_ins: 5_000,
        seed: 3,
    };
    let options = SearchOptions {
        peers: vec![name],
        setting: None,
        repeats: 1,
        sending_max: Duration::from_secs(600),
        quick: true,
        directory: std::env::temp_dir(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    let rows = runtime
        .block_on(search::run(&options, &Job::new(size)))
        .expect("an installed peer does the job");
    let [row] = rows.as_slice() else {
        panic!("expected one row, not {}", rows.len());
    };
    match &row.result {
        Err(reason) => println!("SKIPPED: {} is absent: {reason}", name.name()),
        Ok(measured) => {
            let [run] = measured.runs.as_slice() else {
                panic!("expected one run");
            };
            assert_eq!(run.faults, Vec::<String>::new());
            assert_eq!((run.check_ins, run.devices), (5_000, 300));
            assert!(run.disk_bytes > 0 && !run.evidence.is_empty());
        }
    }
}

#[test]
fn redis_does_the_job() {
    check(Name::Redis);
}

#[test]
fn postgres_does_the_job() {
    check(Name::Postgres);
}

#[test]
fn nats_does_the_job() {
    check(Name::Nats);
}
