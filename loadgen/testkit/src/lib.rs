//! What the tests and instruments of Muster share: seeded randomness, simulated fleets and their oracle, certificates,
//! and what operators and the kernel say of a server.
//!
//! Bounds: 24 bytes a device of a fleet. What it does not do: it sends nothing and judges nothing; that is for those
//! who use it.
#![forbid(unsafe_code)]

pub mod cadence;
pub mod clock;
pub mod device;
pub mod fleet;
pub mod harness;
pub mod identities;
pub mod latency;
pub mod muster;
pub mod ops;
pub mod oracle;
pub mod population;
pub mod random;
pub mod schedule;
pub mod server;
pub mod usage;
