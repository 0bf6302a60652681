//! The fleet is reproducible, has the shares of its tables, and keeps the limits of the wire format.

use std::collections::{HashMap, HashSet};

use muster_wire::{CheckInRecord, Onboarding, Platform, Risk};

use super::*;

/// FNV-1a, because the digest must not depend on the standard library's hasher.
fn digest(bytes: &[u8], before: u64) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(before, step)
}

fn disordered(seed: u64) -> Shape {
    Shape {
        churn: 0.1,
        duplicates: 0.05,
        reorder: 0.05,
        inventory: 0.3,
        ..Shape::new(seed)
    }
}

fn part(shape: &Shape, count: u64, check_ins: u64) -> FleetPart {
    FleetPart::new(shape, &DeviceSet::Range { first: 0, count }, check_ins)
}

fn records(part: &mut FleetPart) -> Vec<CheckInRecord> {
    let mut all = Vec::new();
    let mut frame = Vec::new();
    while part.make_frame(&mut frame, 4096, 1_750_000_000_000) > 0 {
        let (records, _) = frame[HEADER_BYTES..].as_chunks();
        all.extend(
            records
                .iter()
                .map(|bytes| CheckInRecord::validate(bytes).unwrap()),
        );
    }
    all
}

fn devices_of(frame: &[u8]) -> impl Iterator<Item = DeviceId> {
    let (records, _) = frame[HEADER_BYTES..].as_chunks();
    records
        .iter()
        .map(|bytes| CheckInRecord::validate(bytes).unwrap().device_id())
}

fn digest_of(seed: u64) -> u64 {
    let mut part = part(&disordered(seed), 1000, 10_000);
    let inventories: Vec<Vec<u8>> = part
        .inventories()
        .map(|inventory| inventory.to_bytes().unwrap())
        .collect();
    let start = digest(&inventories.concat(), 0xcbf2_9ce4_8422_2325);
    records(&mut part)
        .iter()
        .fold(start, |hash, record| digest(record.as_bytes(), hash))
}

#[test]
fn a_seed_determines_every_byte_of_a_fleet() {
    // A change here changes the meaning of every recorded run, so it must be in the changelog.
    assert_eq!(digest_of(1), GOLDEN_OF_SEED_1, "{:#018x}", digest_of(1));
    assert_ne!(digest_of(2), digest_of(1));
}

const GOLDEN_OF_SEED_1: u64 = 0xe2ce_481a_38c0_69b9;

#[test]
fn devices_do_not_depend_on_the_number_of_connections() {
    let shape = Shape::new(3);
    let whole = part(&shape, 100, 0);
    let second = FleetPart::new(
        &shape,
        &DeviceSet::Range {
            first: 50,
            count: 50,
        },
        0,
    );
    let describe = |(id, device): (DeviceId, &Device)| format!("{id} {device:?}");
    let expected: Vec<String> = whole.devices().skip(50).map(describe).collect();
    assert_eq!(second.devices().map(describe).collect::<Vec<_>>(), expected);
}

#[test]
fn frames_have_the_requested_size_and_the_last_one_holds_the_rest() {
    let mut part = part(&Shape::new(1), 10, 25);
    let mut frame = Vec::new();
    let sizes: Vec<usize> = (0..4).map(|_| part.make_frame(&mut frame, 10, 1)).collect();
    assert_eq!(sizes, [10, 10, 5, 0]);
    assert_eq!(part.remaining(), 0);
}

#[test]
fn a_round_visits_every_device_once() {
    for count in [1, 2, 3, 64, 1000, 1001] {
        let mut part = part(&Shape::new(9), count, count * 3);
        let all = records(&mut part);
        for round in all.chunks(count as usize) {
            let ids: HashSet<DeviceId> = round.iter().map(CheckInRecord::device_id).collect();
            assert_eq!(ids.len() as u64, count);
        }
    }
}

#[test]
fn a_fleet_is_known_after_its_first_round() {
    // The expected number of frames until then. 100 devices are more than one block, and not a multiple of a block.
    for (frame_check_ins, expected) in [(1, 100), (10, 10), (50, 2), (64, 2), (99, 2), (101, 1)] {
        for shape in [Shape::new(5), disordered(5)] {
            let mut part = part(&shape, 100, 1000);
            let (mut frame, mut seen) = (Vec::new(), HashSet::new());
            let mut frames = 0;
            while !part.is_known() {
                assert!(seen.len() < 100, "{frame_check_ins}: known too late");
                part.make_frame(&mut frame, frame_check_ins, 1_750_000_000_000);
                seen.extend(devices_of(&frame));
                frames += 1;
            }
            assert_eq!(seen.len(), 100, "{frame_check_ins}: known too early");
            // Duplicates take the place of new check-ins.
            let is_as_expected = frames == expected || shape.duplicates > 0.0 && frames > expected;
            assert!(is_as_expected, "{frame_check_ins}: {frames} frames");
            part.make_frame(&mut frame, 10, 1_750_000_000_000);
            assert!(part.is_known(), "it stays known in its second round");
        }
    }
}

