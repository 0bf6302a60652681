//! `muster config`: all errors at once, and the effective configuration.

use std::fs;

use crate::{muster, text};

const VALID: &str = include_str!("../../../tests/fixtures/minimal.toml");

#[test]
fn a_valid_configuration_is_ok() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("muster.toml");
    fs::write(&file, VALID).unwrap();
    let ended = muster(&["config", "check", "--config", text(&file)]);
    let checked = ended.done();
    let (ok, memory) = checked.split_once('\n').unwrap();
    assert_eq!(ok, "ok");
    for word in ["connections_max", "inbox_batches", "total"] {
        assert!(memory.contains(word), "{checked}");
    }
}

#[test]
fn all_errors_are_reported_at_once_one_line_each() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("muster.toml");
    let broken = VALID.replace(
        "[store]",
        "idle_timeout = \"30\"\nadress = 1\n[store]\nsize = \"1MiB\"",
    );
    fs::write(
        &file,
        format!("typo = true\n{broken}[ops]\naddress = \"192.0.2.1:80\"\n"),
    )
    .unwrap();
    let ended = muster(&["config", "check", "--config", text(&file)]);
    assert_eq!((ended.code, ended.out.as_str()), (3, ""));
    let name = text(&file);
    let starts = [
        format!("muster: {name}:1: typo: unknown key"),
        format!("muster: {name}:7: listen.idle_timeout: \"30\" is not a duration"),
        format!("muster: {name}:8: listen.adress: unknown key"),
        format!("muster: {name}:10: store.size: unknown key"),
        format!("muster: {name}:13: ops.address: 192.0.2.1:80 can be reached"),
    ];
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(lines.len(), starts.len(), "{}", ended.err);
    for (line, start) in lines.iter().zip(&starts) {
        assert!(
            line.starts_with(start.as_str()),
            "{line}\ndoes not start with\n{start}"
        );
    }
}

#[test]
fn a_printed_configuration_prints_the_same_again() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("muster.toml");
    fs::write(&file, VALID).unwrap();
    let printed = muster(&["config", "print", "--config", text(&file)])
        .done()
        .to_owned();
    assert!(printed.contains("next_check_in = \"8h\""), "{printed}");
    let again = scratch.path().join("elsewhere").join("printed.toml");
    fs::create_dir(again.parent().unwrap()).unwrap();
    fs::write(&again, &printed).unwrap();
    assert_eq!(
        muster(&["config", "print", "--config", text(&again)]).done(),
        printed
    );
}

#[test]
fn a_missing_file_is_an_invalid_configuration() {
    let ended = muster(&["config", "check", "--config", "/nonexistent/muster.toml"]);
    assert!(
        ended
            .one_line(3)
            .starts_with("/nonexistent/muster.toml: cannot be read")
    );
}
