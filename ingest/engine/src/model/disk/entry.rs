//! One device of the oracle over durable state, and how it is read from its records.

use muster_wire::{CheckIn, DeviceId, Onboarding};

use super::super::ModelDevice;
use super::{DiskError, fault};
use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::ids::{ProfileId, TenantIndex};
use crate::journal::DeviceAction;
use crate::time::Timestamp;

/// The oracle's state of one device.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) device_id: DeviceId,
    pub(super) tenant: TenantIndex,
    pub(super) device: ModelDevice,
    pub(super) inventory_revision: u32,
    /// An operator has removed the device.
    pub(super) removed: bool,
    /// The targets that hold for it.
    pub(super) profile: ProfileId,
    /// Its verdict, once all have been evaluated.
    pub(super) facets: Facets,
}

impl Entry {
    /// The device in the records of a page.
    pub(super) fn of_record(record: &DeviceRecord, cold: &ColdRecord) -> Result<Self, DiskError> {
        let facets = Facets::from_word(record.facets).ok_or_else(|| fault("unreadable facets"))?;
        Ok(Self {
            device_id: record.device_id,
            tenant: record.tenant,
            device: ModelDevice::of_record(record, cold, &facets),
            inventory_revision: cold.inventory_revision,
            removed: record.removed(),
            profile: record.profile(),
            facets,
        })
    }

    pub(super) fn act(&mut self, action: DeviceAction, now: Timestamp) {
        match action {
            DeviceAction::Reset => {
                self.device.reset_sequence(now);
                self.inventory_revision = self.inventory_revision.min(now.as_seconds());
            }
            DeviceAction::Remove => self.removed = true,
            DeviceAction::Restore => self.removed = false,
        }
    }
}

impl ModelDevice {
    /// The model's state of the device in a record, whose reported attributes are `facets`.
    fn of_record(record: &DeviceRecord, cold: &ColdRecord, facets: &Facets) -> Self {
        let last = CheckIn {
            device_id: record.device_id,
            seq: record.seq,
            sent_at_ms: 0,
            boot_id: record.boot_id,
            payload: record.payload,
            flags: record.flags,
            risk: facets.risk,
            partner_threat_state: facets.partner_threat,
            onboarding: if facets.onboarded {
                Onboarding::Onboarded
            } else {
                Onboarding::NotOnboarded
            },
            platform: facets.platform,
            management_agent: facets.management_agent,
        };
        Self {
            // A device that has not checked in has seq 0, which no check-in has.
            last: last.to_record().ok(),
            kept: facets.ever_onboarded().then(|| facets.kept_sensor()),
            first_seen: cold.first_seen,
            last_check_in: record.last_check_in,
            last_contact: time(record.last_contact),
            last_telemetry: time(record.last_telemetry),
            last_full_report: time(record.last_full_report),
            os_version: cold.os_version(),
        }
    }
}

/// A time of a record, where 0 means never.
fn time(seconds: u32) -> Option<u32> {
    (seconds != 0).then_some(seconds)
}
