//! Updates the record of a device from its check-in and derives its facets by the rules.
//!
//! Pure functions on the hot path, called once per accepted check-in. They are inlined so that a record stays in
//! registers between the load from the slab and the store to it. Otherwise its fields are written one by one and then
//! read as a whole, which defeats store forwarding (17 ns of 146 in the part `apply`, 1 M devices). No state, no
//! allocation.

use muster_wire::{CheckInRecord, Flags, Onboarding};

use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::journal::REPEATED_SEQ_MAX;
use crate::policy::TenantPolicy;
use crate::rules::Decision;
use crate::rules::compliance::{Compliance, ComplianceCause, compliance_state, is_reached};
use crate::rules::sensor::{SensorCause, SensorFacts, SensorState, sensor_state};
use crate::rules::settings::Failing;
use crate::rules::threat::{ThreatCause, ThreatSetting, threat_setting};

/// Applies a check-in to the record of its device: copies what it reports and evaluates everything (R22).
#[inline(always)]
pub(super) fn report_and_observe(
    record: &mut DeviceRecord,
    cold: &ColdRecord,
    check_in: &CheckInRecord,
    policy: &TenantPolicy,
    now: u32,
) {
    let before = record.facets;
    let onboarded = check_in.onboarding() == Onboarding::Onboarded;
    let kept = if before.onboarded() && !onboarded {
        sensor_when_offboarded(*record, policy, now)
    } else {
        before.kept_sensor()
    };
    let mut reported = Facets {
        platform: check_in.platform(),
        management_agent: check_in.management_agent(),
        onboarded,
        sensor: kept,
        risk: check_in.risk(),
        partner_threat: check_in.partner_threat_state(),
        ..Facets::default()
    };
    reported.set_flags(check_in.flags());
    store_report(record, check_in);
    if onboarded && !before.onboarded() {
        begin_onboarding(record, now);
    }
    observe(record, cold, reported, check_in.seq(), policy, now);
}

/// R17: a sensor that is offboarded now keeps the state that it has now, however long ago it was evaluated. Rare, and by
/// value so that the caller's record stays in registers.
#[cold]
#[inline(never)]
fn sensor_when_offboarded(record: DeviceRecord, policy: &TenantPolicy, now: u32) -> SensorState {
    sensor(&record, true, record.facets.kept_sensor(), policy, now).state
}

/// Times of an earlier onboarding do not count for this one, and the first full report is due from now on.
#[inline(always)]
fn begin_onboarding(record: &mut DeviceRecord, now: u32) {
    record.last_contact = 0;
    record.last_telemetry = 0;
    record.last_full_report = now;
}

/// Copies the fields that a record stores as reported.
#[inline(always)]
fn store_report(record: &mut DeviceRecord, check_in: &CheckInRecord) {
    record.boot_id = check_in.boot_id();
    record.payload = check_in.payload();
    record.flags = check_in.flags();
}

/// Records seq and time of an accepted check-in whose flags are in the record, and evaluates what it reported.
#[inline(always)]
pub(super) fn observe(
    record: &mut DeviceRecord,
    cold: &ColdRecord,
    reported: Facets,
    seq: u64,
    policy: &TenantPolicy,
    now: u32,
) {
    record_seq_and_time(record, reported.onboarded, seq, now);
    record.facets = evaluate(record, cold, reported, policy, now).word();
}

/// Records seq and receive time of a check-in whose flags are in the record.
#[inline(always)]
fn record_seq_and_time(record: &mut DeviceRecord, onboarded: bool, seq: u64, now: u32) {
    let flags = record.flags;
    record.seq = seq;
    record.last_check_in = now;
    if onboarded && flags.contains(Flags::COMMAND_AND_CONTROL_OK) {
        record.last_contact = now;
    }
    if onboarded && flags.contains(Flags::TELEMETRY_OK) {
        record.last_telemetry = now;
    }
    if onboarded && flags.contains(Flags::FULL_REPORT) {
        record.last_full_report = now;
    }
}

/// Whether a check-in reports the facets that its device has. Then those derived from them stay valid, except the
/// sensor state, which depends on further flags and on time: a record has the facets of its last evaluation, and it
/// is evaluated anew before its check-ins get another policy. A report that was no longer valid decided about compliance itself, so
/// the facets that follow from it are not the ones that follow from this one.
#[inline(always)]
pub(super) fn is_cached(record: &DeviceRecord, check_in: &CheckInRecord) -> bool {
    /// The flag that is a facet, and those that settings read in addition.
    const CACHED: Flags = Flags::FOREIGN_ORG
        .union(Flags::SETTING_ERROR)
        .union(Flags::JAILBROKEN)
        .union(Flags::ENCRYPTED);
    let changed = record.flags.bits() ^ check_in.flags().bits();
    record.facets.are_valid_with(check_in.codes()) && changed & CACHED.bits() == 0
}

