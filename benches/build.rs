//! Records the compiler, target and flags for the guard, which compares instruction counts only of equal builds.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=MUSTER_RUSTC={version}");
    println!("cargo::rustc-env=MUSTER_TARGET={target}");
    let flags = if flags.is_empty() {
        "none".to_owned()
    } else {
        flags.replace('\u{1f}', " ")
    };
    println!("cargo::rustc-env=MUSTER_RUSTFLAGS={flags}");
}
