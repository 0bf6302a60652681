//! The state that all clones of a store and its writer share.
//!
//! Reference-counted: dropped with the last clone.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use crate::config::StoreConfig;
use crate::database::Database;
use crate::format::Claim;
use crate::health::Health;
use crate::trim_gate::TrimGate;

pub(crate) struct Inner {
    // Fields are dropped in order: the database first, its lock last.
    pub(crate) db: Box<dyn Database>,
    pub(crate) shards: u16,
    pub(crate) config: StoreConfig,
    pub(crate) health: Health,
    pub(crate) trim_gate: TrimGate,
    /// Locked while an entry is appended to the control log.
    pub(crate) appending: Mutex<()>,
    /// Whether a [`Writer`](crate::Writer) exists: only one may assign log sequence numbers.
    pub(crate) has_writer: AtomicBool,
    pub(crate) notices: Vec<String>,
    /// The lock on the directory; `None` for a database without a directory.
    _claim: Option<Claim>,
}

impl Inner {
    pub(crate) fn new(
        db: Box<dyn Database>,
        shards: u16,
        config: StoreConfig,
        notices: Vec<String>,
        claim: Option<Claim>,
    ) -> Self {
        Self {
            db,
            shards,
            config,
            health: Health::default(),
            trim_gate: TrimGate::default(),
            appending: Mutex::default(),
            has_writer: AtomicBool::new(false),
            notices,
            _claim: claim,
        }
    }
}
