//! Does nothing. Cargo considers build dependencies only if a build script exists, and the one in Cargo.toml prevents
//! RocksDB from being compiled again for every selection of packages.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
