//! The load generator of Muster: simulated fleets, and a verdict on every count.
//!
//! A run makes a fleet from a seed, sends its check-ins over connections of gateways or devices, and
//! then compares the server's counts with what the engine's model says they must be, cell by cell.
//! [`handshake_flood`] and [`non_reading`] are misbehaving peers, for trials of a server.
//! The binary `muster-loadgen` is a thin shell over [`run::run`].
//!
//! Bounds: 24 bytes a device, and for each connection one frame and the client's window. What it
//! does not do: it is no client for real devices (that is `muster-client`), and it measures no server
//! but the one it is pointed at.
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
pub mod latency_lanes;
pub mod lateness;
pub mod machine;
pub mod non_reading;
pub mod profile;
pub mod rate;
pub mod report;
pub mod run;
pub mod scenario;
pub mod series;
pub mod verify;