/// [`report_and_observe`] for a check-in that [`is_cached`], the common case: evaluates the sensor state only (R17).
#[inline(always)]
pub(super) fn observe_cached(
    record: &mut DeviceRecord,
    check_in: &CheckInRecord,
    policy: &TenantPolicy,
    now: u32,
) {
    let cached = record.facets;
    let (onboarded, kept) = (cached.onboarded(), cached.kept_sensor());
    store_report(record, check_in);
    record_seq_and_time(record, onboarded, check_in.seq(), now);
    let sensor = sensor(record, onboarded, kept, policy, now).state;
    let kept = if onboarded { sensor } else { kept };
    record.facets = cached.with_sensor(sensor, kept);
}

/// Whether a check-in repeats the device's previous one in everything except seq and flags. The first check-in never
/// does.
#[inline(always)]
pub(super) fn repeats(before: &DeviceRecord, check_in: &CheckInRecord) -> bool {
    before.seq != 0
        && before.boot_id == check_in.boot_id()
        && before.payload == check_in.payload()
        && before.facets.codes() == check_in.codes()
        && check_in.seq() <= REPEATED_SEQ_MAX
}

/// The decisions of all rules about a device.
#[derive(Clone, Copy, Debug)]
pub struct Decisions {
    /// R17.
    pub sensor: Decision<SensorState, SensorCause>,
    /// R2 and R3.
    pub threat_setting: Decision<ThreatSetting, ThreatCause>,
    /// R7.
    pub compliance: Decision<Compliance, ComplianceCause>,
}

/// Decides about a device by its records and what it has reported; `reported` also has the state that its sensor keeps if
/// it is offboarded.
#[inline(always)]
pub fn decide(
    record: &DeviceRecord,
    cold: &ColdRecord,
    reported: &Facets,
    policy: &TenantPolicy,
    now: u32,
) -> Decisions {
    let kept = reported.kept_sensor();
    let sensor = sensor(record, reported.onboarded, kept, policy, now);
    let rules = policy.platform(reported.platform);
    let threat_setting = threat_setting(
        reported.platform,
        rules,
        is_reached(reported.management_agent),
        reported.threat_level(),
        record.flags.contains(Flags::SETTING_ERROR),
    );
    let age = now.saturating_sub(record.last_check_in);
    let is_expired = threat_setting.state.is_of_a_policy() && age > policy.validity_seconds;
    let device = &rules.device;
    let (failing, contradict) = if device.is_empty() {
        (Failing::default(), false)
    } else {
        let failing = device.failing(record.flags, cold.os_version());
        (failing, device.contradict())
    };
    let compliance = compliance_state(
        reported.management_agent,
        policy.secure_by_default,
        is_expired,
        threat_setting.state,
        failing,
        contradict,
    );
    Decisions {
        sensor,
        threat_setting,
        compliance,
    }
}

/// Derives the evaluated facets of a device from the reported ones by [`decide`].
#[inline(always)]
pub fn evaluate(
    record: &DeviceRecord,
    cold: &ColdRecord,
    reported: Facets,
    policy: &TenantPolicy,
    now: u32,
) -> Facets {
    let decided = decide(record, cold, &reported, policy, now);
    let (sensor, kept) = (decided.sensor.state, reported.kept_sensor());
    Facets {
        sensor,
        sensor_before_silence: (!reported.onboarded && sensor != kept).then_some(kept),
        threat_setting: decided.threat_setting.state,
        compliance: decided.compliance.state,
        validity_expired: decided.compliance.cause == ComplianceCause::NotActive,
        ..reported
    }
}

/// R17, from the fields of the record.
#[inline(always)]
fn sensor(
    record: &DeviceRecord,
    onboarded: bool,
    kept: SensorState,
    policy: &TenantPolicy,
    now: u32,
) -> Decision<SensorState, SensorCause> {
    sensor_state(
        &SensorFacts {
            onboarded,
            kept,
            sensor_running: record.flags.contains(Flags::SENSOR_RUNNING),
            command_and_control_ok: record.flags.contains(Flags::COMMAND_AND_CONTROL_OK),
            last_contact: record.last_contact,
            last_telemetry: record.last_telemetry,
            last_full_report: record.last_full_report,
            last_check_in: record.last_check_in,
        },
        &policy.sensor_limits,
        now,
    )
}