#[test]
fn a_fleet_is_known_after_the_warm_up() {
    let mut part = part(&disordered(5), 100, 1000);
    part.start_warm_up();
    assert!(!part.is_known());
    records(&mut part);
    part.end_warm_up(1000);
    assert!(part.is_known());
}

#[test]
fn without_disorder_every_check_in_is_new() {
    let mut part = part(&Shape::new(4), 100, 1000);
    let mut last: HashMap<DeviceId, u64> = HashMap::new();
    for record in records(&mut part) {
        let before = last.insert(record.device_id(), record.seq()).unwrap_or(0);
        assert_eq!(record.seq(), before + 1);
    }
    assert_eq!(
        part.tally(),
        Tally {
            accepted: 1000,
            ..Tally::default()
        }
    );
}

#[test]
fn duplicates_and_reordering_have_the_requested_shares_and_keep_the_total() {
    let shape = Shape {
        duplicates: 0.10,
        reorder: 0.05,
        ..Shape::new(6)
    };
    let mut part = part(&shape, 10_000, 100_000);
    assert_eq!(records(&mut part).len(), 100_000);
    let tally = part.tally();
    assert_eq!(tally.accepted + tally.duplicate + tally.stale, 100_000);
    // The shares are 0.10 and 0.05 of the new check-ins, and the duplicates and stale ones are part of the total.
    assert!((8_000..10_500).contains(&tally.duplicate), "{tally:?}");
    assert!((3_500..5_500).contains(&tally.stale), "{tally:?}");
}

#[test]
fn the_fleet_has_the_shares_of_its_tables() {
    let mut part = part(
        &Shape {
            churn: 0.0,
            ..Shape::new(8)
        },
        100_000,
        100_000,
    );
    let all = records(&mut part);
    let share_of = |is_counted: &dyn Fn(&CheckInRecord) -> bool| {
        all.iter().filter(|record| is_counted(record)).count() as f64 / all.len() as f64
    };
    let assert_near = |share: f64, per_mille: f64| {
        assert!(
            (share * 1000.0 - per_mille).abs() < 8.0,
            "{share} is not near {per_mille} per mille"
        );
    };
    for (share, weight) in PLATFORMS {
        assert_near(
            share_of(&|record| record.platform() == share.platform),
            f64::from(*weight),
        );
    }
    let onboarded: f64 = PLATFORMS
        .iter()
        .map(|(share, weight)| f64::from(share.onboarded) * f64::from(*weight) / 1000.0)
        .sum();
    assert_near(
        share_of(&|record| record.onboarding() == Onboarding::Onboarded),
        onboarded,
    );
    assert_near(
        share_of(&|record| record.risk() == Risk::High),
        onboarded * 0.020,
    );
    let windows_mdm = 0.530 * 0.560;
    let is_windows_mdm = |record: &CheckInRecord| {
        record.platform() == Platform::Windows
            && record.management_agent() == muster_wire::ManagementAgent::Mdm
    };
    assert_near(share_of(&is_windows_mdm), windows_mdm * 1000.0);
}

#[test]
fn churn_changes_risks_at_the_requested_rate() {
    let mut part = part(
        &Shape {
            churn: 0.5,
            ..Shape::new(8)
        },
        1000,
        100_000,
    );
    let mut last: HashMap<DeviceId, Risk> = HashMap::new();
    let mut changes = 0;
    for record in records(&mut part) {
        let before = last.insert(record.device_id(), record.risk());
        changes += u32::from(before.is_some_and(|before| before != record.risk()));
    }
    assert!((25_000..50_000).contains(&changes), "{changes}");
}

#[test]
fn inventories_keep_the_limits_and_have_the_requested_share() {
    let part = part(
        &Shape {
            inventory: 0.25,
            ..Shape::new(2)
        },
        10_000,
        0,
    );
    let inventories: Vec<Inventory> = part.inventories().collect();
    assert!(
        (2_300..2_700).contains(&inventories.len()),
        "{}",
        inventories.len()
    );
    assert!(
        inventories
            .iter()
            .all(|inventory| inventory.check().is_ok())
    );
}

#[test]
fn ids_are_distinct_and_valid_uuids() {
    let ids: HashSet<DeviceId> = (0..100_000).map(|number| device_id(1, number)).collect();
    assert_eq!(ids.len(), 100_000);
    let text = device_id(1, 0).to_string();
    assert_eq!(&text[14..15], "8", "the version of {text}");
    assert!(
        matches!(&text[19..20], "8" | "9" | "a" | "b"),
        "the variant of {text}"
    );
}
