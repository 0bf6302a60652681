//! Signals that stop a server, and those that do not.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crossbeam::channel::bounded;
use muster_testkit::server::{Addresses, parse_ready};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::harness::*;

const IGNORED: &str = "signal ignored: it has no effect";

/// The signals in the log and their messages, in order.
fn signals(log: &[Value]) -> Vec<(&str, &str)> {
    log.iter()
        .filter_map(|line| Some((line["signal"].as_str()?, line["message"].as_str()?)))
        .collect()
}

#[track_caller]
fn expect_goodbye(session: &mut Session) {
    let Reply::Goodbye(goodbye) = session.reply() else {
        panic!("not a Goodbye")
    };
    assert_eq!(goodbye.code, 0x30, "draining");
    assert_eq!(closed(session), Closed::Application(0x30));
}

/// X8: HUP, QUIT, USR1, USR2; closed terminal -> HUP reloads or drains; the others drain or are ignored; documented. Here:
/// HUP, QUIT, TERM and INT drain: clients get Goodbye, and the exit code is 0.
#[test]
fn x8_hangup_and_quit_drain_like_terminate_and_interrupt() {
    for signal in ["HUP", "QUIT", "TERM", "INT"] {
        let place = Installation::new();
        let server = place.start();
        let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
        server.signal(signal);
        expect_goodbye(&mut session);
        let (code, log) = server.ended();
        assert_eq!(code, 0, "{signal}: {log:#?}");
        assert_eq!(signals(&log), [(&*format!("SIG{signal}"), "draining")]);
        let last = log.last().expect("the log is not empty");
        assert_eq!(last["message"], "stopped");
    }
}

/// X8: HUP, QUIT, USR1, USR2; closed terminal -> HUP reloads or drains; the others drain or are ignored; documented. Here:
/// USR1 and USR2 are ignored, each with a line in the log.
#[test]
fn x8_user_signals_are_ignored_with_a_line_in_the_log() {
    let place = Installation::new();
    let server = place.start();
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    for (number, signal) in [(1, "USR1"), (2, "USR2")] {
        server.signal(signal);
        session.check_ins(&[random_check_in(
            &mut Random::new(8, number),
            device(number),
            1,
        )]);
        session.acknowledged(number);
        server.has_logged_signal(&format!("SIG{signal}"), IGNORED);
    }
    assert_eq!(server.ops.get("/ready").0, 200);
    session.goodbye();
    server.stop();
}

/// X8: HUP, QUIT, USR1, USR2; closed terminal -> HUP reloads or drains; the others drain or are ignored; documented. Here:
/// the terminal closes, to which the log goes too -> as HUP.
#[test]
fn x8_a_server_drains_when_its_terminal_closes() {
    let place = Installation::new();
    // Close-on-exec, so that only the test keeps the terminal open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).expect("a pseudoterminal can be opened");
    grantpt(&terminal).expect("the test owns the terminal");
    unlockpt(&terminal).expect("the test owns the terminal");
    let name = ptsname(&terminal, Vec::new()).expect("the terminal has a name");
    let name = name.into_string().expect("the path is UTF-8");
    // The first terminal that a session leader opens becomes its controlling terminal. The test keeps its own pipe open
    // to detect the end of the process.
    let leader = format!("exec \"$@\" <{name} >{name} 2>{name}");
    let commands = format!("exec 3>&1; set -- setsid sh -c '{leader}' sh \"$@\"");
    let (sender, ready) = bounded(1);
    std::thread::spawn(move || {
        if let Some(found) = read_ready(File::from(terminal)) {
            let _ = sender.send(found);
        }
    });
    let mut terminal = None;
    let command = place.serve_after(&commands, &Settings::default());
    let server = Server::start_without_ready_line(command, Stdio::null(), |_| {
        let (addresses, open) = ready.try_recv().ok()?;
        terminal = Some(open);
        Some(addresses)
    });
    server.ops.create_tenants(&Settings::default().tenants);
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let fleet = [random_check_in(&mut Random::new(8, 0), device(1), 1)];
    session.check_ins(&fleet);
    session.acknowledged(1);
    drop(terminal);
    expect_goodbye(&mut session);
    assert_eq!(server.ended().0, 0);
    let mut oracle = Oracle::new();
    oracle.check_ins("contoso", &fleet);
    let server = place.start();
    assert_eq!(server.ops.cells(), oracle.cells());
}

/// Reads a terminal up to the ready line; returns the addresses and the terminal.
fn read_ready(terminal: File) -> Option<(Addresses, File)> {
    let mut terminal = BufReader::new(terminal);
    let mut line = String::new();
    while terminal.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        if let Some(addresses) = parse_ready(line.trim_end()) {
            return Some((addresses, terminal.into_inner()));
        }
        line.clear();
    }
    None
}

/// X8: HUP, QUIT, USR1, USR2; closed terminal -> HUP reloads or drains; the others drain or are ignored; documented. Here:
/// HUP that was ignored at the start (`nohup`) stays ignored.
#[test]
fn x8_a_hangup_that_was_ignored_at_the_start_stays_ignored() {
    let place = Installation::new();
    let server = place.start_after("trap '' HUP", &Settings::default());
    let server = server.expect("the server starts");
    server.signal("HUP");
    server.signal("USR2");
    server.has_logged_signal("SIGUSR2", IGNORED);
    let log = server.stop();
    let expected = [("SIGUSR2", IGNORED), ("SIGTERM", "draining")];
    assert_eq!(signals(&log), expected);
}

/// X8: HUP, QUIT, USR1, USR2; closed terminal -> HUP reloads or drains; the others drain or are ignored; documented. Here:
/// HUP during a drain, as terminals and service managers send it -> the drain continues.
#[test]
fn x8_a_hangup_does_not_abort_a_drain() {
    for first in ["HUP", "TERM"] {
        let place = Installation::new();
        let server = place.start_with(&Settings {
            listen: "frame_timeout = \"300s\"".to_owned(),
            more: "[shutdown]\ndeadline = \"600s\"".to_owned(),
            ..Settings::default()
        });
        let credentials = place.pki.gateway("contoso", "gw-1");
        let _session = server.session_that_does_not_read(&place.pki, &credentials);
        server.signal(first);
        server.has_logged("draining");
        server.signal("HUP");
        server.has_logged("signal ignored: the server is already draining");

        assert_eq!(server.ops.get("/live").0, 200);
        server.signal("TERM");
        let (signal, log) = server.ended_by_signal();
        assert_eq!(signal, 6, "{log:#?}");
    }
}
