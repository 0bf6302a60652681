//! The Muster server as a library: the binary `muster` runs it, tests use its modules directly.
//!
//! Owner: the binary; nothing here runs before it is called. The crates `wire`, `engine` and `store` hold
//! the format, the rules and the durable state; this crate connects them to sockets, threads and operators.

mod backend;
pub mod clock;
pub mod config;
pub mod kill_points;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod open_files;
pub mod phase;
pub mod pki;
pub mod recount;
pub mod recovery;
pub mod route;
pub mod server;
pub mod shard;
pub mod telemetry;
