//! Peers: Redis, PostgreSQL and NATS JetStream at the job of Muster, on the same machine.
//!
//! Every peer receives the check-ins of a fleet of `muster-loadgen`, keeps the latest state of each device and the
//! counts, and acknowledges what is durable. This program starts the peer with the settings in `peers/settings`, drives
//! it in a closed loop, and reads its states and counts back: a run counts only if they equal those of the model.
//! docs/reference/PEERS.md describes the setup of each peer, and where a peer is better than Muster.
//!
//! Bounds: the check-ins of a job are generated before the clock starts and held in memory, twice. Muster itself is not
//! measured here, but by `muster-loadgen`.
#![forbid(unsafe_code)]

pub mod cli;
mod drive;
pub mod job;
mod measure;
pub mod model;
mod nats;
pub mod peer;
mod postgres;
mod process;
mod redis;
pub mod report;
pub mod search;
mod server;
