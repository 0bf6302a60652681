//! The acknowledged state: for each device the highest seq and revision that an ack covered.
//!
//! Survives crashes of the server, as a client's memory would.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::{ColdRecord, DeviceRecord, Facets, TenantIndex};
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use muster_wire::{DeviceId, Onboarding, Rejection, Stored};

use crate::fleet::{Device, Fleet};
use crate::frames::{Frame, Kind, SentRecord};
use crate::violation::Violation;

/// The acknowledged state of one device.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    seq: u64,
    revision: u64,
}

/// The acknowledged state of all devices.
#[derive(Debug, Default)]
pub struct AcknowledgedState {
    devices: BTreeMap<Device, Acknowledged>,
    /// Devices whose seq an operator may have reset: it may have any value, and go back with the clock.
    reset: BTreeSet<Device>,
    /// Devices that an operator may have removed: once their retention has ended they are gone, or new.
    removed: BTreeSet<Device>,
}

impl AcknowledgedState {
    /// How many records of a frame may be accepted: repeated and acknowledged ones may not.
    pub fn accepted_max(&self, tenant: TenantIndex, frame: &Frame) -> u64 {
        let new = frame
            .records
            .iter()
            .filter(|record| record.is_valid && self.may_be_new(tenant, record));
        let new: BTreeSet<_> = new
            .map(|record| (record.kind, record.device, record.number))
            .collect();
        new.len() as u64
    }

    fn may_be_new(&self, tenant: TenantIndex, record: &SentRecord) -> bool {
        let device = Device {
            tenant,
            number: record.device,
        };
        self.reset.contains(&device)
            || self.removed.contains(&device)
            || record.number > self.acknowledged(tenant, record)
    }

