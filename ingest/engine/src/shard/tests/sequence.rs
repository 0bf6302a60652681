//! How far ahead a number may be, what the ack of a stale record has, and the reset of the numbers.

use super::disk::Disk;
use super::*;
use crate::CheckpointProgress;
use crate::journal::{Change, DeviceAction, Event, JournalValue};

const LEAP: u64 = 1 << 20;
const DAY_MS: u64 = 86_400_000;

/// Applies an inventory in a separate batch.
fn apply_inventory(shard: &mut Shard, revision: u32, effects: &mut Effects) -> Outcome {
    let inventory = inventory(1, revision, &[]);
    let archive = inventory.to_bytes().unwrap();
    shard.begin(NOW, effects);
    let outcome = shard.apply_inventory(TENANT, &inventory, &archive, effects);
    shard.seal(effects);
    outcome
}

fn reset(shard: &mut Shard, now: Timestamp, effects: &mut Effects) -> Option<SequenceReset> {
    shard.begin(now, effects);
    let reset = shard.reset_sequence(TENANT, &device_id(1), effects);
    shard.seal(effects);
    reset
}

#[test]
fn a_seq_is_at_most_a_leap_ahead_of_the_stored_one_or_a_day_ahead_of_the_clock() {
    let by_clock = NOW.as_millis() + DAY_MS;
    for (stored, sent, accepted) in [
        (0, LEAP, true),
        (0, by_clock, true),
        (0, by_clock + 1, false),
        (0, u64::MAX, false),
        (5, by_clock, true),
        (5, by_clock + 1, false),
        (by_clock, by_clock + LEAP, true),
        (by_clock, by_clock + LEAP + 1, false),
    ] {
        let (mut shard, mut effects) = (shard(), Effects::default());
        if stored > 0 {
            apply(&mut shard, &[record(check_in(1, stored))], &mut effects);
        }
        let outcome = apply(&mut shard, &[record(check_in(1, sent))], &mut effects);
        let case = format!("{stored} then {sent}");
        assert_eq!(outcome.accepted == 1, accepted, "{case}");
        if !accepted {
            let ahead = Rejection::ahead(device_id(1), sent, Stored::Seq(stored));
            assert_eq!(effects.rejections, [ahead], "{case}");
            assert!(effects.journal_value().is_empty(), "{case}");
            assert_eq!(shard.devices(), u32::from(stored > 0), "{case}");
        }
    }
}

#[test]
fn a_clock_at_zero_allows_a_leap_and_no_more() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    shard.begin(Timestamp::from_millis(0), &mut effects);
    let far = record(check_in(1, DAY_MS + 1));
    assert_eq!(
        shard.apply_check_ins(TENANT, &[far], &mut effects).rejected,
        1
    );
    let near = record(check_in(1, LEAP));
    assert_eq!(
        shard
            .apply_check_ins(TENANT, &[near], &mut effects)
            .accepted,
        1
    );
}

#[test]
fn an_inventory_revision_is_bounded_by_the_clock_in_seconds() {
    let by_clock = NOW.as_seconds() + 86_400;
    for (stored, sent, accepted) in [
        (0, 1 << 20, true),
        (0, by_clock, true),
        (0, by_clock + 1, false),
        (7, u32::MAX, false),
        (by_clock, by_clock + (1 << 20), true),
        (by_clock, by_clock + (1 << 20) + 1, false),
    ] {
        let (mut shard, mut effects) = (shard(), Effects::default());
        if stored > 0 {
            apply_inventory(&mut shard, stored, &mut effects);
        }
        let outcome = apply_inventory(&mut shard, sent, &mut effects);
        assert_eq!(outcome.accepted == 1, accepted, "{stored} then {sent}");
        if !accepted {
            let ahead = Rejection::ahead(device_id(1), sent.into(), Stored::Revision(stored));
            assert_eq!(effects.rejections, [ahead]);
            assert!(effects.inventories.is_empty());
        }
    }
}

