//! Standard error and standard output that are not read or cannot be written.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use muster_testkit::clock;
use muster_testkit::muster::Muster;
use muster_testkit::server::Addresses;
use serde_json::Value;

use crate::harness::*;

/// `shutdown.deadline`, and the second that a server waits for the reader of its log, in milliseconds.
const STOP_MAX: u64 = 11_000;

/// A full pipe, which blocks writers until it is read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe can be created");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be non-blocking");
    for size in [4096, 1] {
        while writer.write(&vec![b'\n'; size]).is_ok() {}
    }
    rustix::io::ioctl_fionbio(&writer, false).expect("a pipe can be blocking");
    (reader, writer)
}

/// A server whose standard error is `log`, which the shell receives as its standard input.
#[track_caller]
fn start_with_log(place: &Installation, settings: &Settings, log: PipeWriter) -> Server {
    let command = place.serve_after("exec 2>&0", settings);
    let server = Server::start_with_input(command, log).expect("the server starts");
    server.ops.create_tenants(&settings.tenants);
    server
}

/// A server with redirected standard output, such as `>/dev/full`. The test keeps its own pipe open to detect the end of
/// the process.
#[track_caller]
fn start_with_output(place: &Installation, redirection: &str, input: Stdio) -> Server {
    let commands = format!("exec 3>&1 {redirection}");
    let command = place.serve_after(&commands, &Settings::default());
    let server = Server::start_without_ready_line(command, input, |log| {
        let lines = whole_lines(log.as_bytes());
        let serving = lines.iter().find(|line| line["message"] == "serving")?;
        Some(Addresses {
            quic: serving["quic"].as_str()?.parse().ok()?,
            ops: format!("http://{}", serving["ops"].as_str()?),
            api: None,
        })
    });
    server.ops.create_tenants(&Settings::default().tenants);
    server
}

/// Collects a log as it is written.
fn collect(mut log: PipeReader) -> Arc<Mutex<Vec<u8>>> {
    let text = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut chunk = vec![0; 1 << 16];
        while let Ok(size @ 1..) = log.read(&mut chunk) {
            let mut collected = collected.lock().expect("the lock is not poisoned");
            collected.extend_from_slice(&chunk[..size]);
        }
    });
    text
}

/// The complete lines of a log. Each is either empty or a JSON object.
#[track_caller]
fn whole_lines(text: &[u8]) -> Vec<Value> {
    let end = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = text[..end].split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let parse = |line| match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(line)),
    };
    lines.map(parse).collect()
}

fn dropped(server: &Server) -> u64 {
    server.ops.metrics().get("muster_log_lines_dropped_total") as u64
}

/// Makes the server refuse two clients, each with a line in the log.
#[track_caller]
fn refuses_two(server: &Server, place: &Installation) {
    for number in 0..2 {
        let stranger = place.pki.gateway(&format!("stranger-{number}"), "gw-1");
        let dialled = Raw::dial(server.quic, &place.pki, Some(&stranger));
        let end = dialled.map_or_else(|end| end, |raw| raw.closed());
        assert_eq!(end, Closed::Application(0x22));
    }
}

/// Asserts that the server refuses clients, accepts check-ins, answers operators and stops in time.
#[track_caller]
fn works_and_stops(server: Server, place: &Installation) {
    refuses_two(&server, place);
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut oracle = Oracle::new();
    let mut random = Random::new(6, 0);
    let fleet: Vec<_> = (0..20)
        .map(|number| random_check_in(&mut random, device(number), 1))
        .collect();
    session.check_ins(&fleet);
    session.acknowledged(1);
    oracle.check_ins("contoso", &fleet);
    assert_eq!(server.ops.get("/ready").0, 200);
    assert_eq!(server.ops.cells(), oracle.cells());
    let began = clock::millis();
    server.terminate();
    assert!(matches!(session.reply(), Reply::Goodbye(_)));
    let (code, _) = server.ended();
    let took = clock::millis() - began;
    assert_eq!(code, 0);
    assert!(took < STOP_MAX, "{took} ms");
    assert_eq!(place.recount()["verified"], true);
}

/// X6: `muster serve 2>/dev/full`; log partition fills; reader of the log dies -> serves; lines are dropped and counted.
/// Here: `muster serve 2>/dev/full`.
#[test]
fn x6_a_log_on_a_full_disk_costs_only_lines() {
    let place = Installation::new();
    let server = place.start_after("exec 2>/dev/full", &Settings::default());
    let server = server.expect("the server starts");
    eventually("dropped lines are counted", || {
        (dropped(&server) > 0).then_some(())
    });
    works_and_stops(server, &place);
}

