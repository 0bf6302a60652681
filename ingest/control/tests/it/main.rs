//! The control plane, rule by rule: what compiles to what, what is refused, what the bytes are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compiling;
mod entries;
mod limits;
mod refusals;
mod support;
