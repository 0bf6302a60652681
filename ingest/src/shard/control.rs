//! The control channel of a shard: questions from operators and orders from the server.
//!
//! A channel of its own, so that a flood of check-ins cannot starve it. Every question is answered with
//! committed state only: the answer is made at a batch boundary and given once that batch is durable.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel;
use hdrhistogram::Histogram;
use muster_engine::{Cohort, DeviceRecord, Facets, PolicySet, Revision, Sequence, TenantIndex};
use muster_wire::DeviceId;
use tokio::sync::oneshot;

use crate::clock::Stamp;

/// One cell with devices in it, its cohort spelt out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellCount {
    /// Whose devices.
    pub tenant: TenantIndex,
    /// Their owner and tags.
    pub cohort: Cohort,
    /// Their facets.
    pub facets: Facets,
    /// How many.
    pub count: u64,
}

/// One device.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// Its record.
    pub record: DeviceRecord,
    /// Its cohort.
    pub cohort: Cohort,
    /// Its facets.
    pub facets: Facets,
}

/// How a shard is doing.
#[derive(Clone, Debug)]
pub struct ShardReport {
    /// Devices.
    pub devices: u32,
    /// Cells, empty ones included.
    pub cells: usize,
    /// Number of the last commit.
    pub sequence: Sequence,
    /// Policy set in force.
    pub revision: Revision,
    /// Devices that changed cell since the start.
    pub transitions: u64,
    /// Batches since the start.
    pub batches: u64,
    /// Checkpoints completed since the start.
    pub checkpoints: u64,
    /// Rounds of the audit since the start.
    pub audit_rounds: u64,
    /// Devices that they recounted.
    pub audit_devices: u64,
    /// Time of a processor that the audit has taken since the start.
    pub audit_took: Duration,
    /// When the last of them ended, or the shard began.
    pub audit_round_at: Stamp,
    /// Nanoseconds from the reading of a chunk to the offer to the inbox.
    pub decode_to_inbox: Histogram<u64>,
    /// Nanoseconds from the offer to the inbox to the evaluation.
    pub inbox_to_apply: Histogram<u64>,
    /// Check-ins a batch.
    pub batch_check_ins: Histogram<u64>,
}

/// A shard standing still at a committed state, for a recount.
#[derive(Debug)]
pub struct RecountPoint {
    /// Number of the last commit; all of it is durable.
    pub sequence: Sequence,
    /// The counters at that commit.
    pub cells: Vec<CellCount>,
    /// The shard goes on when this is dropped.
    pub release: channel::Sender<()>,
}

/// What can be asked of a shard. On a poisoned store only a recount is dropped unanswered.
#[derive(Debug)]
pub enum Control {
    /// The counters.
    Cells(oneshot::Sender<Vec<CellCount>>),
    /// One device.
    Device {
        /// Whose device.
        tenant: TenantIndex,
        /// Which device.
        device_id: DeviceId,
        /// The answer; `None` for an unknown device.
        reply: oneshot::Sender<Option<Box<DeviceView>>>,
    },
    /// How the shard is doing.
    Report(oneshot::Sender<Box<ShardReport>>),
    /// A new policy set.
    Policy(Arc<PolicySet>),
    /// Stand still at a committed state until told to go on, or for ten seconds.
    Recount(oneshot::Sender<RecountPoint>),
    /// Take what is left in the inbox, checkpoint everything, end.
    Drain,
}
