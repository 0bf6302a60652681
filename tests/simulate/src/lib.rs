//! The server of Muster on one thread: real session core, router, shards, writer, store and recovery over a
//! simulated disk and clock, driven by a scheduler that a seed decides.
//!
//! [`world::run`] is the world of one seed: a handful of clients with devices of their own, connections that cut
//! bytes anywhere, inboxes of one part, crashes between any two steps and within writes, disks that fail, operators
//! that change rules, recount and stop. [`seeds::run`] runs many, one a core at a time. What is not in it: QUIC, TLS,
//! HTTP, RocksDB, and the waiting of threads; `crash` has those.
//!
//! # Checks
//!
//! | name | what holds |
//! |---|---|
//! | acks add up | the totals of an ack answer each record of its frames once |
//! | rejections are those of the frames | an ack lists the rejections of the frames it newly covers, up to 64, and no others |
//! | counted once | no more is accepted than can be new, and every journalled record is new to the model |
//! | acknowledged is durable | after a recovery each device is at least where an ack said |
//! | acknowledged is readable | a device that was acknowledged is found by an operator |
//! | contents are what was sent | check-ins and inventories, byte for byte |
//! | counters equal the recount | after a recovery, at rest, and online |
//! | the index finds each device once | and each is in its own shard |
//! | devices are those of the history | no more, no fewer than the journal ever created |
//! | recovery is the memory | a recovery now would come to the same records in the same slots, cell and cohort tables, counters, sequence; and to the revision that the journal to replay or else the newest page was judged by, see [`checks`] |
//! | recovery | what a crash left is never refused, so no trim took what is needed |
//! | no gap | log sequence numbers of the journal, and sequences of each shard |
//! | one value a log sequence number | what is durable in the journal is never written over |
//! | poison | by a write that failed, at once and by nothing else; nothing is written from then on |
//! | protocol | honest clients are not closed for a fault |
//! | audit | the server's own audit finds no drift |
//! | liveness | without faults everything is acknowledged in a bounded number of steps |
//! | counts are the model's | in the end, with every device judged now |
//! | a stop leaves nothing to replay | |
//! | a restart changes no count | |
//! | no panic | nothing in the server panics |
//!
//! # To add to it
//!
//! - An **event** (a new kind of request, a timer): a method of `World` in `world/actions.rs`, a share of
//!   `World::step` or a chance in [`settings::Faults`]; note it in the trace.
//! - A **check**: a function in [`checks`], called from `at_rest` or `recovered`; a row above.
//! - A **defect** to show that the check can fail: a member of [`plant::Plant`], in the disk or between a shard and
//!   the writer. A test asks that each is found.
//! - A journal segment of a new kind: teach it to [`oracle`].
//!
//! Nothing may read a clock, a socket, or the order of a hash map; the same seed must give the same hash.
#![forbid(unsafe_code)]

pub mod checks;
pub mod client;
pub mod disk;
pub mod fleet;
pub mod frames;
pub mod link;
pub mod oracle;
pub mod plant;
pub mod promises;
pub mod seeds;
pub mod server;
pub mod settings;
pub mod trace;
pub mod violation;
pub mod world;
