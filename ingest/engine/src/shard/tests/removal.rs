//! Removal, retention, and the slots that become free.

use super::disk::Disk;
use super::*;
use crate::Ticked;

const DAY: u32 = 24 * 3600;

/// A shard with a disk, whose batches have one event.
struct Fixture {
    shard: Shard,
    disk: Disk,
    effects: Effects,
    now: u32,
}

impl Fixture {
    fn new() -> Self {
        let shard = shard();
        Self {
            disk: Disk::of(&shard),
            shard,
            effects: Effects::default(),
            now: NOW.as_seconds(),
        }
    }

    fn batch<R>(&mut self, event: impl FnOnce(&mut Shard, &mut Effects) -> R) -> R {
        let now = Timestamp::from_seconds(self.now);
        self.shard.begin(now, &mut self.effects);
        self.shard.tick(u32::MAX, &mut self.effects);
        let result = event(&mut self.shard, &mut self.effects);
        let sequence = self.shard.seal(&mut self.effects);
        self.disk.commit(sequence, &self.effects);
        result
    }

    /// The outcome of a check-in, and the reason if it is rejected.
    fn check_in(&mut self, check_in: CheckIn) -> (Outcome, Option<RejectReason>) {
        self.batch(|shard, effects| {
            let outcome = shard.apply_check_ins(TENANT, &[record(check_in)], effects);
            (
                outcome,
                effects.rejections.first().and_then(Rejection::reason),
            )
        })
    }

    fn remove(&mut self, number: u16) -> Option<bool> {
        self.batch(|shard, effects| shard.remove_device(TENANT, &device_id(number), effects))
    }

    fn pass(&mut self, seconds: u32) {
        self.now += seconds;
        self.batch(|_, _| ());
    }

    fn checkpoint(&mut self) {
        assert!(self.shard.checkpoint_begin());
        self.disk.checkpoint_begins(&self.shard);
        self.shard
            .begin(Timestamp::from_seconds(self.now), &mut self.effects);
        let sequence = self.shard.seal(&mut self.effects);
        self.shard.checkpoint_step(usize::MAX, &mut self.effects);
        self.disk.commit(sequence, &self.effects);
        self.disk.checkpoint_is_complete();
    }

    #[track_caller]
    fn recovers(&self) {
        let recovered = self.disk.recover(ShardId(0), LIMITS, 3).unwrap();
        assert!(recovered.iter().eq(self.shard.iter()));
        assert_eq!(recovered.removed(), self.shard.removed());
        let counted: u64 = self.disk.recount().into_values().sum();
        assert_eq!(counted, u64::from(self.shard.devices()));
    }
}

#[test]
fn a_removed_device_is_in_no_count_and_nothing_on_its_way_brings_it_back() {
    let mut fixture = Fixture::new();
    fixture.check_in(check_in(1, 5));
    assert_eq!(fixture.remove(2), None, "an unknown device");
    assert_eq!(fixture.remove(1), Some(true));
    fixture.now += 1;
    assert_eq!(fixture.remove(1), Some(false), "removed before");
    assert_eq!((fixture.shard.devices(), fixture.shard.removed()), (0, 1));
    assert_eq!(fixture.shard.cells().count(), 0);
    for seq in [4, 5, 6] {
        let (outcome, reason) = fixture.check_in(check_in(1, seq));
        assert_eq!(
            (outcome.rejected, reason),
            (1, Some(RejectReason::DeviceRemoved))
        );
    }
    let inventory = inventory(1, 9, &[]);
    let archive = inventory.to_bytes().unwrap();
    let outcome = fixture.batch(|shard, effects| {
        let outcome = shard.apply_inventory(TENANT, &inventory, &archive, effects);
        assert!(effects.inventories.is_empty());
        outcome
    });
    assert_eq!(outcome.rejected, 1);
    fixture.recovers();
}

#[test]
fn a_restored_device_is_as_it_was_and_as_its_policy_and_the_time_have_it() {
    let mut fixture = Fixture::new();
    fixture.check_in(check_in(1, 5));
    fixture.remove(1);
    fixture.pass(8 * DAY);
    let restore = |shard: &mut Shard, effects: &mut Effects| {
        shard.restore_device(TENANT, &device_id(1), effects)
    };
    assert_eq!(fixture.batch(restore), Some(true));
    assert_eq!(fixture.batch(restore), Some(false));
    let (device, cold) = fixture.shard.device(TENANT, &device_id(1)).unwrap();
    let facets = Facets::from_word(device.facets).unwrap();
    assert_eq!((device.seq, cold.removed_at), (5, 0));
    assert_eq!(facets.sensor, SensorState::Inactive);
    assert_eq!(fixture.shard.devices(), 1);
    assert_eq!(fixture.check_in(check_in(1, 6)).0.accepted, 1);
    fixture.recovers();
}

