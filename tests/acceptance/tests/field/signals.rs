//! Signals that stop a server, and those that do not.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crossbeam::channel::bounded;
use muster_testkit::server::{Addresses, parse_ready};
use muster_wire::limits::{HEADER_BYTES, SERVER_HELLO_BYTES};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::harness::*;

const IGNORED: &str = "signal ignored, it has no effect";

/// What the log says of signals, in order.
fn signals(log: &[Value]) -> Vec<(&str, &str)> {
    log.iter()
        .filter_map(|line| Some((line["signal"].as_str()?, line["message"].as_str()?)))
        .collect()
}

#[track_caller]
fn gets_goodbye(session: &mut Session) {
    let Reply::Goodbye(goodbye) = session.reply() else {
        panic!("no goodbye")
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
        gets_goodbye(&mut session);
        let (code, log) = server.ended();
        assert_eq!(code, 0, "{signal}: {log:#?}");
        assert_eq!(signals(&log), [(&*format!("SIG{signal}"), "draining")]);
        let last = log.last().expect("it is not empty");
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
    // Closed on exec: only the test keeps the terminal open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).expect("a terminal can be opened");
    grantpt(&terminal).expect("it is ours");
    unlockpt(&terminal).expect("it is ours");
    let name = ptsname(&terminal, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("a path of Linux");
    // The first terminal that the leader of a session opens becomes its terminal. The test keeps its own pipe open to see
    // the end of the process.
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
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let fleet = [random_check_in(&mut Random::new(8, 0), device(1), 1)];
    session.check_ins(&fleet);
    session.acknowledged(1);
    drop(terminal);
    gets_goodbye(&mut session);
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
    let server = server.expect("it starts");
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
        let tenants = Settings::default().tenants;
        let server = place.start_with(&Settings {
            listen: "frame_timeout = \"300s\"".to_owned(),
            tenants: format!("[shutdown]\ndeadline = \"600s\"\n{tenants}"),
            ..Settings::default()
        });
        // Reads the Hello and not a byte more, so the drain waits for it.
        let credentials = place.pki.gateway("contoso", "gw-1");
        let window = (HEADER_BYTES + SERVER_HELLO_BYTES) as u32;
        let mut non_reading = Raw::dial_with_window(server.quic, &place.pki, &credentials, window)
            .expect("it connects")
            .stream();
        non_reading.write(&hello(1, 1));
        eventually("the session is open", || {
            (server.ops.sessions() == 1).then_some(())
        });
        server.signal(first);
        server.has_logged("draining");
        server.signal("HUP");
        server.has_logged("signal ignored, the server is draining");
        assert_eq!(server.ops.get("/live").0, 200);
        server.signal("TERM");
        let (signal, log) = server.ended_by_signal();
        assert_eq!(signal, 6, "{log:#?}");
    }
}
