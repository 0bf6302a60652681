//! A new policy re-evaluates every device of a shard in one batch, without an allocation per device.

use std::sync::Arc;

use muster_engine::effects::Effects;
use muster_engine::{
    PolicySet, Revision, Shard, ShardId, ShardLimits, TenantIndex, TenantPolicy, Timestamp,
};
use muster_wire::CheckInRecord;

use crate::counting::Meter;
use crate::fleet::check_in;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A policy set with which devices without a policy change their compliance from one revision to the next.
fn policy(revision: u32) -> Arc<PolicySet> {
    let mut tenant = TenantPolicy::default();
    tenant.secure_by_default = revision.is_multiple_of(2);
    Arc::new(PolicySet::new(Revision(revision), vec![tenant]))
}

/// Applies a policy set in its own batch, and returns how many devices it moved to another cell.
fn apply_policy(shard: &mut Shard, revision: u32) -> u32 {
    // As after a start: its buffers have not grown yet.
    let mut effects = Effects::default();
    // Except this one, which grows by doubling: a server moves a slice of the devices in a batch.
    effects.transitions.reserve(shard.devices() as usize);
    shard.begin(NOW, &mut effects);
    let moved = shard.apply_policy(policy(revision), &mut effects);
    shard.seal(&mut effects);
    assert_eq!(effects.transitions.len(), moved as usize);
    moved
}

/// The number of allocations of a policy change in a shard with `devices` devices.
fn allocations(devices: u64) -> u64 {
    let limits = ShardLimits {
        devices_max: 1 << 20,
    };
    let mut shard = Shard::new(ShardId(0), limits, 1);
    apply_policy(&mut shard, 1);
    let mut effects = Effects::default();
    shard.begin(NOW, &mut effects);
    let records: Vec<CheckInRecord> = (0..devices)
        .map(|number| check_in(number).to_record().unwrap())
        .collect();
    let outcome = shard.apply_check_ins(TenantIndex(0), &records, &mut effects);
    shard.seal(&mut effects);
    assert_eq!(u64::from(outcome.accepted), devices);
    // Once in each direction, so that no cell is new.
    apply_policy(&mut shard, 2);
    apply_policy(&mut shard, 3);
    let meter = Meter::new();
    meter.enter();
    let moved = apply_policy(&mut shard, 4);
    assert!(u64::from(moved) > devices / 2, "{moved} of {devices} moved");
    meter.count()
}

#[test]
fn a_policy_change_allocates_equally_often_for_any_number_of_devices() {
    assert_eq!(allocations(100_000), allocations(100));
}
