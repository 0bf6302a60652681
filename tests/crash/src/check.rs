//! Checks of a data directory after a server has terminated in any way.
//!
//! Pure: takes the ledger, the listing of the devices on disk and the counts, returns findings. A record that was sent
//! but not acknowledged may be on disk or not. It accesses no server and no file itself.

mod finding;

use std::collections::{BTreeMap, HashSet};

use muster_engine::{FacetWord, Facets};
use muster_testkit::muster::Recount;
use muster_testkit::oracle::Cells;

pub use finding::Finding;

use crate::ledger::{DeviceKey, Kind, Ledger};
use crate::listing::ListedDevice;

/// What a check observed, apart from findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// Devices on disk.
    pub devices: u64,
    /// Last records of devices, of either kind, that are on disk and were not acknowledged.
    pub unacknowledged: u64,
}

/// Compares the devices on disk with the ledger.
pub fn devices(ledger: &Ledger, listing: &[ListedDevice]) -> (Observed, Vec<Finding>) {
    let mut observed = Observed::default();
    let mut findings = Vec::new();
    let mut found = HashSet::with_capacity(listing.len());
    for listed in listing {
        if !found.insert(listed.device) {
            findings.push(Finding::DuplicateDevice(listed.device));
            continue;
        }
        observed.devices += 1;
        for kind in Kind::ALL {
            observed.unacknowledged += u64::from(is_ahead(ledger, listed, kind));
            findings.extend(device(ledger, listed, kind));
        }
    }
    for (key, sender) in ledger.devices().filter(|(key, _)| !found.contains(key)) {
        for kind in Kind::ALL {
            let track = sender.track(kind);
            if track.floor() > 0 {
                findings.push(Finding::Behind {
                    device: key,
                    kind,
                    floor: track.floor(),
                    found: 0,
                    lost: track.lost(0),
                });
            }
        }
    }
    (observed, findings)
}

/// The finding for one kind of records of a listed device, if any.
fn device(ledger: &Ledger, listed: &ListedDevice, kind: Kind) -> Option<Finding> {
    let device = listed.device;
    let (number, digest) = listed.last(kind);
    let Some(track) = ledger.device(device).map(|sender| sender.track(kind)) else {
        return Some(Finding::NeverSent {
            device,
            kind,
            number,
        });
    };
    if number < track.floor() {
        return Some(Finding::Behind {
            device,
            kind,
            floor: track.floor(),
            found: number,
            lost: track.lost(number),
        });
    }
    if number == 0 {
        return None;
    }
    match track.digest(number) {
        None => Some(Finding::NeverSent {
            device,
            kind,
            number,
        }),
        sent if sent == digest => None,
        Some(sent) => Some(Finding::ContentMismatch {
            device,
            kind,
            number,
            sent,
            found: digest,
        }),
    }
}

fn is_ahead(ledger: &Ledger, listed: &ListedDevice, kind: Kind) -> bool {
    let sender = ledger.device(listed.device);
    sender.is_some_and(|sender| listed.last(kind).0 > sender.track(kind).acknowledged())
}

/// Compares a recount with the number of listed devices. `context` says which recount it is.
pub fn recount(context: &'static str, recount: Recount, listed: u64) -> Option<Finding> {
    let is_right = recount.verified && recount.differing_cells == 0 && recount.devices == listed;
    (!is_right).then_some(Finding::Recount {
        context,
        counted: recount.devices,
        listed,
        differing_cells: recount.differing_cells,
    })
}

/// Which facets of a cell are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// All facets.
    Full,
    /// The facets that devices report: the server has evaluated the devices by another policy set since.
    Reported,
}

impl Comparison {
    /// Removes the facets that are not compared from a facet word.
    fn mask(self, facets: FacetWord) -> FacetWord {
        match (self, Facets::from_word(facets)) {
            (Self::Reported, Some(facets)) => {
                let unevaluated = Facets::default();
                let reported = Facets {
                    sensor: unevaluated.sensor,
                    sensor_before_silence: unevaluated.sensor_before_silence,
                    compliance: unevaluated.compliance,
                    validity_expired: unevaluated.validity_expired,
                    threat_setting: unevaluated.threat_setting,
                    ..facets
                };
                reported.word()
            }
            _ => facets,
        }
    }
}

/// Compares the counts of a running server with the devices that were on disk when it started. `cells` is indexed by
/// tenant.
pub fn cells(
    comparison: Comparison,
    listing: &[ListedDevice],
    cells: &BTreeMap<usize, Cells>,
) -> Vec<Finding> {
    let mut expected: BTreeMap<(usize, FacetWord), u64> = BTreeMap::new();
    for listed in listing {
        let facets = comparison.mask(listed.facets);
        *expected.entry((listed.device.0, facets)).or_default() += 1;
    }
    let mut counted: BTreeMap<(usize, FacetWord), u64> = BTreeMap::new();
    for (tenant, cells) in cells {
        for (facets, count) in cells {
            let facets = comparison.mask(*facets);
            *counted.entry((*tenant, facets)).or_default() += count;
        }
    }
    let all: std::collections::BTreeSet<_> = expected.keys().chain(counted.keys()).collect();
    let compare = |cell: &(usize, FacetWord)| {
        let number = |cells: &BTreeMap<_, u64>| cells.get(cell).copied().unwrap_or(0);
        let (expected, counted) = (number(&expected), number(&counted));
        (expected != counted).then_some(Finding::Cell {
            tenant: cell.0,
            facets: cell.1,
            expected,
            counted,
        })
    };
    all.into_iter().filter_map(compare).collect()
}

/// Records a recovered state that passed the checks in the ledger.
pub fn record_recovered(ledger: &mut Ledger, listing: &[ListedDevice]) {
    for listed in listing {
        for kind in Kind::ALL {
            ledger.recovered(listed.device, kind, listed.last(kind).0);
        }
    }
}

/// Number of acknowledged records that are lost.
pub fn lost(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::lost).sum()
}

/// By how much counters are off.
pub fn drift(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::drift).sum()
}

/// The name of a device in findings.
pub fn device_name((tenant, device): DeviceKey) -> String {
    let tenant = crate::environment::TENANTS.get(tenant).unwrap_or(&"?");
    format!("{tenant}/{device}")
}

#[cfg(test)]
mod tests;
