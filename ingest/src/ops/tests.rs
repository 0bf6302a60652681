//! The endpoint over shards that answer as told: threads with a control channel and nothing behind it.

mod documents;
mod errors;
mod fixture;
mod metrics;
mod routes;
mod socket;
