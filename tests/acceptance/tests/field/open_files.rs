//! Limits on open files, and clients of the operations endpoint that open connections and send nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use muster_testkit::clock;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::harness::*;

/// How long a service manager waits for a probe.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// Probes of which one must be answered in time; on a busy machine some may be late.
const PROBES: usize = 5;

fn endpoint(server: &Server) -> SocketAddr {
    let address = server.ops.base.trim_start_matches("http://");
    address.parse().expect("an address")
}

/// Open connections on which only this text was sent.
fn connections(server: &Server, count: usize, text: &str) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(endpoint(server)).expect("the endpoint listens");
        // Fails if the connection has already been evicted.
        let _ = stream.write_all(text.as_bytes());
        stream
    };
    (0..count).map(connect).collect()
}

/// The status of a response that arrives in time.
fn probe(server: &Server, path: &str) -> Option<u16> {
    let began = clock::millis();
    let mut stream = TcpStream::connect_timeout(&endpoint(server), PROBE_MAX).ok()?;
    stream.set_read_timeout(Some(PROBE_MAX)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let took = Duration::from_millis(clock::millis().saturating_sub(began));
    (took <= PROBE_MAX).then_some(status)
}

#[track_caller]
fn probes_are_answered(server: &Server) {
    for path in ["/live", "/ready", "/metrics"] {
        let answers: Vec<_> = (0..PROBES).map(|_| probe(server, path)).collect();
        assert!(answers.contains(&Some(200)), "{path}: {answers:?}");
    }
}

/// Asserts that check-ins are acknowledged, counted and on disk.
#[track_caller]
fn serves(place: &Installation, server: &Server, seq: u64) {
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut random = Random::new(11, 0);
    let fleet: Vec<_> = (0..100)
        .map(|number| random_check_in(&mut random, device(number), seq))
        .collect();
    wait(client.send(&fleet)).expect("the server accepts the check-ins");
    wait(client.close()).expect("the server acknowledges the check-ins");
    assert_eq!(server.ops.metrics().get("muster_store_poisoned"), 0.0);
    assert_eq!(server.ops.seq("contoso", device(0)), seq);
    server.ops.recount_is_verified();
}

/// Lines of the log above the level INFO.
fn warnings(server: &Server) -> Vec<serde_json::Value> {
    let mut log = server.log();
    log.retain(|line| line["level"] != "INFO");
    log
}

/// The number of open files that the message asks for.
#[track_caller]
fn needed(line: &str) -> u64 {
    let (_, after) = line
        .split_once("ulimit -n ")
        .expect("the message gives advice");
    let number = after.split(' ').next().and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number in: {line}"))
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here:
/// hard `RLIMIT_NOFILE` 64, 128 -> refused at the start, and by `config check`, with exit code 9, the number needed and
/// how to raise it; raised as it says, the server serves, with 200 silent connections on top.
#[test]
fn x11_a_hard_limit_that_is_too_low_is_refused_with_a_number_that_is_sufficient() {
    let place = Installation::new();
    let settings = Settings::default();
    let mut sufficient = 0;
    for limit in [64, 128] {
        let commands = format!("ulimit -n {limit}");
        let refused = place.start_after(&commands, &settings);
        let refused = refused.expect_err("the server does not start");
        let line = refused.one_fault(9);
        assert!(line.contains(&format!("is {limit}:")), "{line}");
        assert!(line.contains("LimitNOFILE="), "{line}");
        assert!(
            !place.data().exists(),
            "it is refused before anything is created"
        );
        let checked = place.check_after(&commands, &settings);
        assert_eq!(checked.one_fault(9), line);
        sufficient = needed(line);
    }
    let commands = format!("ulimit -n {sufficient}");
    let checked = place.check_after(&commands, &settings);
    assert!(checked.out.starts_with("ok\n"), "{}", checked.err);
    let server = place
        .start_after(&commands, &settings)
        .expect("the server starts");
    let silent = connections(&server, 200, "");
    probes_are_answered(&server);
    serves(&place, &server, 1);
    drop(silent);
    drop(server.stop());
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here:
/// soft `RLIMIT_NOFILE` 64 below a high hard one -> raised as far as needed, and said so once.
#[test]
fn x11_a_soft_limit_is_raised_as_far_as_needed() {
    let place = Installation::new();
    let settings = Settings::default();
    let server = place.start_after("ulimit -S -n 64", &settings);
    let server = server.expect("the server starts");
    let metrics = server.ops.metrics();
    let limit = metrics.get("muster_process_open_files_max");
    // More than the connections of operators alone need.
    assert!(limit > 128.0, "{limit}");
    assert!(limit < 1024.0, "{limit}: no higher than needed");
    assert!(metrics.get("muster_process_open_files") < 64.0);
    let raised = server.log();
    let raised = raised.iter().filter(|line| line["limit"] == 64);
    assert_eq!(raised.count(), 1);
    let silent = connections(&server, 200, "");
    serves(&place, &server, 1);
    drop(silent);
    drop(server.stop());

    // A command that reads a data directory opens the same files.
    let listed = format!(
        "ulimit -n 64; exec '{}' recount --data-dir '{}'",
        text(muster_testkit::muster::Muster::beside_this_test().path()),
        text(&place.data())
    );
    let ended = std::process::Command::new("sh")
        .args(["-c", &listed])
        .output();
    let ended = CommandOutput::from_output(ended.expect("the shell starts"));
    assert!((needed(ended.one_fault(9)) as f64) < limit);
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here:
/// `RLIMIT_NOFILE` 1024 with 200, then 2,000 silent TCP connections to the operators' port -> probes are answered
/// within a second, check-ins are acknowledged, the store is not poisoned, and the log says it once.
#[test]
fn x11_silent_connections_do_not_block_probes() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(3000),
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the test may open 3,000 files");
    let place = Installation::new();
    let server = place.start_after("ulimit -n 1024", &Settings::default());
    let server = server.expect("the server starts");
    for (seq, count) in [(1, 200), (2, 2000)] {
        let silent = connections(&server, count, "");
        probes_are_answered(&server);
        serves(&place, &server, seq);
        // A connection with an incomplete head counts as silent.
        let half = connections(&server, 200, "GET /counts HTTP/1.1\r\n");
        probes_are_answered(&server);
        let metrics = server.ops.metrics();
        let evicted = metrics.get("muster_ops_connections_evicted_total");
        assert!(evicted >= (count + 200 - 128) as f64, "{evicted}");
        assert!(metrics.get("muster_process_open_files") < 512.0);
        drop((silent, half));
    }
    let log = warnings(&server);
    assert!(log.len() <= 2, "{log:#?}");
    drop(server.stop());
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here:
/// 200 requests that are not brought to their end -> `busy` beyond those that may be under way, and probes and scrapes
/// are answered.
#[test]
fn x11_incomplete_requests_do_not_block_probes() {
    let place = Installation::new();
    let server = place.start();
    let head = "POST /backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{";
    let mut slow = connections(&server, 200, head);
    probes_are_answered(&server);
    let refused = eventually("requests are refused", || {
        let metrics = server.ops.metrics();
        let refused = metrics.get("muster_ops_requests_refused_total");
        (refused >= 100.0).then_some(refused)
    });
    // The last one was sent when no permit was left.
    let mut last = slow.pop().expect("there are 200 connections");
    last.set_read_timeout(Some(DEADLINE))
        .expect("the timeout is not zero");
    let mut answer = String::new();
    last.read_to_string(&mut answer)
        .expect("the request is answered");
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("\"busy\""),
        "{refused}: {answer}"
    );
    drop(slow);
    eventually("a permit is free again", || {
        (server.ops.get("/counts").0 == 200).then_some(())
    });
    drop(server.stop());
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here:
/// `accept` fails again and again, as no file can be opened -> one line in the log, all are counted, and the endpoint
/// answers once it can.
#[test]
fn x11_an_accept_that_fails_is_logged_once_and_counted() {
    let place = Installation::new();
    let server = place.start();
    let process = Pid::from_raw(server.id() as i32);
    let limit = |files| {
        let limit = Rlimit {
            current: Some(files),
            maximum: Some(1024),
        };
        prlimit(process, Resource::Nofile, limit).expect("the server runs as the user of the test");
    };
    let open = || {
        let folder = format!("/proc/{}/fd", server.id());
        fs::read_dir(folder)
            .expect("the server runs as the user of the test")
            .count() as u64
    };
    eventually("ten accepts fail", || {
        limit(open());
        // More accepts fail until the probe gives up.
        let unanswered = probe(&server, "/live");
        limit(1024);
        assert!(unanswered.is_none_or(|status| status == 200));
        let failed = server.ops.metrics().get("muster_ops_accepts_failed_total");
        (failed >= 10.0).then_some(())
    });
    let log = warnings(&server);
    let of_accepts = |line: &&serde_json::Value| line["cause"].is_string();
    let lines: Vec<_> = log.iter().filter(of_accepts).collect();
    assert_eq!(lines.len(), 1, "{log:#?}");
    let cause = lines[0]["cause"].as_str().expect("a string");
    assert!(cause.contains("Too many open files"), "{cause}");
    drop(server.stop());
}

/// X11: `RLIMIT_NOFILE` 64, 128, 1024 with 200 silent TCP connections to the operators' port -> limit raised or refused
/// at start with the number needed; probes keep places of their own; repeated faults logged once with a count. Here: a
/// request that fails again and again for the same cause -> one line in the log.
#[test]
fn x11_a_request_that_fails_repeatedly_is_logged_once() {
    let place = Installation::new();
    let settings = Settings {
        store: "backup_directory = \"backups\"".to_owned(),
        ..Settings::default()
    };
    let server = place.start_with(&settings);
    fs::write(place.path("backups"), "not a directory").unwrap();

    for _ in 0..3 {
        let failed = muster(&["backup", "--server", &server.ops.base, "a"]);
        let line = failed.faults().join("\n");
        assert!(line.contains("backups/a"), "{line}");
    }
    let log = warnings(&server);
    assert_eq!(log.len(), 1, "{log:#?}");
    assert_eq!(log[0]["code"], "backupFailed");
    drop(server.stop());
}
