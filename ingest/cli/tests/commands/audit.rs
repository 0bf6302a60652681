//! `muster audit verify` of a data directory, and against a server with predetermined responses.

use serde_json::Value;

use super::ops::answer_once;
use super::{muster, text};

fn verified(arguments: &[&str]) -> Value {
    let ended = muster(&[&["audit", "verify", "--json"], arguments].concat());
    serde_json::from_str(ended.done()).expect("it prints JSON")
}

#[test]
fn a_log_whose_end_is_missing_is_found_with_a_pin() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let [older, newer] = ["older", "newer"].map(|name| scratch.path().join(name));
    let make = |name: &str| {
        let directory = text(&newer);
        let create = ["token", "create", "--tenant", "contoso", "--name", name];
        muster(&[&create[..], &["--data-dir", directory]].concat()).done();
    };
    make("first");
    let report = verified(&["--data-dir", text(&newer)]);
    assert_eq!(report["entries"], 2, "the tenant and the token");
    let early = report["head"].as_str().expect("a head").to_owned();
    std::fs::create_dir(&older).expect("it is new");
    for file in std::fs::read_dir(&newer).expect("it exists") {
        let file = file.expect("it is readable");
        std::fs::copy(file.path(), older.join(file.file_name())).expect("it can be copied");
    }
    make("second");
    let report = verified(&["--data-dir", text(&newer), "--pin", &early]);
    assert_eq!(report["entries"], 3);
    let late = report["head"].as_str().expect("a head");
    verified(&["--data-dir", text(&older), "--pin", &early]);
    let ended = muster(&["audit", "verify", "--data-dir", text(&older), "--pin", late]);
    assert_eq!(ended.code, 7);
    assert!(ended.err.contains("its end is missing"), "{}", ended.err);
    assert!(ended.out.contains(&early), "{}", ended.out);
}

#[test]
fn a_server_verifies_its_own_log() {
    let report = r#"{"verified":true,"entries":7,"head":"9:ab","problem":null}"#;
    let pin = format!("7:{}", "0".repeat(64));
    let (url, answering) = answer_once("200 OK", report);
    let ended = muster(&["audit", "verify", "--server", &url, "--pin", &pin]);
    assert!(ended.done().contains("9:ab"));
    let asked = answering.join().expect("it answers");
    assert_eq!(asked, format!("GET /audit/verify?pin={pin} HTTP/1.1"));

    let report = r#"{"verified":false,"entries":2,"head":"2:ab","problem":"entry 3 is missing"}"#;
    let (url, answering) = answer_once("200 OK", report);
    let ended = muster(&["audit", "verify", "--server", &url]);
    assert_eq!(ended.code, 7);
    assert!(ended.err.starts_with("muster: entry 3 is missing"));
    answering.join().expect("it answers");
    let ended = muster(&["audit", "verify", "--pin", "7"]);
    assert_eq!(ended.code, 2, "{}", ended.err);
}
