//! What a server must count after a run, by the engine's model of the rules.
//!
//! Every device is asked once, at the end: the model takes the fewest check-ins that leave it where
//! all the accepted ones would have left it ([`Device::condensed`]), at one point in time. That is
//! exact as long as a run is short against the rules' limits of silence, the shortest of which is a
//! day. Bounds: one model record at a time, and the cells.

use std::collections::{BTreeMap, HashMap};

use muster_engine::{
    Counts, FacetWord, Facets, TenantPolicy, Timestamp, cohort::Cohort, model::ModelDevice,
};
use muster_wire::DeviceId;

use crate::{device::Device, fleet::Part, population};

/// What all devices of a cell have in common, for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellName {
    /// Name of the owner.
    pub owner: String,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// The facet word.
    pub facets: u32,
}

/// A number of devices for each cell.
pub type Cells = BTreeMap<CellName, u64>;

/// The prediction for one tenant.
#[derive(Debug, Clone, Default)]
pub struct Prediction {
    /// Devices by cell.
    pub cells: Cells,
    /// Devices by dimension.
    pub counts: Counts,
}

impl Prediction {
    /// What a server must count after these parts have sent everything they made.
    pub fn of<'a>(
        parts: impl IntoIterator<Item = &'a Part>,
        policy: &TenantPolicy,
        now: Timestamp,
    ) -> Self {
        let mut found: HashMap<(Option<usize>, FacetWord), u64> = HashMap::new();
        let mut counts = Counts::default();
        for (device_id, device) in parts.into_iter().flat_map(Part::devices) {
            // A device that has said nothing does not exist for a server.
            if device.known_seq() == 0 && device.cohort().is_none() {
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

/// The facets of one device after everything it has sent.
fn facets(device_id: DeviceId, device: &Device, policy: &TenantPolicy, now: Timestamp) -> Facets {
    let mut model = ModelDevice::new(now);
    for check_in in device.condensed(device_id) {
        let record = check_in
            .to_record()
            .expect("ids and sequence numbers are not zero");
        model.check_in(&record, now);
    }
    model.facets(policy, now)
}

fn cell_name(cohort: Option<usize>, FacetWord(facets): FacetWord) -> CellName {
    let cohort = cohort.map_or_else(Cohort::default, |place| {
        let ((owner, tags), _) = population::COHORTS[place];
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
