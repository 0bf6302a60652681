//! Runs whole servers as processes with real clients: check-ins, crashes, stops and every kind of bad input.
//!
//! One file per guarantee. Each test has its own server; tests run in parallel.

mod audit;
mod backup;
mod bad_input;
mod changes;
mod commands;
mod counting;
mod deferred_deletion;
mod devices;
mod directory;
mod durability;
mod floods;
mod graph;
mod issuers;
mod known_flaws;
mod listing;
mod odd_values;
mod overload;
mod policies;
mod pressure;
mod questions;
mod resumption;
mod start_up;
mod stops;
mod tenants;
mod threads;

use muster_testkit::harness;
