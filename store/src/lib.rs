//! Durable storage of Muster: journal, pages, inventory and control objects in RocksDB.
//!
//! Ids are the engine's types; values are bytes, which only the engine interprets. This is the only crate that depends
//! on RocksDB. It starts no threads: the writer thread of `ingest` drives [`Writer`], everything else may be called
//! from any thread. docs/reference/STORAGE.md describes keys, values and the life of a commit.
//!
//! ```
//! use muster_engine::ShardId;
//! use muster_store::{Commit, CommitPart, PoisonReason, ReadError, Sink, Store, StoreConfig};
//!
//! struct Print;
//! impl Sink<()> for Print {
//!     fn committed(&mut self, commit: Commit<()>, _: std::time::Instant) {
//!         for part in commit.parts {
//!             println!("shard {} sequence {} is durable", part.shard, part.sequence);
//!         }
//!     }
//!     fn failed(&mut self, _: Commit<()>, reason: &PoisonReason) {
//!         println!("refused: {reason}");
//!     }
//! }
//!
//! let directory = tempfile::tempdir()?;
//! let store = Store::open(&StoreConfig::new(directory.path()).with_shards(4))?;
//! let mut writer = store.recover(|entry| {
//!     println!("replay {} bytes of shard {}", entry.bytes.len(), entry.shard);
//!     Ok::<(), ReadError>(())
//! })?;
//! let sequence = writer.sequence(ShardId(0)).next();
//! let part = CommitPart { sequence, journal: b"events".to_vec(), ..CommitPart::default() };
//! writer.write(&mut vec![part.into()], &mut Print);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acknowledged_mark;
mod backup;
mod commit;
mod config;
mod control;
pub mod database;
mod deferred_deletion;
mod error;
mod format;
mod health;
mod inner;
mod journal_state;
mod keys;
mod keyspace;
mod kill_point;
mod log;
mod lsn;
mod metrics;
mod paths;
mod restoring;
mod rocks;
mod store;
#[doc(hidden)]
pub mod stored;
mod trim_gate;
mod value;
mod view;
mod writer;

pub use commit::{CheckpointMark, Commit, CommitPart, Sink};
pub use config::StoreConfig;
pub use deferred_deletion::DeferredDeletion;
pub use error::{BackupError, OpenError, ReadError, RestoringError, WriteError};
pub use format::FORMAT_VERSION;
pub use health::{Health, PoisonReason};
pub use keyspace::Keyspace;
pub use kill_point::{KILL_POINTS, kill_point};
pub use log::Log;
pub use lsn::Lsn;
pub use metrics::{StoreMetrics, WriterMetrics};
pub use muster_engine::effects::{InventoryWrite, PageWrite};
pub use paths::{is_inside, resolve};
pub use restoring::{PARTIAL_SUFFIX, Restoring, partial_of};
pub use store::{ReadOnlyStore, Store};
pub use value::{CheckpointRecord, ClockRecord};
pub use view::{JournalEntry, StoreView};
pub use writer::Writer;
