//! R17: the state of a device's sensor (`healthStatus`), derived from its reports and from their absence.
//!
//! A pure function. The passing of time changes its result, so the shard re-evaluates silent devices
//! ([`crate::Shard::apply_time`]).

use super::states;

states! {
    /// `machine.healthStatus`; the reference's null is a separate state here.
    SensorState {
        /// Row 0: the sensor is not onboarded and never was (the reference shows null).
        #[default]
        NeverOnboarded = 0 "neverOnboarded",
        /// Row 1: silent for longer than the tenant's limit.
        Inactive = 1 "inactive",
        /// Row 2: no telemetry, and command and control impaired.
        NoSensorDataImpairedCommunication = 2 "noSensorDataImpairedCommunication",
        /// Row 3: command and control impaired, or heartbeats without a full report.
        ImpairedCommunication = 3 "impairedCommunication",
        /// Row 4: contact without telemetry.
        NoSensorData = 4 "noSensorData",
        /// Row 5: never contacted.
        Unknown = 5 "unknown",
        /// Row 6: contact and telemetry are recent.
        Active = 6 "active",
    }
}

/// A full report is due every 24 h. Heartbeats without one for longer mean impaired communication.
pub const FULL_REPORT_DUE_SECONDS: u32 = 24 * 3600;

/// How long a device may be silent before its state changes; see docs/reference/DOMAIN.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorLimits {
    /// `sensorInactiveDays`, in seconds.
    pub inactive_seconds: u32,
    /// `noSensorDataHours`, in seconds.
    pub no_sensor_data_seconds: u32,
}

impl Default for SensorLimits {
    /// 7 days and 48 hours, as in docs/reference/DOMAIN.md.
    fn default() -> Self {
        Self {
            inactive_seconds: 7 * 24 * 3600,
            no_sensor_data_seconds: 48 * 3600,
        }
    }
}

/// The inputs of R17. Times are seconds since the epoch, 0 = never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SensorFacts {
    /// The latest check-in reported onboarded.
    pub onboarded: bool,
    /// Some accepted check-in reported onboarded.
    pub ever_onboarded: bool,
    /// The latest check-in reported that the sensor process is running.
    pub sensor_running: bool,
    /// The latest check-in reported that command and control works.
    pub command_and_control_ok: bool,
    /// C: last check-in of the onboarded sensor with command and control working.
    pub last_contact: u32,
    /// T: last check-in of the onboarded sensor with telemetry working.
    pub last_telemetry: u32,
    /// Last full report, or the creation of the device if there was none.
    pub last_full_report: u32,
    /// Last accepted check-in.
    pub last_check_in: u32,
}

