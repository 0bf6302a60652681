//! Does nothing. Cargo looks at build dependencies only where a build script exists, and the one in
//! Cargo.toml keeps RocksDB from being compiled again for every selection of packages.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
