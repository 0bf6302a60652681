//! The counts that a server must have after a run, by the engine's model of the rules.
//!
//! Each device is evaluated once, at the end: the model gets the fewest check-ins that lead to the same state as all
//! the accepted ones ([`Device::minimal_check_ins`]), all at one point in time. This is exact if the run is short
//! compared with the time limits of the rules, the shortest of which is a day. Bounds: one model device at a time, and
//! the cells.

use std::collections::{BTreeMap, HashMap};

use muster_engine::{
    Counts, FacetWord, Facets, TenantPolicy, Timestamp, cohort::Cohort, model::ModelDevice,
};
use muster_wire::DeviceId;

use crate::{device::Device, fleet::FleetPart, population};

/// What identifies a cell within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellName {
    /// The name of the owner.
    pub owner: String,
    /// The tags, sorted.
    pub tags: Vec<String>,
    /// The facet word.
    pub facets: u32,
}

/// Numbers of devices by cell.
pub type Cells = BTreeMap<CellName, u64>;

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
        let mut found: HashMap<(Option<usize>, FacetWord), u64> = HashMap::new();
        let mut counts = Counts::default();
        for (device_id, device) in parts.into_iter().flat_map(FleetPart::devices) {
            // A device that has sent nothing does not exist on the server.
            if device.accepted_seq() == 0 && device.cohort().is_none() {
                continue;
            }
            let facets = facets(device_id, device, policy, now);
            counts.add(&facets, 1);
            *found.entry((device.cohort(), facets.word())).or_default() += 1;
        }
        let mut cells = Cells::new();
        for ((cohort, word), count) in found {
            *cells.entry(cell_name(cohort, word)).or_default() += count;
        }
        Self { cells, counts }
    }
}

/// The facets of a device after everything it has sent.
fn facets(device_id: DeviceId, device: &Device, policy: &TenantPolicy, now: Timestamp) -> Facets {
    let mut model = ModelDevice::new(now);
    for check_in in device.minimal_check_ins(device_id) {
        let record = check_in.to_record().expect("neither id nor seq is zero");
        model.check_in(&record, now);
    }
    model.facets(policy, now)
}

fn cell_name(cohort: Option<usize>, FacetWord(facets): FacetWord) -> CellName {
    let cohort = cohort.map_or_else(Cohort::default, |index| {
        let ((owner, tags), _) = population::COHORTS[index];
        Cohort::new(owner, tags.iter().map(|tag| (*tag).to_owned()))
    });
    CellName {
        owner: cohort.owner().name().to_owned(),
        tags: cohort.tags().to_vec(),
        facets,
    }
}

#[cfg(test)]
mod tests;
