//! The oracle against the engine's whole model, record by record.

use muster_engine::{DeviceRules, PolicySet, Revision, TenantIndex, Threshold, model::Model};
use muster_wire::{
    CheckInRecord, Inventory, Platform,
    limits::{CHECK_IN_BYTES, HEADER_BYTES},
};

use super::*;
use crate::fleet::{DeviceSet, Shape, Tally};

const NOW: Timestamp = Timestamp::from_seconds(1_750_000_000);

/// Applies everything that a part sends to the model.
fn feed(part: &mut FleetPart, model: &mut Model, policy: &PolicySet) -> Tally {
    use muster_engine::model::Answer;
    for inventory in part.inventories().collect::<Vec<_>>() {
        assert_eq!(
            model.inventory(policy, TenantIndex(0), &inventory, NOW),
            Answer::Accepted
        );
    }
    let mut tally = Tally::default();
    let mut frame = Vec::new();
    while part.make_frame(&mut frame, 100, 1) > 0 {
        let (records, rest) = frame[HEADER_BYTES..].as_chunks::<CHECK_IN_BYTES>();
        assert!(rest.is_empty());
        for bytes in records {
            let record = CheckInRecord::validate(bytes).unwrap();
            match model.check_in(policy, TenantIndex(0), &record, NOW) {
                Answer::Accepted => tally.accepted += 1,
                Answer::Duplicate => tally.duplicate += 1,
                Answer::Stale => tally.stale += 1,
                Answer::SeqAhead => panic!("no seq is ahead of the clock"),
                Answer::DeviceRemoved => panic!("no device is removed"),
                Answer::UnknownDevice => panic!("the tenant creates devices"),
            }
        }
    }
    tally
}

/// The cells of the model, as [`Cells`].
fn cells_of(model: &Model, policy: &PolicySet) -> Cells {
    let cells = model.cells(policy, NOW);
    let named = cells.into_iter();
    named
        .map(|((_, facets), count)| (facets.word(), count))
        .collect()
}

fn policies() -> [TenantPolicy; 2] {
    let mut strict = TenantPolicy::with_threshold(Threshold::Medium);
    strict.secure_by_default = true;
    for platform in Platform::ALL {
        strict.change_platform(*platform, |rules| {
            rules.threshold = Threshold::Clear;
            rules.blocked_on_missing = true;
            rules.device = DeviceRules {
                os_minimum: Inventory::pack_version([10, 0, 0, 0]),
                blocks_jailbroken: true,
                requires_encryption: true,
                ..DeviceRules::default()
            };
        });
    }
    [TenantPolicy::with_threshold(Threshold::Medium), strict]
}

#[test]
fn expected_counts_of_a_fleet_with_duplicates_and_reordering_equal_those_of_the_model() {
    for (policy, seed) in policies().into_iter().zip([1, 2]) {
        let shape = Shape {
            churn: 0.3,
            duplicates: 0.2,
            reorder: 0.2,
            inventory: 0.4,
            ..Shape::new(seed)
        };
        let set = PolicySet::new(Revision(1), vec![policy.clone()]);
        let mut model = Model::default();
        let mut parts = [
            FleetPart::new(
                &shape,
                &DeviceSet::Range {
                    first: 0,
                    count: 700,
                },
                14_000,
            ),
            FleetPart::new(
                &shape,
                &DeviceSet::Range {
                    first: 700,
                    count: 300,
                },
                100,
            ),
            FleetPart::new(
                &shape,
                &DeviceSet::Single(DeviceId::from_bytes([9; 16]), 1000),
                25,
            ),
        ];
        for part in &mut parts {
            let tally = feed(part, &mut model, &set);
            assert_eq!(part.tally(), tally, "answers are predicted too");
            assert!(tally.duplicate > 0 || tally.accepted < 1000);
        }
        let expected = ExpectedCounts::of(&parts, &policy, NOW);
        assert_eq!(expected.cells, cells_of(&model, &set));
        assert_eq!(expected.counts.devices(), model.devices() as u64);
        assert!(
            expected.cells.len() > 100,
            "the comparison covers many cells"
        );
    }
}

#[test]
fn devices_that_sent_nothing_are_not_counted() {
    let shape = Shape::new(5);
    let mut part = FleetPart::new(
        &shape,
        &DeviceSet::Range {
            first: 0,
            count: 100,
        },
        40,
    );
    let mut frame = Vec::new();
    while part.make_frame(&mut frame, 7, 1) > 0 {}
    let expected = ExpectedCounts::of(
        [&part],
        &TenantPolicy::with_threshold(Threshold::Medium),
        NOW,
    );
    assert_eq!(
        expected.counts.devices(),
        40,
        "40 check-ins of the first round are from 40 devices"
    );
}
