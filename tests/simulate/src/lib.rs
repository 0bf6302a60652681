//! Deterministic simulation of the server on one thread: real session core, router, shards, writer, store and recovery
//! over a simulated disk and clock. A seed determines every step of the scheduler.
//!
//! [`world::run`] runs one seed: a handful of clients with their devices, connections that split bytes anywhere,
//! inboxes with room for one shard batch, crashes between any two steps and inside writes, failing disks, and
//! operators who change policies, recount and stop the server. [`seeds::run`] runs many seeds, one per core at a
//! time. The simulation leaves out QUIC, TLS, HTTP, RocksDB and blocking threads; `tests/crash` covers those.
//!
//! # Checks
//!
//! | name | what holds |
//! |---|---|
//! | acks add up | the totals of an ack count each record of its frames once |
//! | rejections belong to the frames | an ack lists the rejections of the frames that it newly covers, up to 64, and no others |
//! | counted once | no more records are accepted than can be new, and every journaled record is new to the model |
//! | acknowledged is durable | after a recovery each device is at least at its acknowledged state |
//! | acknowledged is readable | an operator finds every acknowledged device |
//! | content matches what was sent | check-ins and inventories, byte for byte |
//! | counters match the recount | after a recovery, at rest, and online |
//! | the index finds each device once | and each device is in its own shard |
//! | devices match the history | the server has exactly the devices that the journal ever created |
//! | recovery matches memory | a recovery now would rebuild the same records in the same slots, counters and sequence; and the revision of the journal to replay, or else of the newest page, see [`checks`] |
//! | control log | after a recovery its hash chain is whole and has the head of the last entry that was durable |
//! | recovery | recovery never refuses what a crash left, so no trim deleted what it needs |
//! | no gap | neither log sequence numbers nor the sequences of a shard have gaps |
//! | one value per log sequence number | a durable journal value is never overwritten |
//! | poison | a failed write poisons the store at once, and nothing else does; nothing is written afterwards |
//! | protocol | the server does not close honest clients for a protocol violation |
//! | audit | the server's own audit finds no drift |
//! | liveness | without faults everything is acknowledged in a bounded number of steps |
//! | counts match the model | at the end, with every device re-evaluated, and after a restart |
//! | a stop leaves nothing to replay | |
//! | no panic | the server does not panic |
//!
//! # Extending it
//!
//! - An **event** (a new kind of request, a timer): a method of `World` in `world/actions.rs`, called from
//!   `World::step` or with a rate in [`settings::EventRates`]; record it in the trace.
//! - A **check**: a function in [`checks`], called from `at_rest` or `recovered`; add a row above.
//! - An **injected fault** that shows that the check can fail: a variant of [`injected_fault::InjectedFault`], applied
//!   in the disk or between a shard and the writer. A test requires that some seed finds each one.
//! - A **journal segment** of a new kind: decode it in [`oracle`].
//!
//! Nothing may read a clock or a socket, or depend on the order of a hash map: a seed must always give the same hash.
#![forbid(unsafe_code)]

pub mod acknowledged_state;
pub mod checks;
pub mod client;
pub mod connection;
pub mod disk;
pub mod fleet;
pub mod frames;
pub mod injected_fault;
pub mod oracle;
pub mod rules;
pub mod seeds;
pub mod server;
pub mod settings;
pub mod trace;
pub mod violation;
pub mod world;
