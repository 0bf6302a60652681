//! The control channel of a shard thread: queries of operators and commands of the server.
//!
//! Separate from the inbox, so that a flood of check-ins cannot starve it; bounded by the sender. A query sees
//! committed state only: the thread answers it at a batch boundary and sends the reply once that batch is durable.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel;
use hdrhistogram::Histogram;
use muster_api::{DateQuery, Dated, Position};
use muster_engine::{
    ColdRecord, DeviceRecord, Facets, PolicySet, Revision, Sequence, SequenceReset, ShardId,
    StaleDevice, TargetId, TenantIndex,
};
use muster_wire::DeviceId;
use tokio::sync::oneshot;

use crate::clock::Stamp;

/// One cell, its facets decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellCount {
    /// The tenant of the devices.
    pub tenant: TenantIndex,
    /// Their facets.
    pub facets: Facets,
    /// Number of devices.
    pub count: u64,
}

/// One device.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// Its record.
    pub record: DeviceRecord,
    /// Its cold record.
    pub cold: ColdRecord,
    /// Its facets.
    pub facets: Facets,
    /// Since when its check-ins are stale, in seconds.
    pub stale_since: Option<u32>,
    /// The targets that hold for it.
    pub targets: Vec<TargetId>,
}

/// What a query finds a device by.
#[derive(Clone, Copy, Debug)]
pub enum DeviceKey {
    /// Its id: also a removed device.
    Id(DeviceId),
    /// Its position: only a device that is not removed.
    At(Position),
}

/// The devices of some slots that come first by a date.
#[derive(Clone, Debug, Default)]
pub struct DatedSlice {
    /// In no order, at most as many as the query wants.
    pub first: Vec<(Dated, DeviceView)>,
    /// Number of devices that were wanted when they were found.
    pub count: u64,
    /// Where to continue; `None` at the end.
    pub next: Option<Position>,
}

/// All targets of a device.
pub type DeviceTargets = (TenantIndex, DeviceId, Vec<TargetId>);

/// The state of a shard.
#[derive(Clone, Debug)]
pub struct ShardReport {
    /// The shard.
    pub shard: ShardId,
    /// Devices, without the removed ones.
    pub devices: u32,
    /// Removed devices whose retention has not ended.
    pub removed: u32,
    /// Slots of devices.
    pub slots: u32,
    /// Slots that the policy pass in progress has reached.
    pub policy_pass: Option<u32>,
    /// Cells by tenant.
    pub cells: Vec<u32>,
    /// Sequence of the last commit.
    pub sequence: Sequence,
    /// Revision of the policy set in force, or of that which the pass in progress puts in force.
    pub revision: Revision,
}

/// The statistics of a shard thread, and the state of its shards.
#[derive(Clone, Debug)]
pub struct ThreadReport {
    /// Its shards.
    pub shards: Vec<ShardReport>,
    /// Devices that changed cell since the start.
    pub transitions: u64,
    /// Batches since the start.
    pub batches: u64,
    /// Checkpoints completed since the start.
    pub checkpoints: u64,
    /// Audit rounds completed since the start.
    pub audit_rounds: u64,
    /// Devices recounted by these rounds.
    pub audit_devices: u64,
    /// CPU time of the audit since the start.
    pub audit_took: Duration,
    /// When the last audit round ended, or the thread started.
    pub audit_round_at: Stamp,
    /// Nanoseconds from reading a chunk to offering its shard batches to the inbox.
    pub decode_to_inbox: Histogram<u64>,
    /// Nanoseconds from the offer to the inbox to the evaluation.
    pub inbox_to_apply: Histogram<u64>,
    /// Check-ins per batch.
    pub batch_check_ins: Histogram<u64>,
}

/// A thread that is paused at a committed state, for a recount.
#[derive(Debug)]
pub struct RecountPoint {
    /// The counters of its shards at the last commit, which is durable.
    pub cells: Vec<CellCount>,
    /// The thread resumes when this is dropped.
    pub release: channel::Sender<()>,
}

/// A message to a shard thread. On a poisoned store a recount and everything that changes state are dropped without a reply.
#[derive(Debug)]
pub enum Control {
    /// One device.
    Device {
        /// The tenant of the device.
        tenant: TenantIndex,
        /// The id of the device.
        device_id: DeviceId,
        /// The reply; `None` for an unknown device.
        reply: oneshot::Sender<Option<Box<DeviceView>>>,
    },
    /// Some devices.
    Devices {
        /// Their tenant.
        tenant: TenantIndex,
        /// Which.
        keys: Vec<DeviceKey>,
        /// The reply: those that exist, each with its index in `keys`, in the same order.
        reply: oneshot::Sender<Vec<(usize, DeviceView)>>,
    },
    /// The devices that come first by a date.
    Dated {
        /// Their tenant.
        tenant: TenantIndex,
        /// Where to begin.
        from: Position,
        /// Which.
        query: Arc<DateQuery>,
        /// The reply: those of the next slots.
        reply: oneshot::Sender<DatedSlice>,
    },
    /// Which of some devices do not exist.
    Unknown {
        /// The tenant of the devices.
        tenant: TenantIndex,
        /// Their ids.
        devices: Vec<DeviceId>,
        /// The reply: those that do not exist, in the same order.
        reply: oneshot::Sender<Vec<DeviceId>>,
    },
    /// The devices whose check-ins are stale.
    Stale(oneshot::Sender<Vec<StaleDevice>>),
    /// Resets the numbers of a device to the clock.
    ResetSequence {
        /// The tenant of the device.
        tenant: TenantIndex,
        /// The id of the device.
        device_id: DeviceId,
        /// The reply, once that is durable; `None` for an unknown device.
        reply: oneshot::Sender<Option<SequenceReset>>,
    },
    /// Sets the targets of devices.
    Targets {
        /// The targets of devices that this thread owns.
        devices: Vec<DeviceTargets>,
        /// Whether these are all devices that have any.
        is_complete: bool,
        /// The reply, once that is durable: the number of devices that changed.
        reply: oneshot::Sender<u32>,
    },
    /// Removes a device.
    Remove {
        /// The tenant of the device.
        tenant: TenantIndex,
        /// The id of the device.
        device_id: DeviceId,
        /// The reply, once that is durable: whether it was not removed before; `None` for an unknown device.
        reply: oneshot::Sender<Option<bool>>,
    },
    /// Restores a removed device.
    Restore {
        /// The tenant of the device.
        tenant: TenantIndex,
        /// The id of the device.
        device_id: DeviceId,
        /// The reply, once that is durable: whether it was removed; `None` for an unknown device.
        reply: oneshot::Sender<Option<bool>>,
    },
    /// The statistics of the thread, and the state of its shards.
    Report(oneshot::Sender<Box<ThreadReport>>),
    /// Puts a policy set in force.
    Policy {
        /// The policy set.
        policy: Arc<PolicySet>,
        /// The reply, once that is durable: the number of devices that changed. Dropped if it never will be.
        reply: Option<oneshot::Sender<u32>>,
    },
    /// Evaluates every device that is due at the current time.
    Tick(oneshot::Sender<()>),
    /// Pauses the thread at a committed state until the point is dropped, at most ten seconds.
    Recount(oneshot::Sender<RecountPoint>),
    /// Takes the rest of the inbox, checkpoints everything, and ends the thread.
    Drain,
}

impl Control {
    /// Puts a policy set in force, without a reply.
    pub fn policy(policy: &Arc<PolicySet>) -> Self {
        Self::Policy {
            policy: Arc::clone(policy),
            reply: None,
        }
    }
}
