//! The Muster server as a library: what the binary `muster` is made of, so that tests can use its parts.
//!
//! Owner: the binary; nothing here runs before it is called. The crates `wire`, `engine` and `store` hold
//! the format, the rules and the durable state; this crate connects them to sockets, threads and people.

pub mod cli;
pub mod clock;
pub mod config;
pub mod exit;
pub mod kill_points;
pub mod listing;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod ops;
pub mod phase;
pub mod pki;
pub mod recount;
pub mod recovery;
pub mod restore;
pub mod route;
pub mod server;
pub mod shard;
mod shutdown;
pub mod telemetry;
