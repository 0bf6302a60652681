//! The rules and the device state of Muster, as a functional core: callers pass in time and events, and get effects.
//!
//! A [`Shard`] is a deterministic state machine over the devices of one partition. The journal is the ordered list of
//! the events it accepted; replaying it rebuilds the identical state (design D4). Rule functions cite
//! docs/reference/DOMAIN.md by number (R2, R17 …) and mirror its tables. [`model`] is the slow, obvious oracle that the
//! rest is tested against.
//!
//! Deliberately absent: IO, clocks, threads, randomness, logging. This crate encodes and decodes journal values and
//! pages; the store persists them.
#![forbid(unsafe_code)]

mod bytes;
pub mod cell;
mod context;
pub mod counts;
mod deadlines;
pub mod device;
pub mod effects;
pub mod facet;
mod ids;
mod index;
pub mod journal;
pub mod model;
mod numbers;
pub mod page;
pub mod policy;
mod profile;
pub mod rules;
mod shard;
mod shard_map;
mod slab;
mod time;

pub use cell::{CELL_BYTES, CellKey};
pub use context::{Context, EvaluationTime, PolicyPass, Tick};
pub use counts::Counts;
pub use deadlines::SLOT_BYTES;
pub use device::{ColdRecord, DeviceRecord};
pub use effects::{Effects, Outcome, ProfileDefinition, TRANSITION_BYTES, Transition};
pub use facet::{COMBINATIONS_MAX, FacetWord, Facets};
pub use ids::{
    PAGE_RECORDS, PageNumber, ProfileId, Revision, Sequence, ShardId, SlotIndex, TargetId,
    TenantIndex,
};
pub use index::index_bytes_max;
pub use policy::{PolicySet, Retention, TargetedRules, TenantPolicy};
pub use rules::compliance::Compliance;
pub use rules::managed_by::ManagedBy;
pub use rules::onboarding::OnboardingStatus;
pub use rules::sensor::SensorState;
pub use rules::settings::{DeviceRules, Setting, SettingState};
pub use rules::threat::{Connector, PlatformRules, ThreatSetting, Threshold};
pub use shard::recovery::{Recovery, RecoveryError};
pub use shard::{
    AuditRound, CheckpointProgress, Decisions, SequenceReset, Shard, ShardLimits, ShardSet,
    StaleDevice, Ticked, decide, evaluate, shard_devices_max,
};
pub use shard_map::{SHARDS, ShardMap};
pub use slab::CHUNK_RECORDS as SLAB_CHUNK_RECORDS;
pub use time::Timestamp;
