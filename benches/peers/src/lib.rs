//! Peers: Redis, PostgreSQL and NATS JetStream at the job that Muster does, on the same machine.
//!
//! Every peer gets the check-ins of a fleet of `muster-loadgen`, keeps the latest state of each device
//! and the counts, and acks when that is durable. It is started by this program with the settings in
//! `peers/settings`, driven by a closed loop, and read back: a peer whose states or counts are not those
//! of the model has no figure. docs/reference/PEERS.md says how each is set up, and where a peer is better.
//!
//! Bounds: the check-ins of a job are made before the clock starts and are held in memory, twice.
//! What it does not do: it never measures Muster; that is `muster-loadgen`.
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
