//! Runs whole servers, as processes, against real clients: what a check-in, a crash, a stop and every
//! kind of bad input do.
//!
//! One file for each promise. Each test has a server of its own; all of them run side by side.

mod backup;
mod bad_input;
mod counting;
mod deferred_deletion;
mod durability;
mod floods;
mod listing;
mod odd_values;
mod overload;
mod peer_flaws;
mod policies;
mod pressure;
mod questions;
mod resumption;
mod start_up;
mod stops;

use muster_testkit::harness;
