//! The Muster server as a library: the binary `muster` runs it, tests use its modules directly.
//!
//! It connects the protocol (`wire`), the rules (`engine`) and the durable state (`store`) with sockets, threads and
//! operators. Owner: the binary; nothing runs before [`server::run`] is called. Every queue is bounded by a key of
//! [`config`]; [`memory`] adds the bounds up. It does not parse the command line: `muster-cli` does.

mod backend;
pub mod clock;
pub mod config;
mod control_plane;
pub mod kill_points;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod old_policy_sets;
pub mod open_files;
pub mod phase;
pub mod pki;
pub mod recount;
pub mod recovery;
pub mod route;
pub mod server;
pub mod shard;
pub mod telemetry;
pub mod view;
