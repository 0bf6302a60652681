//! Runs whole servers, as processes, against real clients: what a check-in, a crash, a stop and every
//! kind of bad input do.
//!
//! One file for each promise. Each test has a server of its own; all of them run side by side.

mod audit;
mod backup;
mod bad_disk;
mod bad_input;
mod counting;
mod cut_off;
mod deferred_deletion;
mod durability;
mod floods;
mod harness;
mod listing;
mod memory;
mod odd_values;
mod open_files;
mod overload;
mod paths;
mod peer_flaws;
mod policies;
mod pressure;
mod protocol;
mod resumption;
mod start_up;
mod stops;
mod visits;