    /// How many records are of devices that an operator may have reset or removed.
    pub fn acted_on<'a>(
        &self,
        tenant: TenantIndex,
        records: impl Iterator<Item = &'a SentRecord>,
    ) -> u64 {
        let is_acted_on = |record: &&SentRecord| {
            let device = Device {
                tenant,
                number: record.device,
            };
            self.reset.contains(&device) || self.removed.contains(&device)
        };
        records.filter(is_acted_on).count() as u64
    }

    /// Notes that an operator requests a reset of the seq of a device.
    pub fn note_reset(&mut self, device: Device) {
        self.reset.insert(device);
    }

    /// Notes that an operator requests the removal of a device.
    pub fn note_removal(&mut self, device: Device) {
        self.removed.insert(device);
    }

    /// Whether a device may be gone.
    pub fn may_be_gone(&self, device: Device) -> bool {
        self.removed.contains(&device)
    }

    /// The highest acknowledged number of the device and kind of a record.
    fn acknowledged(&self, tenant: TenantIndex, record: &SentRecord) -> u64 {
        let device = Device {
            tenant,
            number: record.device,
        };
        let acknowledged = self.devices.get(&device).copied().unwrap_or_default();
        match record.kind {
            Kind::CheckIn => acknowledged.seq,
            Kind::Inventory => acknowledged.revision,
        }
    }

    /// Adds the records of the frames that an ack covers and that it does not list as rejected. `rejected` is the
    /// number of rejected records; the ack lists the first 64 and none of other frames. If there are more, it is
    /// unknown which records were accepted, and none is added.
    pub fn add(
        &mut self,
        tenant: TenantIndex,
        frames: &[Frame],
        rejected: u64,
        listed: &[Rejection],
        fleet: &Fleet,
    ) -> Result<(), Violation> {
        let (stale, mut rejections): (Vec<_>, Vec<_>) =
            listed.iter().copied().partition(Rejection::is_stale);
        let count = rejections.len() as u64;
        check_stale(frames, &stale, fleet)?;
        let mut accepted = Vec::new();
        for record in frames.iter().flat_map(|frame| &frame.records) {
            let id = if record.has_id {
                fleet.id(record.device)
            } else {
                DeviceId::ZERO
            };
            let index = rejections
                .iter()
                .position(|rejection| rejection.device_id == id && rejection.seq == record.number);
            match index {
                Some(index) => {
                    rejections.remove(index);
                }
                None => accepted.push(record),
            }
        }
        if !rejections.is_empty() || count != rejected.min(REJECTIONS_PER_ACK_MAX as u64) {
            let detail = format!(
                "an ack of {} frames with {rejected} rejected records lists {count}, of which {rejections:?} are not \
                 in these frames",
                frames.len()
            );
            return Err(Violation::new("rejections belong to the frames", detail));
        }
        if count != rejected {
            return Ok(());
        }
        for record in accepted {
            let device = Device {
                tenant,
                number: record.device,
            };
            let acknowledged = self.devices.entry(device).or_default();
            match record.kind {
                Kind::CheckIn => acknowledged.seq = acknowledged.seq.max(record.number),
                Kind::Inventory => {
                    acknowledged.revision = acknowledged.revision.max(record.number);
                }
            }
        }
        Ok(())
    }

    /// The devices with an acknowledged record.
    pub fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.devices.keys().copied()
    }

    /// Checks that a device is not older than its acknowledged state and that its content is what was sent.
    pub fn check(
        &self,
        device: Device,
        found: Option<(&DeviceRecord, &ColdRecord)>,
        fleet: &Fleet,
    ) -> Result<(), Violation> {
        let acknowledged = self.devices.get(&device).copied().unwrap_or_default();
        let found = found.and_then(|(record, cold)| {
            let facets = Facets::from_word(record.facets)?;
            Some((record, facets, u64::from(cold.inventory_revision)))
        });
        let is_removed = self.removed.contains(&device);
        let Some((record, facets, revision)) = found else {
            if is_removed {
                return Ok(());
            }
            let detail = format!("{device:?} is missing, {acknowledged:?}");
            return Err(Violation::new("acknowledged is durable", detail));
        };
        let is_reset = self.reset.contains(&device);
        let is_old = record.seq < acknowledged.seq && !is_reset;
        if !is_removed && (is_old || revision < acknowledged.revision) {
            let seq = record.seq;
            let detail =
                format!("{device:?} has seq {seq} and revision {revision}, {acknowledged:?}");
            return Err(Violation::new("acknowledged is durable", detail));
        }
        if record.seq == 0 || is_reset {
            return Ok(());
        }
        let sent = fleet.check_in(device, record.seq);
        let is_equal = (record.boot_id, record.payload, record.flags)
            == (sent.boot_id, sent.payload, sent.flags)
            && facets.risk == sent.risk
            && facets.partner_threat == sent.partner_threat_state
            && facets.platform == sent.platform
            && facets.management_agent == sent.management_agent
            && facets.onboarded == (sent.onboarding == Onboarding::Onboarded);
        if is_equal {
            return Ok(());
        }
        let detail = format!("{device:?} has {record:?} {facets:?}, but {sent:?} was sent");
        Err(Violation::new("content matches what was sent", detail))
    }
}

/// Checks that each stale record that an ack lists is one of its frames, and older than what the server has.
fn check_stale(frames: &[Frame], stale: &[Rejection], fleet: &Fleet) -> Result<(), Violation> {
    let mut listed = BTreeSet::new();
    for entry in stale {
        let (kind, stored) = match entry.stored {
            Some(Stored::Seq(seq)) => (Kind::CheckIn, seq),
            Some(Stored::Revision(revision)) => (Kind::Inventory, u64::from(revision)),
            None => (Kind::CheckIn, 0),
        };
        let mut records = frames.iter().flat_map(|frame| &frame.records);
        let was_sent = records.any(|record| {
            record.kind == kind
                && record.number == entry.seq
                && fleet.id(record.device) == entry.device_id
        });
        let is_first = listed.insert((entry.device_id, kind));
        if !was_sent || stored <= entry.seq || !is_first {
            let detail =
                format!("{entry:?} is not a stale record of these frames, or listed twice");
            return Err(Violation::new("stale records are listed once", detail));
        }
    }
    Ok(())
}
