//! The deadline of a device: when time alone may change its verdict, or end its retention (design D26).
//!
//! A pure function. A lower bound: it takes every limit by itself, also one that changes nothing because of another.
//! So a check-in that reports the same again can only postpone it, and hardly any check-in has to compute it.

use crate::deadlines::NEVER;
use crate::device::{ColdRecord, DeviceRecord};
use crate::policy::TenantPolicy;
use crate::rules::sensor::{FULL_REPORT_DUE_SECONDS, HEARTBEAT_DUE_SECONDS};

/// The first second after `evaluated_at` at which time alone may change the verdict of a device that is not removed.
pub(super) fn deadline(record: &DeviceRecord, policy: &TenantPolicy, evaluated_at: u32) -> u32 {
    // A limit is inclusive: what depends on it changes a second later.
    let next = |then: u32, seconds: u32| {
        let end = then.saturating_add(seconds).saturating_add(1);
        if end > evaluated_at { end } else { NEVER }
    };
    let mut first = next(record.last_check_in, policy.validity_seconds);
    if record.facets.ever_onboarded() {
        let limits = &policy.sensor_limits;
        for (then, seconds) in [
            (record.last_check_in, limits.inactive_seconds),
            (record.last_contact, limits.inactive_seconds),
            (record.last_telemetry, limits.inactive_seconds),
            (record.last_full_report, limits.inactive_seconds),
            (record.last_telemetry, limits.no_sensor_data_seconds),
            (record.last_check_in, HEARTBEAT_DUE_SECONDS),
            (record.last_full_report, FULL_REPORT_DUE_SECONDS),
        ] {
            first = first.min(next(then, seconds));
        }
    }
    let retention = retention_ends(record, &ColdRecord::default(), policy);
    let retention = retention.filter(|end| *end > evaluated_at);
    first.min(retention.unwrap_or(NEVER))
}

/// The first second at which the slot of a device becomes free by retention; `None` if it does not.
pub(super) fn retention_ends(
    record: &DeviceRecord,
    cold: &ColdRecord,
    policy: &TenantPolicy,
) -> Option<u32> {
    let after = |then: u32, seconds: u32| then.saturating_add(seconds).saturating_add(1);
    if record.removed() {
        return Some(after(cold.removed_at, policy.retention.removed_seconds));
    }
    let is_offboarded = record.facets.ever_onboarded() && !record.facets.onboarded();
    is_offboarded.then(|| after(record.last_check_in, policy.retention.profile_seconds))
}
