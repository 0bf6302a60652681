//! A small run of the bench of the API completes, verifies every response, and reports every field. Figures are not
//! compared with anything.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_muster-benches");

fn is_above_zero(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn a_small_run_has_every_field() {
    for name in ["muster", "muster-loadgen"] {
        let program = Path::new(PROGRAM).with_file_name(name);
        assert!(
            program.exists(),
            "{} is missing: cargo build --release --workspace --bins",
            program.display()
        );
    }
    let output = Command::new(PROGRAM)
        .args(["api", "--devices", "1000", "--rate", "1000"])
        .args(["--seconds", "1", "--json"])
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let json: Value =
        serde_json::from_slice(&output.stdout).expect("standard output is one JSON object");
    assert_eq!(json["verified"], true);
    assert_eq!(json["conditions"]["devices"], 1_001);
    let queries = json["queries"].as_object().expect("queries by name");
    assert!(queries.len() >= 10, "{queries:?}");
    for (name, query) in queries {
        assert!(is_above_zero(&query["p99_ms"]), "{name}: {query}");
    }
    for format in ["csv", "json"] {
        let export = &json["exports"][format];
        assert_eq!(export["rows"], 1_001, "{format}");
        assert!(is_above_zero(&export["rows_per_second"]), "{format}");
    }
    let ingest = &json["ingest"];
    assert!(is_above_zero(&ingest["check_ins_per_second_alone"]));
    assert!(is_above_zero(&ingest["queries_answered_per_second"]));
}
