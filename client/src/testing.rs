//! A scripted server and throwaway certificates, for tests of this crate and of its users.
//!
//! Owner: tests, and the load generator when it measures itself; agents and gateways never enable the feature
//! `testing`. Incorrect use panics. What it does not do: evaluate check-ins; the script of the test decides the outcome
//! of each record.

mod pki;
mod server;

pub use pki::TestPki;
pub use server::{Action, FakeServer, Outcome, ReceivedFrame, Script, within};
