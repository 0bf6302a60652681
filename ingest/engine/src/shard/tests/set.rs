//! A set of shards does what its shards would do, one record at a time.

use super::*;
use crate::shard::set::{ShardSet, shard_devices_max};

const SHARDS: u16 = 5;

/// The shards of the second of two threads, which have 1 to 4.
const OWN: std::ops::Range<u16> = 1..5;

fn map() -> ShardMap {
    ShardMap::new(SHARDS)
}

fn shards(policy: &Arc<PolicySet>) -> Vec<Shard> {
    let new = |id| {
        let mut shard = shard_with(LIMITS, Arc::clone(policy));
        shard.id = ShardId(id);
        shard
    };
    OWN.map(new).collect()
}

fn set(devices_max: u32) -> ShardSet {
    let mut set = ShardSet::new(map(), shards(&policy(1)), devices_max);
    set.begin(NOW);
    set
}

/// Numbers of devices whose shards are in the set.
fn own() -> impl Iterator<Item = u16> {
    (0..).filter(|number| OWN.contains(&map().shard_of(&device_id(*number)).0))
}

/// The journal value of each shard that the batch touched.
fn journal(set: &mut ShardSet) -> Vec<(usize, Sequence, Vec<u8>)> {
    set.seal();
    let touched = set.touched();
    let value = touched
        .map(|(place, shard, effects)| (place, shard.sequence(), effects.journal_value().to_vec()));
    value.collect()
}

fn state(shard: &Shard) -> impl PartialEq + std::fmt::Debug {
    let devices: Vec<_> = shard.iter().map(|(one, cold)| (*one, *cold)).collect();
    let mut cells: Vec<_> = shard.cells().collect();
    cells.sort_unstable();
    (shard.id(), shard.sequence(), devices, cells)
}

/// New devices, changes, repeats, duplicates and stale records, also several of one device close together.
#[test]
fn check_ins_of_several_shards_are_applied_as_one_by_one() {
    // Batches of 150 are sorted by shard, those of 30 are not.
    let devices: Vec<_> = own().take(200).collect();
    let mut numbers = (1..).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33);
    let mut next = |below: u64| numbers.next().unwrap_or_default() % below;
    let mut together = set(1000);
    let (mut alone, mut effects) = (shards(&policy(1)), Effects::default());
    for batch in 0..20 {
        let records = std::iter::from_fn(|| {
            let number = devices[next(devices.len() as u64) as usize];
            let risk = Risk::ALL[next(Risk::ALL.len() as u64) as usize];
            let seq = 1 + batch + next(3);
            Some(record(CheckIn {
                risk,
                ..check_in(number, seq)
            }))
        });
        let len = if batch % 2 == 0 { 150 } else { 30 };
        let records: Vec<_> = records.take(len).collect();
        together.begin(NOW);
        let (first, rest) = records.split_first().unwrap();
        let mut outcome = together.apply_check_in(TENANT, first);
        outcome += together.apply_check_ins(TENANT, rest);
        let mut rejections = Vec::new();
        together.drain_rejections(|rejection| rejections.push(rejection));
        let together = journal(&mut together);

        let (mut expected, mut values) = (Outcome::default(), Vec::new());
        let mut expected_rejections = Vec::new();
        for (place, shard) in alone.iter_mut().enumerate() {
            let owns = |one: &&CheckInRecord| map().shard_of(&one.device_id()) == shard.id;
            let own: Vec<_> = records.iter().filter(owns).copied().collect();
            expected += apply(shard, &own, &mut effects);
            expected_rejections.append(&mut effects.rejections);
            values.push((place, shard.sequence(), effects.journal_value().to_vec()));
        }
        assert_eq!((outcome, rejections), (expected, expected_rejections));
        assert_eq!(together, values, "batch {batch}");
    }
    assert_eq!(together.shards().len(), alone.len());
    for (one, other) in together.shards().zip(&alone) {
        assert_eq!(state(one), state(other));
    }
}

#[test]
fn a_batch_opens_and_seals_only_the_shards_that_it_touches() {
    let mut set = set(1000);
    let number = own().next().unwrap();
    let shard = map().shard_of(&device_id(number));
    set.apply_check_in(TENANT, &record(check_in(number, 1)));
    let values = journal(&mut set);
    let place = usize::from(shard.0 - OWN.start);
    let [(touched, Sequence(2), value)] = &values[..] else {
        panic!("{values:?}");
    };
    assert_eq!(
        (*touched, value.is_empty()),
        (place, false),
        "after the policy"
    );
    let others = set.shards().filter(|other| other.id() != shard);
    assert!(
        others
            .map(Shard::sequence)
            .all(|sequence| sequence == Sequence(1))
    );
    // A duplicate touches its shard and changes nothing.
    set.begin(NOW);
    set.apply_check_ins(TENANT, &[record(check_in(number, 1))]);
    assert_eq!(journal(&mut set), [(place, Sequence(2), Vec::new())]);
}

/// Devices are not evenly distributed over the shards, and the limit is that of all of them.
#[test]
fn the_shards_share_the_room_for_devices() {
    for devices_max in [1, 2, 7, 100, 137] {
        let mut set = set(devices_max);
        let mut devices = own();
        for accepted in 0..devices_max {
            let number = devices.next().unwrap();
            let outcome = if accepted + 100 == devices_max {
                // A large batch, of which the last devices have room only in shards that others have filled.
                let rest = (0..99).map(|_| devices.next().unwrap()).chain([number]);
                let rest: Vec<_> = rest.map(|number| record(check_in(number, 1))).collect();
                assert_eq!(set.apply_check_ins(TENANT, &rest).accepted, 100);
                break;
            } else if accepted % 2 == 0 {
                set.apply_check_ins(TENANT, &[record(check_in(number, 1))])
            } else {
                let inventory = inventory(number, 1, &[]);
                let archive = inventory.to_bytes().unwrap();
                set.apply_inventory(TENANT, &inventory, &archive)
            };
            assert_eq!(outcome.accepted, 1, "{accepted} of {devices_max}");
        }
        let records: Vec<_> = devices
            .take(50)
            .map(|number| record(check_in(number, 1)))
            .collect();
        assert_eq!(set.apply_check_ins(TENANT, &records).rejected, 50);
        let mut reasons = Vec::new();
        set.drain_rejections(|rejection| reasons.extend(rejection.reason()));
        assert_eq!(reasons, [RejectReason::DeviceLimit; 50]);
        assert_eq!(set.devices(), devices_max);
    }
}

#[test]
fn one_shard_cannot_have_all_devices() {
    let (share, devices_max) = (2_000, 8_000);
    let mut set = set(devices_max);
    let only = |number: &u16| map().shard_of(&device_id(*number)) == ShardId(OWN.start);
    let numbers: Vec<_> = (0..u16::MAX).filter(only).take(6_000).collect();
    let records = numbers.iter().map(|number| record(check_in(*number, 1)));
    let outcome = set.apply_check_ins(TENANT, &records.collect::<Vec<_>>());
    assert_eq!(outcome.accepted, shard_devices_max(devices_max, 4));
    assert_eq!(outcome.accepted, 2 * share + 1_024);
}

#[test]
fn check_ins_of_an_unknown_tenant_are_refused() {
    let mut set = set(1000);
    let records: Vec<_> = own()
        .take(40)
        .map(|number| record(check_in(number, 1)))
        .collect();
    let outcome = set.apply_check_ins(TenantIndex(7), &records);
    assert_eq!((outcome.rejected, set.devices()), (40, 0));
    assert!(
        journal(&mut set)
            .iter()
            .all(|(_, _, value)| value.is_empty())
    );
}
