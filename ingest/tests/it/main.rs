//! Tests that start servers and also look where no client or operator does: into a data directory, a session, a queue
//! or the memory bound.
//!
//! What a client and an operator see is tested in `tests/acceptance`. Each test has a server of its own.

mod audit;
mod bad_disk;
mod behind;
mod cut_off;
mod memory;
mod planted;
mod turns;
mod visits;

use muster_testkit::harness;
