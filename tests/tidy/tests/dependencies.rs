//! The allowed dependencies between crates, compared with the manifests.

use super::{CRATES, assert_none, name_of, read, root};
use std::process::Command;

/// For each crate, the crates of this workspace that it may depend on. Every other dependency is a fault.
const MAY_DEPEND_ON: [(&str, &[&str]); 15] = [
    ("wire", &[]),
    ("engine", &["wire"]),
    ("control", &["engine", "wire"]),
    ("store", &["engine", "wire"]),
    ("client", &["wire"]),
    // A request must not reach device state or the store.
    ("api", &["control", "engine", "wire"]),
    ("ingest", &["api", "control", "store", "engine", "wire"]),
    (
        "cli",
        &["ingest", "api", "control", "store", "engine", "wire"],
    ),
    ("testkit", &["client", "wire", "engine"]),
    ("loadgen", &["testkit", "client", "wire", "engine"]),
    ("acceptance", &["testkit", "client", "wire", "engine"]),
    ("crash", &["testkit", "client", "wire", "engine"]),
    (
        "fuzz",
        &["ingest", "api", "control", "store", "engine", "wire"],
    ),
    (
        "simulate",
        &["ingest", "control", "store", "engine", "wire", "testkit"],
    ),
    (
        "benches",
        &[
            "wire", "engine", "store", "client", "ingest", "cli", "testkit",
        ],
    ),
];

/// Crates that no other crate may depend on: shared code is in `testkit`, and others start their programs.
const NO_CRATE_DEPENDS_ON: [&str; 7] = [
    "loadgen",
    "acceptance",
    "crash",
    "fuzz",
    "simulate",
    "benches",
    "tidy",
];

/// Packages that only these crates may depend on: each is wrapped by one crate for all others.
const ONLY_IN: [(&str, &[&str]); 5] = [
    // The benches measure bare RocksDB as well.
    ("rocksdb", &["store", "benches"]),
    // The test kit has a client that violates the protocol.
    ("quinn", &["client", "ingest", "testkit", "benches"]),
    ("axum", &["api"]),
    ("prometheus-client", &["ingest"]),
    ("fuser", &["crash"]),
];

/// Crates that only compute: callers pass in time and bytes.
const PURE_CRATES: [&str; 3] = ["wire", "engine", "control"];

/// Packages with IO, threads or a clock, which the pure crates must not depend on.
const NEVER_IN_PURE_CRATES: [&str; 12] = [
    "async-std",
    "axum",
    "crossbeam",
    "dashmap",
    "mio",
    "quinn",
    "rayon",
    "rocksdb",
    "rustls",
    "socket2",
    "time",
    "tokio",
];

struct Dependency {
    of: String,
    on: String,
    development: bool,
}

/// Every direct dependency of every crate, from the manifests alone.
fn dependencies() -> Vec<Dependency> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs the tests, so it can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let of = unprefixed(&text(&package["name"]));
            list(&package["dependencies"])
                .into_iter()
                .map(move |dependency| Dependency {
                    of: of.clone(),
                    on: unprefixed(&text(&dependency["name"])),
                    development: dependency["kind"] == "dev",
                })
        })
        .collect()
}

/// The name of a package without the prefix that those of this workspace have.
fn unprefixed(package: &str) -> String {
    package
        .strip_prefix("muster-")
        .unwrap_or(package)
        .to_owned()
}

#[test]
fn crates_depend_only_in_the_agreed_direction() {
    let mut faults = Vec::new();
    for Dependency {
        of,
        on,
        development,
    } in dependencies()
    {
        let is_ours = CRATES.iter().any(|folder| name_of(folder) == on);
        if !is_ours || of == on || of == "tidy" {
            continue;
        }
        let (_, allowed) = MAY_DEPEND_ON
            .iter()
            .find(|(name, _)| *name == of)
            .unwrap_or_else(|| panic!("{of} is a new crate: it needs an ADR and a line here"));
        // Tests of the outer crates may use any crate; the pure crates are pure in tests too.
        let free = development && !["wire", "engine", "control", "store"].contains(&of.as_str());
        let taken = NO_CRATE_DEPENDS_ON.contains(&on.as_str());
        if taken || !free && !allowed.contains(&on.as_str()) {
            faults.push(format!("{of} must not depend on {on}"));
        }
    }
    assert_none(&faults);
}

#[test]
fn wrapped_packages_are_named_by_their_wrapper_only() {
    let mut faults = Vec::new();
    for Dependency {
        of,
        on,
        development,
    } in dependencies()
    {
        for (package, crates) in ONLY_IN {
            // Tests of the server use a bare QUIC client, to send what our client never sends.
            let free = development && package == "quinn";
            if on == package && !free && !crates.contains(&of.as_str()) {
                faults.push(format!(
                    "{of} must not depend on {package}, only {crates:?} may"
                ));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn pure_crates_bring_in_no_io_threads_or_clock() {
    let faults: Vec<String> = dependencies()
        .into_iter()
        .filter(|dependency| PURE_CRATES.contains(&dependency.of.as_str()))
        .filter(|dependency| !dependency.development)
        .filter(|dependency| NEVER_IN_PURE_CRATES.contains(&dependency.on.as_str()))
        .map(|dependency| format!("{} must not depend on {}", dependency.of, dependency.on))
        .collect();
    assert_none(&faults);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let faults: Vec<String> = CRATES
        .iter()
        // benches/peers is a separate workspace.
        .filter(|name| **name != "benches/peers")
        .filter(|name| {
            !read(&root().join(name).join("Cargo.toml")).contains("[lints]\nworkspace = true")
        })
        .map(|name| format!("{name}/Cargo.toml lacks [lints] workspace = true"))
        .collect();
    assert_none(&faults);
}