#[test]
fn a_stale_record_is_counted_and_listed_with_the_stored_number() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(&mut shard, &[record(check_in(1, 9))], &mut effects);
    let outcome = apply(&mut shard, &[record(check_in(1, 4))], &mut effects);
    assert_eq!((outcome.stale, outcome.rejected), (1, 0));
    assert_eq!(
        effects.rejections,
        [Rejection::stale(device_id(1), 4, Stored::Seq(9))]
    );
    apply_inventory(&mut shard, 3, &mut effects);
    apply_inventory(&mut shard, 2, &mut effects);
    assert_eq!(
        effects.rejections,
        [Rejection::stale(device_id(1), 2, Stored::Revision(3))]
    );
    apply(&mut shard, &[record(check_in(1, 9))], &mut effects);
    assert!(effects.rejections.is_empty(), "a duplicate is not listed");
}

#[test]
fn a_device_is_stale_since_the_first_of_its_stale_check_ins_until_one_is_accepted() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let since = |shard: &Shard| shard.stale_since(TENANT, &device_id(1));
    apply(&mut shard, &[record(check_in(1, 9))], &mut effects);
    assert_eq!(since(&shard), None);
    for seconds in [1, 2] {
        let now = Timestamp::from_seconds(NOW.as_seconds() + seconds);
        shard.begin(now, &mut effects);
        shard.apply_check_ins(TENANT, &[record(check_in(1, 4))], &mut effects);
    }
    assert_eq!(since(&shard), Some(NOW.as_seconds() + 1));
    let stale = StaleDevice {
        tenant: TENANT,
        device_id: device_id(1),
        seq: 9,
        since: NOW.as_seconds() + 1,
    };
    assert!(shard.stale_devices().eq([stale]));
    apply(&mut shard, &[record(check_in(1, 10))], &mut effects);
    assert_eq!(since(&shard), None);
    assert_eq!(shard.stale_devices().count(), 0);
}

/// Both tenants of the policy set have a share of what a shard remembers.
#[test]
fn a_tenant_with_many_stale_devices_hides_neither_those_of_others_nor_its_later_ones() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let of_all = |seq| -> Vec<_> { (0..600).map(|n| record(check_in(n, seq))).collect() };
    apply(&mut shard, &of_all(9), &mut effects);
    assert_eq!(apply(&mut shard, &of_all(4), &mut effects).stale, 600);
    assert_eq!(shard.stale_devices().count(), 64);
    let other = TenantIndex(1);
    for seq in [9, 4] {
        shard.begin(NOW, &mut effects);
        shard.apply_check_ins(other, &[record(check_in(1, seq))], &mut effects);
        shard.seal(&mut effects);
    }
    assert!(shard.stale_since(other, &device_id(1)).is_some());
    apply(&mut shard, &of_all(10), &mut effects);
    assert_eq!(shard.stale_devices().count(), 1, "all have continued");
    for _ in 0..2 {
        apply(&mut shard, &of_all(4), &mut effects);
    }
    assert_eq!(shard.stale_devices().count(), 65);
    assert!(shard.stale_since(TENANT, &device_id(599)).is_none());
    apply(&mut shard, &of_all(11), &mut effects);
    for _ in 0..600 {
        apply(&mut shard, &[record(check_in(599, 4))], &mut effects);
    }
    assert!(shard.stale_since(TENANT, &device_id(599)).is_some());
}

#[test]
fn a_reset_sets_the_seq_to_the_clock_and_keeps_what_the_device_reported() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    assert_eq!(
        reset(&mut shard, NOW, &mut effects),
        None,
        "an unknown device"
    );
    assert!(effects.journal_value().is_empty());
    let high = NOW.as_millis() + DAY_MS;
    apply(&mut shard, &[record(check_in(1, high))], &mut effects);
    apply_inventory(&mut shard, NOW.as_seconds() + 86_400, &mut effects);
    let (before, _) = shard.device(TENANT, &device_id(1)).unwrap();
    let before = *before;
    let done = reset(&mut shard, NOW, &mut effects).unwrap();
    let expected = SequenceReset {
        seq_before: high,
        seq: NOW.as_millis(),
        inventory_revision_before: NOW.as_seconds() + 86_400,
        inventory_revision: NOW.as_seconds(),
    };
    assert_eq!(done, expected);
    let (after, _) = shard.device(TENANT, &device_id(1)).unwrap();
    let expected = DeviceRecord {
        seq: NOW.as_millis(),
        ..before
    };
    assert_eq!(*after, expected);
    let next = record(check_in(1, NOW.as_millis() + 1));
    assert_eq!(apply(&mut shard, &[next], &mut effects).accepted, 1);
}

