//! Tests of a shard: its events one by one, and against the oracle in submodules.

mod audit;
mod cached;
mod clock;
mod disk;
mod onboarding;
mod properties;
mod recount;
mod removal;
mod repeated;
mod rules_version;
mod sequence;
mod set;
mod validity;

use std::sync::Arc;

use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner,
    PartnerThreatState, Platform, RejectReason, Rejection, Risk, Stored,
};

use super::recovery::RecoveryError;
use super::*;
use crate::ShardMap;
use crate::effects::Outcome;
use crate::facet::Facets;
use crate::ids::{PageNumber, SlotIndex};
use crate::policy::{PolicySet, TargetedRules, TenantPolicy};
use crate::rules::sensor::SensorState;
use crate::rules::threat::Threshold;

const TENANT: TenantIndex = TenantIndex(0);
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LIMITS: ShardLimits = ShardLimits { devices_max: 1000 };

pub(super) fn device_id(number: u16) -> DeviceId {
    DeviceId::from_bytes((u128::from(number) + 1).to_be_bytes())
}

fn check_in(number: u16, seq: u64) -> CheckIn {
    CheckIn {
        device_id: device_id(number),
        seq,
        sent_at_ms: 0,
        boot_id: 1,
        payload: 2,
        flags: Flags::from_bits(0b1000_1111).unwrap(),
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
    }
}

fn inventory(number: u16, revision: u32, tags: &[&str]) -> Inventory {
    Inventory {
        device_id: device_id(number),
        revision,
        os_version: 0,
        owner: Owner::Company,
        device_name: format!("device {number}"),
        os_name: String::new(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: tags.iter().map(|tag| tag.to_string()).collect(),
    }
}

fn policy(revision: u32) -> Arc<PolicySet> {
    Arc::new(PolicySet::new(
        Revision(revision),
        vec![TenantPolicy::with_threshold(Threshold::Medium); 2],
    ))
}

fn shard_with(limits: ShardLimits, policy: Arc<PolicySet>) -> Shard {
    let mut shard = Shard::new(ShardId(0), limits, 1);
    let mut effects = Effects::default();
    shard.begin(NOW, &mut effects);
    shard.tick(u32::MAX, &mut effects);
    shard.apply_policy(policy, &mut effects);
    shard.seal(&mut effects);
    shard
}

fn shard() -> Shard {
    shard_with(LIMITS, policy(1))
}

/// Applies one batch of check-ins of tenant 0.
fn apply(shard: &mut Shard, records: &[CheckInRecord], effects: &mut Effects) -> Outcome {
    shard.begin(NOW, effects);
    let outcome = shard.apply_check_ins(TENANT, records, effects);
    shard.seal(effects);
    outcome
}

fn record(check_in: CheckIn) -> CheckInRecord {
    check_in.to_record().unwrap()
}

#[test]
fn a_check_in_counts_once_and_only_forward() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let records = [
        record(check_in(1, 5)),
        record(check_in(1, 5)),
        record(check_in(1, 4)),
    ];
    let outcome = apply(&mut shard, &records, &mut effects);
    assert_eq!(
        outcome,
        Outcome {
            accepted: 1,
            duplicate: 1,
            stale: 1,
            rejected: 0
        }
    );
    assert_eq!(shard.devices(), 1);
    assert_eq!(shard.cells().map(|(_, count)| count).sum::<u32>(), 1);
    let (device, cold) = shard.device(TENANT, &device_id(1)).unwrap();
    assert_eq!((device.seq, device.last_check_in), (5, NOW.as_seconds()));
    assert_eq!(cold.first_seen, NOW.as_seconds());
    let facets = Facets::from_word(device.facets).unwrap();
    assert_eq!(
        (facets.sensor, facets.risk),
        (SensorState::Active, Risk::Low)
    );
}

#[test]
fn a_batch_that_changes_nothing_has_no_journal_value() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let records = [record(check_in(1, 5))];
    apply(&mut shard, &records, &mut effects);
    let sequence = shard.sequence();
    assert!(!effects.journal_value().is_empty());
    apply(&mut shard, &records, &mut effects);
    assert!(effects.journal_value().is_empty());
    assert_eq!(shard.sequence(), sequence);
}

#[test]
fn a_change_of_facets_is_one_transition_between_two_cells() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    assert_eq!(effects.transitions.len(), 1, "a new device");
    apply(&mut shard, &[record(check_in(1, 2))], &mut effects);
    assert_eq!(effects.transitions.len(), 0, "same facets");
    apply(
        &mut shard,
        &[record(CheckIn {
            risk: Risk::High,
            ..check_in(1, 3)
        })],
        &mut effects,
    );
    assert_eq!(effects.transitions.len(), 1);
    let counts: Vec<u32> = shard.cells().map(|(_, count)| count).collect();
    assert_eq!(counts, [1], "the cell that it left is gone");
}

/// Two at a time would leave three policy sets in force.
#[test]
#[should_panic(expected = "one pass at a time")]
fn a_second_policy_pass_before_the_end_of_the_first_is_a_broken_invariant() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    shard.begin(NOW, &mut effects);
    shard.begin_policy_pass(policy(2), &mut effects);
    shard.begin_policy_pass(policy(3), &mut effects);
}

