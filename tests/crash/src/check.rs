//! What must be true of a data directory after a server has ended, however it ended.
//!
//! Pure: the ledger, the listing of the devices on disk and the counts come in, findings come out.
//! Whatever is not a finding here is allowed: a record that was sent and not acknowledged may be there
//! or not. What it does not do: it looks at no server and no file itself.

mod finding;

use std::collections::{BTreeMap, HashSet};

use muster_engine::{FacetWord, Facets};
use muster_loadgen::oracle::{CellName, Cells};

pub use finding::Finding;

use crate::ledger::{DeviceKey, Kind, Ledger};
use crate::listing::ListedDevice;

/// What a recount reported, on disk or by a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub struct Recount {
    /// Whether every cell has the same number on both sides.
    pub verified: bool,
    /// Devices counted one by one.
    pub devices: u64,
    /// Cells in which the two sides differ.
    pub differing_cells: u64,
}

/// What a check saw that is no finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Devices on disk.
    pub devices: u64,
    /// Devices whose last record, of either kind, is there without having been acknowledged.
    pub unacknowledged: u64,
}

/// Holds the devices on disk against the ledger.
pub fn devices(ledger: &Ledger, listing: &[ListedDevice]) -> (Seen, Vec<Finding>) {
    let mut seen = Seen::default();
    let mut findings = Vec::new();
    let mut found = HashSet::with_capacity(listing.len());
    for listed in listing {
        if !found.insert(listed.device) {
            findings.push(Finding::Twice(listed.device));
            continue;
        }
        seen.devices += 1;
        for kind in Kind::ALL {
            seen.unacknowledged += u64::from(is_ahead(ledger, listed, kind));
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
    (seen, findings)
}

/// What is wrong with one kind of records of one device that is there.
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
        Some(sent) => Some(Finding::OtherContent {
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

/// Holds a recount against the devices that were listed. `place` says whose recount it is.
pub fn recount(place: &'static str, recount: Recount, listed: u64) -> Option<Finding> {
    let is_right = recount.verified && recount.differing_cells == 0 && recount.devices == listed;
    (!is_right).then_some(Finding::Counts {
        place,
        counted: recount.devices,
        listed,
        differing_cells: recount.differing_cells,
    })
}

/// How much of a cell is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Full,
    /// What devices said of themselves: another policy set has judged them since.
    Said,
}

impl Depth {
    fn of(self, facets: u32) -> u32 {
        match (self, Facets::from_word(FacetWord(facets))) {
            (Self::Said, Some(facets)) => {
                let unjudged = Facets::default();
                let said = Facets {
                    sensor: unjudged.sensor,
                    compliance: unjudged.compliance,
                    threat_setting: unjudged.threat_setting,
                    ..facets
                };
                said.word().0
            }
            _ => facets,
        }
    }
}

/// Holds the counts of a running server against the devices that were on disk when it started.
/// `cells` are by place of the tenant.
pub fn cells(
    depth: Depth,
    listing: &[ListedDevice],
    cells: &BTreeMap<usize, Cells>,
) -> Vec<Finding> {
    let mut expected: BTreeMap<(usize, CellName), u64> = BTreeMap::new();
    for listed in listing {
        let cell = CellName {
            facets: depth.of(listed.cell.facets),
            ..listed.cell.clone()
        };
        *expected.entry((listed.device.0, cell)).or_default() += 1;
    }
    let mut counted: BTreeMap<(usize, CellName), u64> = BTreeMap::new();
    for (tenant, cells) in cells {
        for (cell, count) in cells {
            let facets = depth.of(cell.facets);
            let cell = CellName {
                facets,
                ..cell.clone()
            };
            *counted.entry((*tenant, cell)).or_default() += count;
        }
    }
    let all: std::collections::BTreeSet<_> = expected.keys().chain(counted.keys()).collect();
    let compare = |cell: &(usize, CellName)| {
        let number = |cells: &BTreeMap<_, u64>| cells.get(cell).copied().unwrap_or(0);
        let (expected, counted) = (number(&expected), number(&counted));
        (expected != counted).then(|| Finding::Cell {
            tenant: cell.0,
            cell: cell.1.clone(),
            expected,
            counted,
        })
    };
    all.into_iter().filter_map(compare).collect()
}

/// Notes in the ledger what was recovered, once it has been found right.
pub fn settle(ledger: &mut Ledger, listing: &[ListedDevice]) {
    for listed in listing {
        for kind in Kind::ALL {
            ledger.recovered(listed.device, kind, listed.last(kind).0);
        }
    }
}

/// Promises broken: acknowledged records that are not there.
pub fn lost(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::lost).sum()
}

/// By how much counters are off.
pub fn drift(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::drift).sum()
}

/// The key of a device in findings, for people.
pub fn named((tenant, device): DeviceKey) -> String {
    let tenant = crate::site::TENANTS.get(tenant).unwrap_or(&"?");
    format!("{tenant}/{device}")
}

#[cfg(test)]
mod tests;
