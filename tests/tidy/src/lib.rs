//! Empty: this crate consists of tests of the project's structure, sources and documents. See `tests/main.rs`.
