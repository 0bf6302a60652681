//! The crash loop of Muster: kills servers under load and checks that nothing acknowledged is lost.
//!
//! The loop is another process than the server. It writes down what a server acknowledged, kills the
//! server at a random moment, reads what is on its disk, starts it again, and compares: the ledger,
//! the recovered devices and the counters must agree. The binary `muster-crash` is a thin shell over
//! [`run`] and [`points`].
//!
//! Bounds: one server and one data directory at a time, some thousand devices. What it does not do: it
//! knows nothing of the server's insides. It sees what a client, an operator and a reader of the data
//! directory see.
#![forbid(unsafe_code)]

pub mod answers;
pub mod bad_disk;
pub mod book;
pub mod check;
pub mod cli;
pub mod configuration;
pub mod directory;
pub mod disk;
pub mod draw;
pub mod error;
pub mod ledger;
pub mod listing;
pub mod load;
pub mod medium;
pub mod moment;
pub mod muster;
pub mod observe;
pub mod options;
pub mod points;
pub mod policy;
pub mod process;
pub mod report;
pub mod run;
pub mod sender;
pub mod site;
pub mod stuck;