#[test]
fn the_slot_of_a_removed_device_is_free_a_second_after_its_retention() {
    let mut fixture = Fixture::new();
    fixture.check_in(check_in(1, 5));
    fixture.check_in(check_in(2, 5));
    fixture.remove(1);
    fixture.pass(30 * DAY);
    assert_eq!(fixture.shard.removed(), 1);
    fixture.pass(1);
    assert_eq!(fixture.shard.removed(), 0);
    let deleted: Vec<_> = fixture.effects.inventories.drain(..).collect();
    assert_eq!(deleted[0].device_id, device_id(1));
    assert!(deleted[0].bytes.is_empty(), "its inventory is deleted");
    assert!(fixture.shard.device(TENANT, &device_id(1)).is_none());
    // Another device takes the slot, and the removed one comes back as a new one.
    fixture.check_in(check_in(3, 1));
    assert_eq!(fixture.check_in(check_in(1, 1)).0.accepted, 1);
    assert_eq!(fixture.shard.devices(), 3);
    fixture.recovers();
    fixture.checkpoint();
    fixture.recovers();
}

/// Pages of the devices before and after: a replay must not mix them.
#[test]
fn a_page_that_is_newer_than_a_freed_slot_keeps_its_new_device() {
    let mut fixture = Fixture::new();
    fixture.check_in(check_in(1, 5));
    fixture.checkpoint();
    assert!(fixture.shard.checkpoint_begin());
    fixture.disk.checkpoint_begins(&fixture.shard);
    fixture.check_in(check_in(1, 6));
    fixture.remove(1);
    fixture.pass(31 * DAY);
    fixture.check_in(check_in(2, 1));
    fixture.recovers();
    // The page is written with the new device; the journal still has the events of the old one.
    fixture.check_in(check_in(2, 2));
    fixture.batch(|_, _| ());
    let sequence = fixture.shard.seal(&mut fixture.effects);
    fixture
        .shard
        .checkpoint_step(usize::MAX, &mut fixture.effects);
    fixture.disk.commit(sequence, &fixture.effects);
    fixture.recovers();
    fixture.check_in(check_in(2, 3));
    fixture.recovers();
}

#[test]
fn an_offboarded_device_is_gone_after_180_days_of_silence() {
    let mut fixture = Fixture::new();
    let offboarded = |seq| CheckIn {
        onboarding: Onboarding::NotOnboarded,
        ..check_in(1, seq)
    };
    fixture.check_in(check_in(1, 1));
    fixture.check_in(offboarded(2));
    fixture.pass(179 * DAY);
    fixture.check_in(offboarded(3));
    fixture.pass(180 * DAY);
    assert_eq!(fixture.shard.devices(), 1);
    fixture.pass(1);
    assert_eq!((fixture.shard.devices(), fixture.shard.removed()), (0, 0));
    fixture.recovers();
}

/// A limit that is reached keeps its devices until they are gone, so that removing and creating does not go around it.
#[test]
fn removed_devices_count_for_the_limit() {
    let mut fixture = Fixture::new();
    fixture.shard = shard_with(ShardLimits { devices_max: 1 }, policy(1));
    fixture.disk = Disk::of(&fixture.shard);
    fixture.check_in(check_in(1, 1));
    fixture.remove(1);
    let (_, reason) = fixture.check_in(check_in(2, 1));
    assert_eq!(reason, Some(RejectReason::DeviceLimit));
    fixture.pass(31 * DAY);
    assert_eq!(fixture.check_in(check_in(2, 1)).0.accepted, 1);
}

/// A tick visits a bounded number of devices in each batch, and ends with all of them evaluated.
#[test]
fn many_due_devices_are_evaluated_in_slices() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let records: Vec<_> = (0..100).map(|n| record(check_in(n, 1))).collect();
    apply(&mut shard, &records, &mut effects);
    let later = Timestamp::from_seconds(NOW.as_seconds() + 48 * 3600 + 1);
    let mut changed = Vec::new();
    loop {
        shard.begin(later, &mut effects);
        changed.push(shard.tick(30, &mut effects).changed);
        shard.seal(&mut effects);
        if shard.context().time.tick.is_none() {
            break;
        }
    }
    assert_eq!(changed, [30, 30, 30, 10]);
    assert_eq!(shard.context().time.base, later.as_seconds());
    shard.begin(later, &mut effects);
    assert_eq!(shard.tick(30, &mut effects), Ticked::default());
    shard.seal(&mut effects);
    assert!(effects.journal_value().is_empty());
}
