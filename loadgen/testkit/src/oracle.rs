//! The counts that a server must have after a run, by the engine's model of the rules.
//!
//! Each device is evaluated once, at the end: the model gets the fewest check-ins that lead to the same state as all
//! the accepted ones ([`Device::minimal_check_ins`]), all at one point in time. This is exact if the run is short
//! compared with the time limits of the rules, the shortest of which is a day. Bounds: one model device at a time, and
//! the cells.

use std::collections::{BTreeMap, HashMap};

use muster_engine::{Counts, FacetWord, Facets, TenantPolicy, Timestamp, model::ModelDevice};
use muster_wire::DeviceId;

use crate::{device::Device, fleet::FleetPart};

/// Numbers of devices of one tenant by cell.
pub type Cells = BTreeMap<FacetWord, u64>;

/// The counts that a server must have for one tenant.
#[derive(Debug, Clone, Default)]
pub struct ExpectedCounts {
    /// The numbers of devices by cell.
    pub cells: Cells,
    /// The numbers of devices by dimension.
    pub counts: Counts,
}

impl ExpectedCounts {
    /// The counts that a server must have after it has accepted everything that these parts sent.
    pub fn of<'a>(
        parts: impl IntoIterator<Item = &'a FleetPart>,
        policy: &TenantPolicy,
        now: Timestamp,
    ) -> Self {
        let mut cells = HashMap::new();
        let mut counts = Counts::default();
        for (device_id, device) in parts.into_iter().flat_map(FleetPart::devices) {
            // A device that has sent nothing does not exist on the server.
            if device.accepted_seq() == 0 && device.inventory_kind().is_none() {
                continue;
            }
            let facets = facets(device_id, device, policy, now);
            counts.add(&facets, 1);
            *cells.entry(facets.word()).or_default() += 1;
        }
        Self {
            cells: cells.into_iter().collect(),
            counts,
        }
    }
}

/// The facets of a device after everything it has sent.
fn facets(device_id: DeviceId, device: &Device, policy: &TenantPolicy, now: Timestamp) -> Facets {
    let mut model = ModelDevice::new(now);
    model.set_os_version(device.os_version());
    for check_in in device.minimal_check_ins(device_id) {
        let record = check_in.to_record().expect("neither id nor seq is zero");
        model.check_in(&record, policy, now);
    }
    model.facets(policy, now)
}

#[cfg(test)]
mod tests;