#[test]
fn a_reset_raises_the_seq_too_but_not_the_revision_and_not_a_device_without_check_ins() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply_inventory(&mut shard, 3, &mut effects);
    let done = reset(&mut shard, NOW, &mut effects).unwrap();
    assert_eq!((done.seq, done.inventory_revision), (0, 3));
    apply(&mut shard, &[record(check_in(1, 5))], &mut effects);
    let done = reset(&mut shard, NOW, &mut effects).unwrap();
    assert_eq!((done.seq_before, done.seq), (5, NOW.as_millis()));
}

/// A replay by seq would apply the high check-in again to the newer page, and so undo the reset and what followed.
#[test]
fn a_page_that_is_newer_than_a_reset_stays_as_it_is() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::of(&shard);
    let later = Timestamp::from_seconds(NOW.as_seconds() + 1);
    let risky = |seq| {
        record(CheckIn {
            risk: Risk::High,
            ..check_in(1, seq)
        })
    };
    apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    disk.commit(shard.sequence(), &effects);
    assert!(shard.checkpoint_begin());
    disk.checkpoint_begins(&shard);
    let high = NOW.as_millis() + DAY_MS;
    for seq in [high, high + 1] {
        apply(&mut shard, &[record(check_in(1, seq))], &mut effects);
        disk.commit(shard.sequence(), &effects);
    }
    apply_inventory(&mut shard, NOW.as_seconds() + 9, &mut effects);
    disk.commit(shard.sequence(), &effects);
    reset(&mut shard, later, &mut effects);
    disk.commit(shard.sequence(), &effects);
    shard.begin(later, &mut effects);
    shard.apply_check_ins(TENANT, &[risky(later.as_millis() + 1)], &mut effects);
    let sequence = shard.seal(&mut effects);
    let progress = shard.checkpoint_step(10, &mut effects);
    disk.commit(sequence, &effects);
    assert_eq!(progress, CheckpointProgress::Complete);
    disk.checkpoint_is_complete();
    let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
    let device = device_id(1);
    assert_eq!(
        recovered.device(TENANT, &device),
        shard.device(TENANT, &device)
    );
    assert_eq!(
        disk.recount().into_values().collect::<Vec<_>>(),
        [1],
        "the model agrees on the number of devices"
    );
}

#[test]
fn a_replay_accepts_what_an_older_server_accepted_and_refuses_a_reset_of_another_device() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::of(&shard);
    apply(&mut shard, &[record(check_in(1, 5))], &mut effects);
    let mut value = effects.journal_value().to_vec();
    // Header, segment, slot, device id, seq.
    let seq_at = 16 + 8 + 4 + 16;
    value[seq_at..seq_at + 8].fill(0xff);
    effects.swap_journal(&mut value);
    disk.commit(shard.sequence(), &effects);
    let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
    let (record, _) = recovered.device(TENANT, &device_id(1)).unwrap();
    assert_eq!(record.seq, u64::MAX);

    reset(&mut shard, NOW, &mut effects).unwrap();
    let mut value = effects.journal_value().to_vec();
    let mut read = JournalValue::decode(&value).unwrap();
    let action = Change::Action(TENANT, device_id(1), DeviceAction::Reset);
    let expected = Event::Device(SlotIndex(0), action);
    assert_eq!(read.next_event(), Ok(Some(expected)));
    *value.last_mut().unwrap() ^= 1;
    effects.swap_journal(&mut value);
    disk.commit(shard.sequence(), &effects);
    let refused = disk.recover(ShardId(0), LIMITS, 7).unwrap_err();
    assert!(
        matches!(refused, RecoveryError::Journal { .. }),
        "{refused}"
    );
}
