//! From what a device reported to its record and its facets: the rules, put together.
//!
//! Pure functions on the hot path, called once an accepted check-in. Inlined there, so that a record stays in registers
//! between slab and slab: in memory it would be written by fields and read as a whole a moment later, for which a
//! processor waits until the writes are through (17 ns of 146 in the part `apply`, 1 M devices).

use muster_wire::{CheckInRecord, Flags, Onboarding};

use crate::cell::Cell;
use crate::device::DeviceRecord;
use crate::facet::{FacetWord, Facets};
use crate::journal::REPEATED_SEQ_MAX;
use crate::policy::TenantPolicy;
use crate::rules::compliance::compliance_state;
use crate::rules::sensor::{SensorFacts, SensorState, sensor_state};
use crate::rules::threat::{ThreatLevel, threat_setting};

/// Takes what a check-in reports into the record, but for its number; returns the reported facets.
#[inline(always)]
pub(super) fn report(
    record: &mut DeviceRecord,
    ever_onboarded: bool,
    check_in: &CheckInRecord,
) -> Facets {
    let flags = check_in.flags();
    let onboarded = check_in.onboarding() == Onboarding::Onboarded;
    keep(record, check_in);
    let mut reported = Facets {
        platform: check_in.platform(),
        management_agent: check_in.management_agent(),
        onboarded,
        ever_onboarded: ever_onboarded || onboarded,
        risk: check_in.risk(),
        partner_threat: check_in.partner_threat_state(),
        ..Facets::default()
    };
    reported.flag(flags);
    reported
}

/// What a record keeps of a report as it came.
#[inline(always)]
fn keep(record: &mut DeviceRecord, check_in: &CheckInRecord) {
    record.boot_id = check_in.boot_id();
    record.payload = check_in.payload();
    record.flags = check_in.flags();
}

/// Takes an accepted check-in that has been reported into the record; returns all facets.
#[inline(always)]
pub(super) fn observe(
    record: &mut DeviceRecord,
    reported: Facets,
    seq: u64,
    policy: &TenantPolicy,
    now: u32,
) -> Facets {
    note(record, reported.onboarded, seq, now);
    evaluate(record, reported, policy, now)
}

/// Takes the number and the time of a check-in that has been reported into the record.
#[inline(always)]
fn note(record: &mut DeviceRecord, onboarded: bool, seq: u64, now: u32) {
    let flags = record.flags;
    record.seq = seq;
    record.last_check_in = now;
    if onboarded && flags.contains(Flags::COMMAND_AND_CONTROL_OK) {
        record.last_contact = now;
    }
    if onboarded && flags.contains(Flags::TELEMETRY_OK) {
        record.last_telemetry = now;
    }
    if flags.contains(Flags::FULL_REPORT) {
        record.last_full_report = now;
    }
}

/// Whether a check-in reports all that its device is filed under: then what was derived of that holds as long as the
/// policy does, but for the sensor, which other flags and the time change.
#[inline(always)]
pub(super) fn is_cached(record: &DeviceRecord, cached: &Cell, check_in: &CheckInRecord) -> bool {
    /// The flags among the reported facets, and what R3 asks for beside them.
    const CACHED: Flags = Flags::FOREIGN_ORG
        .union(Flags::REGISTERED)
        .union(Flags::SETTING_ERROR);
    let changed = record.flags.bits() ^ check_in.flags().bits();
    cached.codes == check_in.codes() && changed & CACHED.bits() == 0
}

/// [`report`] and [`observe`] for a check-in that [`is_cached`], by far most of them: only the sensor is judged (R17).
#[inline(always)]
pub(super) fn observe_cached(
    record: &mut DeviceRecord,
    cached: FacetWord,
    check_in: &CheckInRecord,
    policy: &TenantPolicy,
    now: u32,
) -> FacetWord {
    let onboarded = cached.onboarded();
    keep(record, check_in);
    note(record, onboarded, check_in.seq(), now);
    cached.with_sensor(sensor(
        record,
        onboarded,
        cached.ever_onboarded(),
        policy,
        now,
    ))
}

/// Whether a device reports what it had reported last, but perhaps for its flags. Before its first check-in it had
/// reported nothing.
#[inline(always)]
pub(super) fn repeats(before: &DeviceRecord, cached: &Cell, check_in: &CheckInRecord) -> bool {
    before.seq != 0
        && before.boot_id == check_in.boot_id()
        && before.payload == check_in.payload()
        && cached.codes == check_in.codes()
        && check_in.seq() <= REPEATED_SEQ_MAX
}

/// Fills the derived facets (R17, R2, R3, R7) of a device from what it reported.
#[inline(always)]
pub(super) fn evaluate(
    record: &DeviceRecord,
    reported: Facets,
    policy: &TenantPolicy,
    now: u32,
) -> Facets {
    let (onboarded, ever_onboarded) = (reported.onboarded, reported.ever_onboarded);
    let sensor = sensor(record, onboarded, ever_onboarded, policy, now);
    let threat_setting = threat_setting(
        policy.threshold(reported.platform),
        policy.blocked_on_missing(reported.platform),
        ThreatLevel::effective(reported.partner_threat, reported.risk),
        record.flags.contains(Flags::SETTING_ERROR),
    );
    let compliance = compliance_state(
        reported.registered,
        reported.management_agent,
        policy.secure_by_default,
        threat_setting,
    );
    Facets {
        sensor,
        threat_setting,
        compliance,
        ..reported
    }
}

/// R17, of what the record keeps.
#[inline(always)]
fn sensor(
    record: &DeviceRecord,
    onboarded: bool,
    ever_onboarded: bool,
    policy: &TenantPolicy,
    now: u32,
) -> SensorState {
    sensor_state(
        &SensorFacts {
            onboarded,
            ever_onboarded,
            sensor_running: record.flags.contains(Flags::SENSOR_RUNNING),
            command_and_control_ok: record.flags.contains(Flags::COMMAND_AND_CONTROL_OK),
            last_contact: record.last_contact,
            last_telemetry: record.last_telemetry,
            last_full_report: record.last_full_report.max(record.first_seen),
            last_check_in: record.last_check_in,
        },
        &policy.sensor_limits,
        now,
    )
}