/// X6: `muster serve 2>/dev/full`; log partition fills; reader of the log dies -> serves; lines are dropped and counted.
/// Here: the reader dies, before the start or while the server serves.
#[test]
fn x6_a_log_reader_that_dies_costs_only_lines() {
    for is_dead_at_start in [true, false] {
        let place = Installation::new();
        let (reader, writer) = io::pipe().expect("a pipe can be created");
        let reader = (!is_dead_at_start).then_some(reader);
        let server = start_with_log(&place, &Settings::default(), writer);
        assert!(is_dead_at_start || dropped(&server) == 0);
        drop(reader);
        server.signal("USR1");
        eventually("dropped lines are counted", || {
            (dropped(&server) > 0).then_some(())
        });
        works_and_stops(server, &place);
    }
}

/// X6: `muster serve 2>/dev/full`; log partition fills; reader of the log dies -> serves; lines are dropped and counted.
/// Here: the log reaches a limit of the size of files in the middle of a line, and is cut later -> the log says how many
/// lines are missing, and every line is whole.
#[test]
fn x6_a_log_that_can_be_written_again_reports_the_number_of_dropped_lines() {
    const LIMIT: u64 = 1 << 30;
    let place = Installation::new();
    let path = place.path("muster.log");
    let log = File::create(&path).expect("a scratch directory is writable");
    // Room for a line or two and a part of the next. The sparse file before them takes no space.
    log.set_len(LIMIT - 500).expect("a sparse file");
    let commands = format!("ulimit -f {}; exec 2>>'{}'", LIMIT / 512, text(&path));
    let server = place.start_after(&commands, &Settings::default());
    let server = server.expect("the server starts");
    eventually("dropped lines are counted", || {
        (dropped(&server) > 0).then_some(())
    });
    let length = log.metadata().expect("the file is open").len();
    assert_eq!(length, LIMIT, "the last line is incomplete");
    refuses_two(&server, &place);

    log.set_len(0).expect("the file can be truncated");
    let notice = eventually("the log reports the number", || {
        server.signal("USR2");
        let lines = whole_lines(&fs::read(&path).expect("the file exists"));
        let mut lines = lines.into_iter();
        lines.find(|line| line["dropped_total"].is_u64())
    });
    assert_eq!(notice["level"], "ERROR");
    assert_eq!(notice["dropped_total"], dropped(&server));
    works_and_stops(server, &place);
    let lines = whole_lines(&fs::read(&path).expect("the file exists"));
    let last = lines.last().expect("the log is not empty");
    assert_eq!(last["message"], "stopped");
}

/// X6: `muster serve 2>/dev/full`; log partition fills; reader of the log dies -> serves; lines are dropped and counted.
/// Here: `muster serve >/dev/full` -> serves; the log says that the ready line is missing.
#[test]
fn x6_a_ready_line_that_cannot_be_printed_is_logged() {
    let place = Installation::new();
    let server = start_with_output(&place, ">/dev/full", Stdio::null());
    server.has_logged("cannot print the ready line");
    works_and_stops(server, &place);
}

/// X7: reader of the log hangs (full pipe), two refused clients -> no server thread waits for a log. Here: sessions go
/// on, and the stop is in time.
#[test]
fn x7_a_log_reader_that_hangs_delays_nothing() {
    let place = Installation::new();
    let (reader, writer) = full_pipe();
    let server = start_with_log(&place, &Settings::default(), writer);
    works_and_stops(server, &place);
    drop(reader);
}

/// X7: reader of the log hangs (full pipe), two refused clients -> no server thread waits for a log. Here: with more lines
/// than the queue takes -> lines are dropped and counted; when the reader goes on, the log says how many, and its last
/// lines are there.
#[test]
fn x7_a_log_reader_that_resumes_sees_the_number_of_dropped_lines() {
    let place = Installation::new();
    let (reader, writer) = full_pipe();
    let settings = Settings {
        log: "level = \"trace\"".to_owned(),
        ..Settings::default()
    };
    let server = start_with_log(&place, &settings, writer);
    let sender = Sender::start(&server, &place.pki, "contoso", 1);
    eventually("the queue is full", || (dropped(&server) > 0).then_some(()));
    let acked = sender.frames_acked();
    eventually("check-ins continue", || {
        (sender.frames_acked() > acked + 100).then_some(())
    });
    let mut oracle = Oracle::new();
    sender.finish(&mut oracle);
    assert_eq!(server.ops.cells(), oracle.cells());

    let log = collect(reader);
    let has = |is_wanted: &dyn Fn(&Value) -> bool| {
        let lines = whole_lines(&log.lock().expect("the lock is not poisoned"));
        lines.iter().any(is_wanted).then_some(())
    };
    eventually("the log reports the number", || {
        server.signal("USR1");
        has(&|line| line["dropped_total"].as_u64() > Some(0))
    });
    server.terminate();
    assert_eq!(server.ended().0, 0);
    eventually("the last line is in the log", || {
        has(&|line| line["message"] == "stopped")
    });
}

