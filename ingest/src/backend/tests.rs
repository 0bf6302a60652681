//! The backend over shards that answer as told: threads with a control channel and nothing behind it.

mod documents;
mod fixture;
mod metrics;
mod shards;
