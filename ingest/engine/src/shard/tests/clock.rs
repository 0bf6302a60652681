//! Times of a device: only the server's, also when its clock is set back.

use super::disk::Disk;
use super::*;

const DAY: u32 = 24 * 3600;
const WITHOUT_TELEMETRY: u16 = 0b1000_1011;

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Applies one check-in at a time.
fn apply_at(shard: &mut Shard, now: u32, check_in: CheckIn, disk: &mut Disk) {
    let mut effects = Effects::default();
    shard.begin(at(now), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    let outcome = shard.apply_check_ins(TENANT, &[record(check_in)], &mut effects);
    assert_eq!(outcome.accepted, 1);
    let sequence = shard.seal(&mut effects);
    disk.commit(sequence, &effects);
}

fn tick_at(shard: &mut Shard, now: u32, disk: &mut Disk) {
    let mut effects = Effects::default();
    shard.begin(at(now), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    let sequence = shard.seal(&mut effects);
    disk.commit(sequence, &effects);
}

/// The record of the device, when it was first seen, and the state of its sensor.
fn device(shard: &Shard) -> (DeviceRecord, u32, SensorState) {
    let (record, cold) = shard.device(TENANT, &device_id(1)).unwrap();
    let facets = Facets::from_word(record.facets).unwrap();
    (*record, cold.first_seen, facets.sensor)
}

#[track_caller]
fn has_no_time_after(now: u32, shard: &Shard) {
    let (record, first_seen, _) = device(shard);
    let times = [
        first_seen,
        record.last_check_in,
        record.last_contact,
        record.last_telemetry,
        record.last_full_report,
    ];
    assert!(times.iter().all(|time| *time <= now), "{times:?}");
}

/// A shard with a disk that follows it.
fn shard_and_disk() -> (Shard, Disk) {
    let (mut disk, mut effects) = (Disk::default(), Effects::default());
    disk.add_policy(&policy(1));
    let mut shard = Shard::new(ShardId(0), LIMITS, 1);
    shard.begin(NOW, &mut effects);
    shard.tick(u32::MAX, &mut effects);
    shard.apply_policy(policy(1), &mut effects);
    let sequence = shard.seal(&mut effects);
    disk.commit(sequence, &effects);
    (shard, disk)
}

/// The time that a device reports is for statistics.
#[test]
fn a_time_from_the_wire_is_never_used() {
    let states = [0, 1, NOW.as_millis(), u64::MAX].map(|sent_at_ms| {
        let (mut shard, mut disk) = shard_and_disk();
        for seq in 1..=3 {
            let check_in = CheckIn {
                sent_at_ms,
                // The second repeats the first, the third does not.
                boot_id: (seq / 3) as u32,
                ..check_in(1, seq)
            };
            apply_at(
                &mut shard,
                NOW.as_seconds() + seq as u32,
                check_in,
                &mut disk,
            );
        }
        let recovered = disk.recover(ShardId(0), LIMITS, 2).unwrap();
        assert_eq!(device(&recovered), device(&shard));
        device(&shard)
    });
    assert!(states.iter().all(|state| *state == states[0]), "{states:?}");
    let (record, first_seen, _) = states[0];
    let now = NOW.as_seconds();
    assert_eq!((first_seen, record.last_check_in), (now + 1, now + 3));
}

#[test]
fn after_a_clock_was_set_back_the_next_check_in_leaves_no_time_ahead_of_it() {
    let (mut shard, mut disk) = shard_and_disk();
    let now = NOW.as_seconds();
    let full_report = CheckIn {
        flags: Flags::from_bits(0b1000_1111)
            .unwrap()
            .with(Flags::FULL_REPORT, true),
        ..check_in(1, 1)
    };
    apply_at(&mut shard, now + 8 * DAY, full_report, &mut disk);
    let bare = CheckIn {
        flags: Flags::from_bits(WITHOUT_TELEMETRY).unwrap(),
        ..check_in(1, 2)
    };
    apply_at(&mut shard, now, bare, &mut disk);
    has_no_time_after(now, &shard);
    let recovered = disk.recover(ShardId(0), LIMITS, 2).unwrap();
    assert_eq!(device(&recovered), device(&shard));
}

#[test]
fn a_device_that_an_inventory_created_before_the_clock_was_set_back_was_seen_first_at_its_check_in()
{
    let (mut shard, mut disk) = shard_and_disk();
    let (now, mut effects) = (NOW.as_seconds(), Effects::default());
    let inventory = inventory(1, 1, &[]);
    shard.begin(at(now + 8 * DAY), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    let archive = inventory.to_bytes().unwrap();
    shard.apply_inventory(TENANT, &inventory, &archive, &mut effects);
    let sequence = shard.seal(&mut effects);
    disk.commit(sequence, &effects);
    for seq in 1..=2 {
        apply_at(&mut shard, now, check_in(1, seq), &mut disk);
        has_no_time_after(now, &shard);
    }
    let recovered = disk.recover(ShardId(0), LIMITS, 2).unwrap();
    assert_eq!(device(&recovered), device(&shard));
}

#[test]
fn devices_that_a_leap_of_the_clock_made_inactive_are_active_after_it() {
    let (mut shard, mut disk) = shard_and_disk();
    let now = NOW.as_seconds();
    apply_at(&mut shard, now, check_in(1, 1), &mut disk);
    tick_at(&mut shard, now + 8 * DAY, &mut disk);
    assert_eq!(device(&shard).2, SensorState::Inactive);
    tick_at(&mut shard, now + 300, &mut disk);
    assert_eq!(device(&shard).2, SensorState::Active);
    let recovered = disk.recover(ShardId(0), LIMITS, 2).unwrap();
    assert_eq!(device(&recovered), device(&shard));
    let counted = disk.recount();
    let cells: Vec<_> = counted.keys().map(|(_, facets)| facets.sensor).collect();
    assert_eq!(cells, [SensorState::Active]);
}
