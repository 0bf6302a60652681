//! The crash loop of Muster: it kills servers under load and checks that nothing acknowledged is lost.
//!
//! The loop runs in another process than the server. It records what a server has acknowledged, kills the server at a
//! random time, reads its disk, starts it again, and compares: ledger, recovered devices and counters must agree. The
//! binary `muster-crash` is a thin shell over [`run`], [`points`] and [`bad_disk`].
//!
//! Bounds: one server and one data directory at a time, some thousand devices. The loop knows nothing of the server's
//! internals: it sees what a client, an operator and a reader of the data directory see.
#![forbid(unsafe_code)]

pub mod answers;
pub mod bad_disk;
pub mod check;
pub mod cli;
pub mod configuration;
pub mod directory;
pub mod disk;
pub mod disk_backend;
pub mod environment;
pub mod error;
pub mod hanging_disk;
pub mod ledger;
pub mod listing;
pub mod load;
pub mod muster;
pub mod observe;
pub mod options;
pub mod points;
pub mod policy;
pub mod report;
pub mod run;
pub mod sampling;
pub mod sender;
pub mod shared_ledger;
pub mod termination;
