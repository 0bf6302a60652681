//! A scripted server and throw-away certificates, for tests of this crate and of its users.
//!
//! Owner: tests alone; the feature `testing` is never on in what ships. A wrong use panics. What it
//! does not do: no rules; what becomes of a record is up to the test's own judge.

mod pki;
mod server;

pub use pki::TestPki;
pub use server::{Act, FakeServer, Outcome, ReceivedFrame, Script, within};
