//! Tests that start servers and also inspect what clients and operators cannot see: a data directory, a session, a
//! queue or the memory bound.
//!
//! The behaviour that clients and operators see is tested in `tests/acceptance`. Each test has its own server.

mod audit;
mod bad_disk;
mod behind;
mod cut_off;
mod injected;
mod memory;
mod turns;
mod visits;

use muster_testkit::harness;
