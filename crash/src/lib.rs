//! The crash loop of Muster: kills servers under load and checks that nothing acknowledged is lost.
//!
//! The loop is another process than the server. It writes down what a server acknowledged, kills the
//! server at a random moment, reads what is on its disk, starts it again, and compares: the ledger,
//! the recovered devices and the counters must agree. The binary `muster-crash` is a thin shell over
//! [`cli`].
//!
//! What it does not do: it knows nothing of the server's insides. It sees what a client, an operator
//! and a reader of the data directory see.
#![forbid(unsafe_code)]

pub mod cli;
pub mod disk;
