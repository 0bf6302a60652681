//! Tests of the backend with fake shards: threads with a control channel and constant replies.

mod audit;
mod changes;
mod documents;
mod fixture;
mod metrics;
mod shards;
