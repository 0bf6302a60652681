//! The checks on modified listings.

use muster_engine::Compliance;
use muster_wire::{DeviceId, Digest};

use super::*;
use crate::ledger::Entry;

fn key(number: u8) -> DeviceKey {
    (0, DeviceId::from_bytes([number; 16]))
}

fn entry(device: u8, kind: Kind, number: u64) -> Entry {
    Entry {
        device: key(device),
        kind,
        number,
        digest: digest(device, number),
    }
}

fn digest(device: u8, number: u64) -> Digest {
    Digest(u64::from(device) << 32 | number)
}

fn listed(device: u8, seq: u64, revision: u64) -> ListedDevice {
    let last = |number| (number, (number > 0).then(|| digest(device, number)));
    ListedDevice {
        device: key(device),
        check_in: last(seq),
        inventory: last(revision),
        facets: Facets::default().word(),
    }
}

/// Devices 1 to 3 sent check-ins 1 to 4, of which 2 are acknowledged; device 3 also an inventory.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    for device in 1..=3 {
        for number in 1..=4 {
            ledger.sent(&[entry(device, Kind::CheckIn, number)]);
        }
        ledger.acknowledged(&[
            entry(device, Kind::CheckIn, 1),
            entry(device, Kind::CheckIn, 2),
        ]);
    }
    ledger.sent(&[entry(3, Kind::Inventory, 1)]);
    ledger.acknowledged(&[entry(3, Kind::Inventory, 1)]);
    ledger
}

fn correct() -> Vec<ListedDevice> {
    vec![listed(1, 2, 0), listed(2, 4, 0), listed(3, 3, 1)]
}

fn findings(listing: &[ListedDevice]) -> Vec<Finding> {
    devices(&ledger(), listing).1
}

#[test]
fn acknowledged_or_newer_records_are_correct() {
    let (observed, findings) = devices(&ledger(), &correct());
    assert_eq!(findings, []);
    let expected = Observed {
        devices: 3,
        unacknowledged: 2,
    };
    assert_eq!(observed, expected);
}

#[test]
fn a_missing_device_loses_all_its_acknowledged_records() {
    let found = findings(&correct()[..2]);
    assert_eq!(found.len(), 2, "check-ins and inventory: {found:?}");
    assert_eq!(lost(&found), 3);
}

#[test]
fn a_lower_number_is_a_loss() {
    let mut listing = correct();
    listing[0] = listed(1, 1, 0);
    assert_eq!(lost(&findings(&listing)), 1);
    listing[2] = listed(3, 3, 0);
    assert_eq!(lost(&findings(&listing)), 2, "and so is an inventory");
}

#[test]
fn the_right_number_with_other_content_is_a_loss() {
    let mut listing = correct();
    listing[0].check_in.1 = Some(Digest(9));
    assert_eq!(lost(&findings(&listing)), 1);
    listing[0].check_in.1 = None;
    assert_eq!(lost(&findings(&listing)), 1);
    listing[2].inventory.1 = None;
    assert_eq!(lost(&findings(&listing)), 2);
}

#[test]
fn a_record_that_was_never_sent_is_a_finding() {
    let mut listing = correct();
    listing[0] = listed(1, 5, 0);
    listing.push(listed(9, 1, 0));
    let found = findings(&listing);
    let never_sent = |finding: &&Finding| matches!(finding, Finding::NeverSent { .. });
    // Device 9 has sent neither check-ins nor inventories.
    assert_eq!(found.iter().filter(never_sent).count(), 3, "{found:?}");
}

#[test]
fn a_device_that_is_listed_twice_is_a_drift() {
    let mut listing = correct();
    listing.push(listed(1, 2, 0));
    let found = findings(&listing);
    assert_eq!(found, [Finding::DuplicateDevice(key(1))]);
    assert_eq!((lost(&found), drift(&found)), (0, 1));
}

#[test]
fn a_state_must_not_be_older_than_an_earlier_recovery() {
    let mut ledger = ledger();
    record_recovered(&mut ledger, &correct());
    let mut later = correct();
    later[1] = listed(2, 3, 0);
    let (_, found) = devices(&ledger, &later);
    assert_eq!(lost(&found), 1, "3 was never acknowledged, 4 was recovered");
}

#[test]
fn a_recount_must_be_verified_and_count_every_device() {
    let verified = Recount {
        verified: true,
        devices: 3,
        differing_cells: 0,
    };
    assert_eq!(recount("on disk", verified, 3), None);
    let other_number = Recount {
        devices: 5,
        ..verified
    };
    let unverified = Recount {
        verified: false,
        ..verified
    };
    let cells = Recount {
        differing_cells: 4,
        ..unverified
    };
    for (wrong, expected) in [(other_number, 2), (unverified, 1), (cells, 4)] {
        let finding = recount("on disk", wrong, 3).expect("a finding");
        assert_eq!(finding.drift(), expected, "{wrong:?}");
    }
}

fn counted(facets: &Facets, count: u64) -> BTreeMap<usize, Cells> {
    BTreeMap::from([(0, Cells::from([(facets.word(), count)]))])
}

#[test]
fn the_counts_of_a_server_match_the_devices_on_disk() {
    let facets = Facets::default();
    assert_eq!(
        cells(Comparison::Full, &correct(), &counted(&facets, 3)),
        []
    );
    let found = cells(Comparison::Full, &correct(), &counted(&facets, 2));
    assert_eq!(drift(&found), 1);
    let onboarded = Facets {
        onboarded: true,
        ..facets
    };
    for depth in [Comparison::Full, Comparison::Reported] {
        let found = cells(depth, &correct(), &counted(&onboarded, 3));
        assert_eq!(drift(&found), 6, "three are missing, three are too many");
    }
}

#[test]
fn after_a_policy_change_evaluated_facets_are_not_compared() {
    let evaluated = Facets {
        compliance: Compliance::Noncompliant,
        ..Facets::default()
    };
    assert_eq!(
        cells(Comparison::Reported, &correct(), &counted(&evaluated, 3)),
        []
    );
    assert_eq!(
        cells(Comparison::Full, &correct(), &counted(&evaluated, 3)).len(),
        2
    );
}