/// R17 at `now` (seconds). The first matching row wins.
///
/// Interpretations where the table is open: "T missing" means never, older than the tenant's limit, or onboarded while
/// the sensor process is not running (its last sentence). Row 1 uses the last check-in if there never was a contact, so
/// that a misconfigured device that falls silent becomes inactive too. Row 3 applies only while heartbeats arrive, that
/// is while the last check-in is younger than the full-report interval. A device that has checked in after `now`,
/// before the clock was set back, is evaluated as at that check-in.
pub(crate) fn sensor_state(facts: &SensorFacts, limits: &SensorLimits, now: u32) -> SensorState {
    if !facts.ever_onboarded {
        return SensorState::NeverOnboarded; // row 0
    }
    let now = now.max(facts.last_check_in);
    let age = |then: u32| now.saturating_sub(then);
    let last_sign = facts.last_contact.max(facts.last_telemetry);
    let silent_since = if last_sign == 0 {
        facts.last_check_in
    } else {
        last_sign
    };
    if age(silent_since) > limits.inactive_seconds {
        return SensorState::Inactive; // row 1
    }
    let no_telemetry = facts.last_telemetry == 0
        || age(facts.last_telemetry) > limits.no_sensor_data_seconds
        || (facts.onboarded && !facts.sensor_running);
    let impaired = facts.onboarded && !facts.command_and_control_ok;
    let report_overdue = facts.onboarded
        && age(facts.last_full_report) > FULL_REPORT_DUE_SECONDS
        && age(facts.last_check_in) <= FULL_REPORT_DUE_SECONDS;
    match (impaired, no_telemetry) {
        (true, true) => SensorState::NoSensorDataImpairedCommunication, // row 2
        (true, false) => SensorState::ImpairedCommunication,            // row 3
        (false, _) if report_overdue => SensorState::ImpairedCommunication, // row 3
        (false, true) if last_sign != 0 || facts.onboarded => SensorState::NoSensorData, // row 4
        (false, true) => SensorState::Unknown,                          // row 5
        (false, false) => SensorState::Active,                          // row 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 2_000_000_000;
    const HOUR: u32 = 3600;
    const DAY: u32 = 24 * HOUR;

    fn healthy() -> SensorFacts {
        SensorFacts {
            onboarded: true,
            ever_onboarded: true,
            sensor_running: true,
            command_and_control_ok: true,
            last_contact: NOW,
            last_telemetry: NOW,
            last_full_report: NOW,
            last_check_in: NOW,
        }
    }

    fn state(change: impl FnOnce(&mut SensorFacts)) -> SensorState {
        let mut facts = healthy();
        change(&mut facts);
        sensor_state(&facts, &SensorLimits::default(), NOW)
    }

    /// The number of combinations of facets depends on it.
    #[test]
    fn an_onboarded_sensor_has_five_states_a_former_one_four_and_others_one() {
        use std::collections::HashSet;
        let times = [0, NOW - 8 * DAY, NOW - 3 * DAY, NOW - 25 * HOUR, NOW];
        let mut states: HashSet<(bool, bool, SensorState)> = HashSet::new();
        for number in 0..16 * times.len().pow(4) {
            let bit = |bit: u32| (number >> bit) & 1 == 1;
            let time = |power| times[(number >> 4) / times.len().pow(power) % times.len()];
            let facts = SensorFacts {
                onboarded: bit(0),
                ever_onboarded: bit(0) || bit(1),
                sensor_running: bit(2),
                command_and_control_ok: bit(3),
                last_contact: time(0),
                last_telemetry: time(1),
                last_full_report: time(2),
                last_check_in: time(3),
            };
            let state = sensor_state(&facts, &SensorLimits::default(), NOW);
            states.insert((facts.onboarded, facts.ever_onboarded, state));
        }
        let count = |onboarded, ever| {
            let of = states
                .iter()
                .filter(|(o, e, _)| (*o, *e) == (onboarded, ever));
            of.count()
        };
        assert_eq!(
            (count(true, true), count(false, true), count(false, false)),
            (5, 4, 1)
        );
    }

    #[test]
    fn row_0_never_onboarded_has_no_state() {
        assert_eq!(
            state(|f| {
                f.onboarded = false;
                f.ever_onboarded = false;
            }),
            SensorState::NeverOnboarded
        );
    }

    #[test]
    fn row_1_silence_beyond_seven_days_is_inactive_even_after_offboarding() {
        let silent = |f: &mut SensorFacts, seconds: u32| {
            f.last_contact = NOW - seconds;
            f.last_telemetry = NOW - seconds;
            f.last_full_report = NOW - seconds;
            f.last_check_in = NOW - seconds;
        };
        assert_eq!(state(|f| silent(f, 7 * DAY + 1)), SensorState::Inactive);
        assert_ne!(state(|f| silent(f, 7 * DAY)), SensorState::Inactive);
        assert_eq!(
            state(|f| {
                silent(f, 7 * DAY + 1);
                f.onboarded = false;
            }),
            SensorState::Inactive
        );
    }

    #[test]
    fn row_1_takes_the_last_check_in_where_there_never_was_a_contact() {
        let never_contacted = |f: &mut SensorFacts, seconds: u32| {
            f.command_and_control_ok = false;
            f.last_contact = 0;
            f.last_telemetry = 0;
            f.last_check_in = NOW - seconds;
        };
        assert_eq!(
            state(|f| never_contacted(f, 7 * DAY + 1)),
            SensorState::Inactive
        );
        assert_eq!(
            state(|f| never_contacted(f, 7 * DAY)),
            SensorState::NoSensorDataImpairedCommunication
        );
    }

    #[test]
    fn row_2_impaired_without_telemetry() {
        assert_eq!(
            state(|f| {
                f.command_and_control_ok = false;
                f.last_telemetry = 0;
            }),
            SensorState::NoSensorDataImpairedCommunication
        );
    }

    #[test]
    fn row_3_impaired_or_full_report_overdue_while_heartbeats_come() {
        assert_eq!(
            state(|f| f.command_and_control_ok = false),
            SensorState::ImpairedCommunication
        );
        assert_eq!(
            state(|f| f.last_full_report = NOW - DAY - 1),
            SensorState::ImpairedCommunication
        );
        assert_eq!(
            state(|f| f.last_full_report = NOW - DAY),
            SensorState::Active
        );
    }

    #[test]
    fn row_4_contact_without_telemetry_or_without_a_running_sensor() {
        assert_eq!(state(|f| f.last_telemetry = 0), SensorState::NoSensorData);
        assert_eq!(
            state(|f| f.last_telemetry = NOW - 48 * HOUR - 1),
            SensorState::NoSensorData
        );
        assert_eq!(
            state(|f| f.last_telemetry = NOW - 48 * HOUR),
            SensorState::Active
        );
        assert_eq!(
            state(|f| f.sensor_running = false),
            SensorState::NoSensorData
        );
    }

    #[test]
    fn row_5_offboarded_before_any_contact_is_unknown() {
        assert_eq!(
            state(|f| {
                f.onboarded = false;
                f.last_contact = 0;
                f.last_telemetry = 0;
            }),
            SensorState::Unknown
        );
    }

    #[test]
    fn a_device_from_before_a_clock_that_was_set_back_is_evaluated_as_at_its_last_check_in() {
        let mut facts = healthy();
        facts.last_telemetry = NOW - 48 * HOUR - 1;
        for now in [NOW, NOW - 1, NOW - 8 * DAY, 0] {
            let state = sensor_state(&facts, &SensorLimits::default(), now);
            assert_eq!(state, SensorState::NoSensorData, "{now}");
        }
    }

    #[test]
    fn row_6_active() {
        assert_eq!(state(|_| ()), SensorState::Active);
    }
}
