//! What all clones of a store and its writer share.
//!
//! Owner: whoever is dropped last. Bounds: one entry a tenant, of whom there are 65,536 at most.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use muster_engine::TenantIndex;

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
    /// Index of every tenant; held while one is added.
    pub(crate) tenants: Mutex<BTreeMap<String, TenantIndex>>,
    /// Whether a [`Writer`] exists: one owner gives log sequence numbers.
    pub(crate) has_writer: AtomicBool,
    pub(crate) notices: Vec<String>,
    /// The lock on the directory; none on a database that is in no directory.
    _claim: Option<Claim>,
}

impl Inner {
    pub(crate) fn new(
        db: Box<dyn Database>,
        shards: u16,
        config: StoreConfig,
        tenants: BTreeMap<String, TenantIndex>,
        notices: Vec<String>,
        claim: Option<Claim>,
    ) -> Self {
        Self {
            db,
            shards,
            config,
            health: Health::default(),
            trim_gate: TrimGate::default(),
            tenants: Mutex::new(tenants),
            has_writer: AtomicBool::new(false),
            notices,
            _claim: claim,
        }
    }
}
