//! Shared by the tests and tools of Muster: seeded randomness, simulated fleets and their oracle, certificates, server
//! processes, and access to the operations endpoint and to the kernel's accounting.
//!
//! Bounds: 24 bytes per device of a fleet. What it does not do: send load, or compare counts; its users do.
#![forbid(unsafe_code)]

pub mod cadence;
pub mod clock;
pub mod device;
pub mod fleet;
pub mod harness;
pub mod identities;
pub mod latency;
pub mod muster;
pub mod objects;
pub mod ops;
pub mod oracle;
pub mod population;
pub mod random;
pub mod schedule;
pub mod server;
pub mod usage;