/// X7: reader of the log hangs (full pipe), two refused clients -> no server thread waits for a log. Here: the reader of
/// standard output hangs -> the server serves and stops without its ready line.
#[test]
fn x7_a_reader_of_standard_output_that_hangs_delays_nothing() {
    let place = Installation::new();
    let (reader, writer) = full_pipe();
    let server = start_with_output(&place, ">&0", writer.into());
    works_and_stops(server, &place);
    drop(reader);
}

fn no_space() -> File {
    let full = File::options().write(true).open("/dev/full");
    full.expect("Linux has /dev/full")
}

/// Variables of the environment of a command.
type Variables<'a> = &'a [(&'static str, String)];

/// Runs a command and returns its exit code and standard error.
#[track_caller]
fn run(
    arguments: &[&str],
    variables: Variables<'_>,
    out: impl Into<Stdio>,
    err: impl Into<Stdio>,
) -> (Option<i32>, String) {
    let mut command = Muster::beside_this_test().command(arguments);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.stdout(out).stderr(err).output();
    let Output { status, stderr, .. } = output.expect("the binary starts");
    (
        status.code(),
        String::from_utf8(stderr).expect("standard error is UTF-8"),
    )
}

#[track_caller]
fn fails_without_space(command: &[&str], variables: Variables<'_>) {
    let (code, err) = run(command, variables, no_space(), Stdio::piped());
    assert_eq!(code, Some(13), "{command:?}: {err}");
    let reason = "muster: cannot write to standard output: No space left on device";
    assert!(err.starts_with(reason), "{command:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{command:?}: {err}");
}

#[track_caller]
fn succeeds_without_reader(command: &[&str], variables: Variables<'_>) {
    let (reader, writer) = io::pipe().expect("a pipe can be created");
    drop(reader);
    let ended = run(command, variables, writer, Stdio::piped());
    assert_eq!(ended, (Some(0), String::new()), "{command:?}");
}

/// X6: `muster serve 2>/dev/full`; log partition fills; reader of the log dies -> serves; lines are dropped and counted.
/// Here: every command. Standard output without space -> exit code 13, and one line that says why; a reader that has seen
/// enough (`| head -1`) -> exit code 0; standard error without space -> the exit code is the same.
#[test]
fn x6_a_command_that_cannot_print_has_its_documented_exit_code() {
    let place = Installation::new();
    let settings = Settings::default();
    let config = place.configure(&settings);
    let (config, data) = (text(&config), place.data());
    let server = place.start_with(&settings);
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    session.check_ins(&[random_check_in(&mut Random::new(6, 1), device(1), 1)]);
    session.acknowledged(1);
    session.goodbye();
    let (ops, id) = (server.ops.base.clone(), device(1).to_string());
    let variables = Graph::new(&place, &server, "contoso", "Administrator").variables();
    let while_serving: [&[&str]; 8] = [
        &["counts"],
        &["counts", "-o", "json"],
        &["devices", "-o", "csv"],
        &["devices", "show", &id],
        &["export", "Devices"],
        &["recount", "--server", &ops],
        &["config", "check", "--config", config],
        &["config", "print", "--config", config],
    ];
    let of_a_directory: [&[&str]; 2] = [
        &["devices", "--data-dir", text(&data)],
        &["recount", "--data-dir", text(&data)],
    ];
    for command in while_serving {
        fails_without_space(command, &variables);
        succeeds_without_reader(command, &variables);
    }
    server.stop();
    for command in of_a_directory {
        fails_without_space(command, &[]);
        succeeds_without_reader(command, &[]);
    }
    fails_without_space(&["pki", "init", "--out", text(&place.path("pki-1"))], &[]);
    succeeds_without_reader(&["pki", "init", "--out", text(&place.path("pki-2"))], &[]);

    let missing = ["config", "check", "--config", "/missing"];
    for out in [Stdio::null(), no_space().into()] {
        assert_eq!(run(&missing, &[], out, no_space()).0, Some(3));
    }
    let refused = ["serve", "--config", config];
    fs::remove_file(place.path("pki/server.key")).expect("the file exists");

    assert_eq!(run(&refused, &[], no_space(), no_space()).0, Some(4));
}
