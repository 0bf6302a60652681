//! The command line of Muster as a library: the binary `muster` runs it, tests use its modules.
//!
//! Commands, exit codes, the certificate authority, and the tools for a data directory that no server uses. The server
//! is in `muster-ingest`.

mod api_client;
mod commands;
mod contexts;
mod exit;
pub mod kill_points;
mod objects;
pub mod offline;
mod ops_client;
mod output;
pub mod pki;
mod printable;
mod resources;
mod rows;
mod table;

pub use api_client::ApiError;
pub use commands::{Arguments, run};
pub use contexts::ContextError;
pub use exit::{ExitCode, Failure, end};
pub use ops_client::OpsError;
