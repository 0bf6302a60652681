//! A scripted server and throw-away certificates, for tests of this crate and of its users.
//!
//! Owner: tests, and the load generator where it measures itself; no agent and no gateway turns the feature
//! `testing` on. A wrong use panics. What it does not do: no rules; what becomes of a record is up to the test's own judge.

mod pki;
mod server;

pub use pki::TestPki;
pub use server::{Act, FakeServer, Outcome, ReceivedFrame, Script, within};
