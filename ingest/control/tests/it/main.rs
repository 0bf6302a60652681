//! The control plane, rule by rule: compilation, refusals, limits and the encoding of entries.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod chain;
mod compiling;
mod document_types;
mod entries;
mod filters;
mod limits;
mod policies;
mod refusals;
mod roles;
mod support;
mod targeting;
