//! The load generator of Muster: simulates fleets and verifies every count.
//!
//! A run makes a fleet from a seed, sends its check-ins over connections of gateways or devices, and then compares the
//! server's counts with those of the engine's model, cell by cell. [`handshake_flood`] and [`non_reading`] are
//! misbehaving clients, to test a server's limits. The binary `muster-loadgen` is a thin wrapper.
//!
//! Bounds: 24 bytes per device, and for each connection one frame and the client's window. What it does not do: serve
//! as a client for real devices (use `muster-client`), or start servers.
#![forbid(unsafe_code)]

pub mod ceiling;
pub mod cli;
pub mod compare;
pub mod driver;
pub mod error;
pub mod handshake_flood;
pub mod hdr;
pub mod html;
pub mod knee;
pub mod lateness;
pub mod machine;
pub mod non_reading;
pub mod profile;
pub mod rate;
pub mod report;
pub mod run;
pub mod scenario;
pub mod series;
pub mod striped_histograms;
pub mod verify;