#[test]
fn equal_device_ids_of_two_tenants_are_two_devices() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    shard.begin(NOW, &mut effects);
    shard.apply_check_ins(TENANT, &[record(check_in(1, 9))], &mut effects);
    let outcome = shard.apply_check_ins(TenantIndex(1), &[record(check_in(1, 1))], &mut effects);
    assert_eq!(outcome.accepted, 1);
    assert_eq!(shard.device(TENANT, &device_id(1)).unwrap().0.seq, 9);
    assert_eq!(
        shard.device(TenantIndex(1), &device_id(1)).unwrap().0.seq,
        1
    );
}

#[test]
fn an_unknown_device_is_rejected_where_the_tenant_does_not_create_devices() {
    let mut closed = TenantPolicy::default();
    closed.auto_create_devices = false;
    let mut shard = shard_with(LIMITS, Arc::new(PolicySet::new(Revision(1), vec![closed])));
    let mut effects = Effects::default();
    let outcome = apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    assert_eq!(outcome.rejected, 1);
    assert_eq!(
        effects.rejections[0].reason(),
        Some(RejectReason::UnknownDevice)
    );
    assert_eq!(shard.devices(), 0);
    assert!(effects.journal_value().is_empty());
}

#[test]
fn check_ins_of_a_tenant_outside_the_policy_set_are_rejected() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    shard.begin(NOW, &mut effects);
    let outcome = shard.apply_check_ins(TenantIndex(7), &[record(check_in(1, 1))], &mut effects);
    assert_eq!(outcome.rejected, 1);
    assert_eq!(shard.devices(), 0);
}

#[test]
fn a_device_beyond_the_limit_is_rejected_and_changes_nothing() {
    let limits = ShardLimits { devices_max: 1 };
    let (mut shard, mut effects) = (shard_with(limits, policy(1)), Effects::default());
    let records = [record(check_in(1, 1)), record(check_in(2, 1))];
    let outcome = apply(&mut shard, &records, &mut effects);
    assert_eq!((outcome.accepted, outcome.rejected), (1, 1));
    let inventory = inventory(2, 1, &[]);
    let archive = inventory.to_bytes().unwrap();
    let outcome = shard.apply_inventory(TENANT, &inventory, &archive, &mut effects);
    assert_eq!(outcome.rejected, 1);
    let reasons = effects.rejections.iter().map(Rejection::reason);
    assert!(reasons.eq([Some(RejectReason::DeviceLimit); 2]));
    assert_eq!(shard.devices(), 1);
}

#[test]
fn an_inventory_is_stored_once_and_only_forward() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    for (revision, expected) in [(2, (1, 0, 0)), (2, (0, 1, 0)), (1, (0, 0, 1))] {
        let inventory = inventory(1, revision, &["b", "a"]);
        let archive = inventory.to_bytes().unwrap();
        shard.begin(NOW, &mut effects);
        let outcome = shard.apply_inventory(TENANT, &inventory, &archive, &mut effects);
        assert_eq!(
            (outcome.accepted, outcome.duplicate, outcome.stale),
            expected
        );
        assert_eq!(effects.inventories.len() as u32, outcome.accepted);
        assert_eq!(effects.transitions.len() as u32, outcome.accepted);
    }
    let (device, cold) = shard.device(TENANT, &device_id(1)).unwrap();
    assert_eq!((cold.inventory_revision, device.seq), (2, 1));
}

#[test]
fn silence_alone_takes_a_sensor_from_active_to_no_data_to_inactive() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
    let hours = |hours: u32| Timestamp::from_seconds(NOW.as_seconds() + hours * 3600);
    for (now, changed, expected) in [
        (hours(48), 0, SensorState::Active),
        (hours(49), 1, SensorState::NoSensorData),
        (hours(50), 0, SensorState::NoSensorData),
        (hours(7 * 24 + 1), 1, SensorState::Inactive),
    ] {
        shard.begin(now, &mut effects);
        assert_eq!(shard.tick(u32::MAX, &mut effects).changed, changed);
        shard.seal(&mut effects);
        assert_eq!(effects.journal_value().is_empty(), changed == 0);
        let (device, _) = shard.device(TENANT, &device_id(1)).unwrap();
        assert_eq!(Facets::from_word(device.facets).unwrap().sensor, expected);
    }
}

#[test]
fn a_new_policy_set_reevaluates_every_device() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let medium = CheckIn {
        risk: Risk::Medium,
        ..check_in(1, 1)
    };
    apply(&mut shard, &[record(medium)], &mut effects);
    let mut strict = TenantPolicy::with_threshold(Threshold::Medium);
    strict.change_platform(Platform::Windows, |rules| {
        rules.threshold = Threshold::Clear
    });
    shard.begin(NOW, &mut effects);
    let changed = shard.apply_policy(
        Arc::new(PolicySet::new(Revision(2), vec![strict])),
        &mut effects,
    );
    assert_eq!(changed, 1);
    assert_eq!(shard.revision(), Revision(2));
    let (device, _) = shard.device(TENANT, &device_id(1)).unwrap();
    let facets = Facets::from_word(device.facets).unwrap();
    assert_eq!(facets.compliance, crate::Compliance::Noncompliant);
}
