//! The job: the check-ins that every peer receives, generated before the clock starts.
//!
//! They are those of one part of a fleet of `muster-loadgen`, with the same devices, seqs, churn and duplicates that
//! Muster is measured with. Each record carries its verdict in the byte that the wire format reserves: compliance and
//! onboarding status, evaluated by the engine's model. Muster evaluates check-ins itself during the run, so this
//! favours the peers.
//!
//! Bounds: 48 bytes per check-in, and twice that while they are split into frames.

use std::collections::HashMap;

use bytes::Bytes;
use muster_engine::{TenantPolicy, Threshold, Timestamp, model::ModelDevice};
use muster_testkit::fleet::{DeviceSet, FleetPart, Shape};
use muster_wire::{
    CheckInBytes, CheckInRecord,
    limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES},
};

/// The size of the device id at the start of a record.
pub const ID_BYTES: usize = 16;

/// The size of the rest of a record, which is the state of the device: it starts with the seq and ends with the
/// verdict.
pub const STATE_BYTES: usize = CHECK_IN_BYTES - ID_BYTES;

/// The offset of the verdict in a record: the reserved byte.
const VERDICT_OFFSET: usize = CHECK_IN_BYTES - 1;

/// The fraction of check-ins that are sent twice.
const DUPLICATES: f64 = 0.005;

/// The time of all check-ins; one time for all is exact, because no rule about silence is evaluated.
const NOW_SECONDS: u32 = 1_700_000_000;

/// A device id as a peer stores it.
pub type Id = [u8; ID_BYTES];

/// The latest state of a device as a peer stores it.
pub type State = [u8; STATE_BYTES];

/// The size of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of devices in the fleet.
    pub devices: u64,
    /// Total number of check-ins.
    pub check_ins: u64,
    /// Seed of the fleet.
    pub seed: u64,
}

/// The check-ins, in the order of sending.
#[derive(Debug)]
pub struct Job {
    size: Size,
    records: Vec<CheckInBytes>,
}

impl Job {
    /// Generates all check-ins with their verdicts.
    pub fn new(size: Size) -> Self {
        let mut part = fleet(&size);
        let policy = TenantPolicy::with_threshold(Threshold::Medium);
        let now = Timestamp::from_seconds(NOW_SECONDS);
        let mut devices: HashMap<Id, ModelDevice> = HashMap::new();
        let mut records = Vec::with_capacity(usize::try_from(size.check_ins).unwrap_or(0));
        let mut frame = Vec::new();
        while part.make_frame(&mut frame, CHECK_INS_PER_FRAME_MAX, now.as_millis()) > 0 {
            for bytes in frame[HEADER_BYTES..].as_chunks::<CHECK_IN_BYTES>().0 {
                let record = CheckInRecord::validate(bytes);
                let record = record.expect("the generator makes only valid check-ins");
                let device = devices
                    .entry(record.device_id().to_bytes())
                    .or_insert_with(|| ModelDevice::new(now));
                device.check_in(&record, &policy, now);
                let facets = device.facets(&policy, now);
                let mut bytes = *bytes;
                let onboarding = facets.onboarding_status().index() as u8;
                bytes[VERDICT_OFFSET] = facets.compliance.index() as u8 | onboarding << 4;
                records.push(bytes);
            }
        }
        Self { size, records }
    }

    /// The size of the job.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Splits the first `check_ins` into frames for each connection. All check-ins of a device are on one connection,
    /// so they stay in order.
    pub fn split(
        &self,
        check_ins: u64,
        connections: usize,
        frame_check_ins: usize,
    ) -> Vec<Vec<Bytes>> {
        let count = usize::try_from(check_ins).unwrap_or(usize::MAX);
        let mut lanes = vec![Vec::new(); connections];
        for record in self.records.iter().take(count) {
            lanes[usize::from(record[0]) % connections].extend_from_slice(record);
        }
        let frame_bytes = frame_check_ins * CHECK_IN_BYTES;
        lanes
            .into_iter()
            .map(|lane| {
                let lane = Bytes::from(lane);
                let starts = (0..lane.len()).step_by(frame_bytes);
                starts
                    .map(|start| lane.slice(start..lane.len().min(start + frame_bytes)))
                    .collect()
            })
            .collect()
    }
}

/// The fleet of a job before its first check-in.
pub(crate) fn fleet(size: &Size) -> FleetPart {
    let mut shape = Shape::new(size.seed);
    shape.duplicates = DUPLICATES;
    let members = DeviceSet::Range {
        first: 0,
        count: size.devices,
    };
    FleetPart::new(&shape, &members, size.check_ins)
}

/// The records of a frame, each as device id and state.
pub fn records(frame: &[u8]) -> impl Iterator<Item = (&Id, &State)> {
    let (records, _) = frame.as_chunks::<CHECK_IN_BYTES>();
    records.iter().filter_map(|record| {
        let (id, state) = record.split_first_chunk::<ID_BYTES>()?;
        Some((id, state.first_chunk::<STATE_BYTES>()?))
    })
}

/// The seq of a state.
pub fn seq(state: &State) -> u64 {
    state
        .first_chunk()
        .map_or(0, |seq| u64::from_le_bytes(*seq))
}

/// The verdict of a state: compliance in the low half, onboarding status in the high half.
pub const fn verdict(state: &State) -> u8 {
    state[STATE_BYTES - 1]
}
