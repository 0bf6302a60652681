//! What acknowledgements have promised: of each device, the highest check-in and inventory that must be there.
//!
//! Lives through every crash of the server, as the memory of its clients would.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::{DeviceRecord, Facets, TenantIndex};
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use muster_wire::{DeviceId, Onboarding, Rejection};

use crate::fleet::{Device, Fleet};
use crate::frames::{Frame, Kind, Sent};
use crate::violation::Violation;

/// Of one device.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    seq: u64,
    revision: u64,
}

/// Of all devices.
#[derive(Debug, Default)]
pub struct Promises {
    devices: BTreeMap<Device, Promise>,
}

impl Promises {
    /// How many records of a frame may be accepted: each once, and none that is acknowledged already.
    pub fn news(&self, tenant: TenantIndex, frame: &Frame) -> u64 {
        let news = frame
            .records
            .iter()
            .filter(|record| record.is_valid && record.number > self.promised(tenant, record));
        let news: BTreeSet<_> = news
            .map(|record| (record.kind, record.device, record.number))
            .collect();
        news.len() as u64
    }

    fn promised(&self, tenant: TenantIndex, record: &Sent) -> u64 {
        let device = Device {
            tenant,
            number: record.device,
        };
        let promise = self.devices.get(&device).copied().unwrap_or_default();
        match record.kind {
            Kind::CheckIn => promise.seq,
            Kind::Inventory => promise.revision,
        }
    }

    /// An ack covers these frames and counts `rejected` of their records. It lists them, up to 64, and none of other
    /// frames. If it had to leave some out, nothing is promised of these frames; else all that it does not list.
    pub fn keep(
        &mut self,
        tenant: TenantIndex,
        frames: &[Frame],
        rejected: u64,
        listed: &[Rejection],
        fleet: &Fleet,
    ) -> Result<(), Violation> {
        let mut rejections = listed.to_vec();
        let mut kept = Vec::new();
        for record in frames.iter().flat_map(|frame| &frame.records) {
            let id = match record.has_id {
                true => fleet.id(record.device),
                false => DeviceId::ZERO,
            };
            let place = rejections
                .iter()
                .position(|rejection| rejection.device_id == id && rejection.seq == record.number);
            match place {
                Some(place) => {
                    rejections.remove(place);
                }
                None => kept.push(record),
            }
        }
        let count = listed.len() as u64;
        if !rejections.is_empty() || count != rejected.min(REJECTIONS_PER_ACK_MAX as u64) {
            let what = format!(
                "an ack of {} frames with {rejected} rejected records lists {count}, of which {rejections:?} are not \
                 in these frames",
                frames.len()
            );
            return Err(Violation::new("rejections are those of the frames", what));
        }
        if count != rejected {
            return Ok(());
        }
        for record in kept {
            let device = Device {
                tenant,
                number: record.device,
            };
            let promise = self.devices.entry(device).or_default();
            match record.kind {
                Kind::CheckIn => promise.seq = promise.seq.max(record.number),
                Kind::Inventory => promise.revision = promise.revision.max(record.number),
            }
        }
        Ok(())
    }

    /// The devices of which anything was promised.
    pub fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.devices.keys().copied()
    }

    /// Whether a device is as promised: no older, and what it says is what was sent.
    pub fn check(
        &self,
        device: Device,
        found: Option<(&DeviceRecord, Facets)>,
        fleet: &Fleet,
    ) -> Result<(), Violation> {
        let promise = self.devices.get(&device).copied().unwrap_or_default();
        let Some((record, facets)) = found else {
            let what = format!("{device:?} is gone, {promise:?} was acknowledged");
            return Err(Violation::new("acknowledged is durable", what));
        };
        if record.seq < promise.seq || u64::from(record.inventory_revision) < promise.revision {
            let (seq, revision) = (record.seq, record.inventory_revision);
            let what = format!(
                "{device:?} has seq {seq}, revision {revision}, {promise:?} was acknowledged"
            );
            return Err(Violation::new("acknowledged is durable", what));
        }
        if record.seq == 0 {
            return Ok(());
        }
        let sent = fleet.check_in(device, record.seq);
        let same = (record.boot_id, record.payload, record.flags)
            == (sent.boot_id, sent.payload, sent.flags)
            && facets.risk == sent.risk
            && facets.partner_threat == sent.partner_threat_state
            && facets.platform == sent.platform
            && facets.management_agent == sent.management_agent
            && facets.onboarded == (sent.onboarding == Onboarding::Onboarded);
        match same {
            true => Ok(()),
            false => {
                let what = format!("{device:?} has {record:?} {facets:?}, sent was {sent:?}");
                Err(Violation::new("contents are what was sent", what))
            }
        }
    }
}
