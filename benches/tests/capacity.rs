//! A quick capacity run completes, verifies every run, and reports every field that scripts read. Figures are not
//! compared with anything.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_muster-benches");

/// Fields that are above 0 in any run.
const FIELDS: [&str; 14] = [
    "ratio_gateway_to_quic",
    "ratio_10m_to_1m",
    "ratio_device_to_raw",
    "ratio_device_to_raw_many_connections",
    "ratio_device_to_raw_window_8",
    "ratio_device_coalesced_to_raw",
    "ratio_connect_to_raw",
    "ratio_storm_to_connect",
    "ratio_raw_resumed_to_full",
    "idle_connection_bytes",
    "bytes_per_device",
    "ack_p99_ms_at_half_load",
    "flush_p99_us",
    "ack_p99_to_paced_flush_p99",
];

/// Latency figures that are above 0 in any run.
const LATENCIES: [&str; 7] = [
    "gateway_half_load_p99_ms",
    "gateway_half_load_from_empty_p99_ms",
    "gateway_heavy_load_p9999_ms",
    "gateway_heavy_load_from_empty_p9999_ms",
    "flush_paced_150k_p50_us",
    "flush_paced_150k_p99_us",
    "flush_paced_150k_p999_us",
];

fn is_above_zero(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

#[test]
fn a_quick_run_has_every_field() {
    for name in ["muster", "muster-loadgen"] {
        let program = Path::new(PROGRAM).with_file_name(name);
        assert!(
            program.exists(),
            "{} is missing: cargo build --release --workspace --bins",
            program.display()
        );
    }
    let output = Command::new(PROGRAM)
        .args(["capacity", "--quick", "--json"])
        .output()
        .expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let json: Value =
        serde_json::from_slice(&output.stdout).expect("standard output is one JSON object");

    for field in FIELDS {
        assert!(is_above_zero(&json[field]), "{field}: {}", json[field]);
    }
    assert_eq!(
        (&json["size"], &json["verified"]),
        (&"quick".into(), &true.into())
    );
    for field in ["commit", "machine", "conditions", "knee", "notes"] {
        assert!(!json[field].is_null(), "{field} is missing");
    }
    let figures = json["figures"].as_object().expect("figures by name");
    for (name, figure) in figures {
        assert_eq!(figure["values"].as_array().map(Vec::len), Some(1), "{name}");
    }
    for name in LATENCIES {
        assert!(is_above_zero(&json["figures"][name]["median"]), "{name}");
    }
    for point in json["knee"]["points"].as_array().expect("points") {
        assert!(is_above_zero(&point["p99_ms"]), "{point}");
    }

    // A peer has a figure, or the reason of its absence.
    let peers = json["peers"].as_object().expect("peers by name");
    assert_eq!(
        peers.keys().collect::<Vec<_>>(),
        ["nats", "postgres", "redis"]
    );
    let mut are_present = false;
    for (name, peer) in peers {
        let is_present = is_above_zero(&peer["check_ins_per_second"]);
        assert!(is_present || peer["absent"].is_string(), "{name}: {peer}");
        are_present |= is_present;
    }
    assert_eq!(is_above_zero(&json["ratio_to_best_peer"]), are_present);
}
