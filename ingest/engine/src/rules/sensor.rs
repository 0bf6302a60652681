//! R17: the state of a device's sensor (`healthStatus`), derived from its reports and from their absence.
//!
//! A pure function. The passing of time changes its result, so the shard re-evaluates a device at its deadline
//! ([`crate::Shard::tick`]).

use super::{Decision, states};

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

/// A full report is due every 24 h, give or take a tenth of that, which sensors draw at random to spread their load.
/// Heartbeats without one for longer mean impaired communication.
pub const FULL_REPORT_DUE_SECONDS: u32 = 24 * 3600 + 24 * 3600 / 10;

/// Heartbeats arrive while the last check-in is at most this old.
pub const HEARTBEAT_DUE_SECONDS: u32 = 24 * 3600;

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

/// The inputs of R17. Times are seconds since the epoch, 0 = never; contact, telemetry and full report are those of the
/// last onboarding.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SensorFacts {
    /// The latest check-in reported onboarded.
    pub onboarded: bool,
    /// The state in which the sensor was offboarded. Never onboarded if it was not; without meaning while onboarded.
    pub kept: SensorState,
    /// The latest check-in reported that the sensor process is running.
    pub sensor_running: bool,
    /// The latest check-in reported that command and control works.
    pub command_and_control_ok: bool,
    /// C: last check-in of the onboarded sensor with command and control working.
    pub last_contact: u32,
    /// T: last check-in of the onboarded sensor with telemetry working.
    pub last_telemetry: u32,
    /// Last full report, or the onboarding if there was none since.
    pub last_full_report: u32,
    /// Last accepted check-in.
    pub last_check_in: u32,
}

/// What decided about the state of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorCause {
    /// It was never onboarded.
    NeverOnboarded,
    /// No contact and no telemetry since this time, although there was some.
    NoSign {
        /// Seconds since the epoch.
        since: u32,
    },
    /// No check-in since this time, and never a contact.
    NoCheckIn {
        /// Seconds since the epoch.
        since: u32,
    },
    /// Offboarded, without any contact since its last full report at this time.
    NoSignOffboarded {
        /// Seconds since the epoch.
        since: u32,
    },
    /// Offboarded not long ago.
    Offboarded,
    /// Command and control does not work, and telemetry is missing.
    ImpairedWithoutTelemetry,
    /// Command and control does not work.
    Impaired,
    /// Heartbeats arrive, but no full report since this time.
    NoFullReport {
        /// Seconds since the epoch.
        since: u32,
    },
    /// Its process does not run.
    NotRunning,
    /// No telemetry, or none for too long.
    NoTelemetry,
    /// Contact and telemetry are recent.
    Healthy,
}

/// R17 at `now` (seconds). The first matching row wins.
///
/// Interpretations where the table is open: "T missing" means never, older than the tenant's limit, or the sensor
/// process is not running (its last sentence). Without any contact, row 1 uses the last check-in of an onboarded device,
/// so that a misconfigured device that falls silent becomes inactive too, and the last full report of an offboarded one,
/// whose check-ins do not come from the sensor. A device that has checked in after `now`, before the clock was set back,
/// is evaluated as at that check-in.
#[inline(always)]
pub(crate) fn sensor_state(
    facts: &SensorFacts,
    limits: &SensorLimits,
    now: u32,
) -> Decision<SensorState, SensorCause> {
    let decided = |row, state, cause| Decision { state, row, cause };
    if !facts.onboarded && facts.kept == SensorState::NeverOnboarded {
        let cause = SensorCause::NeverOnboarded;
        return decided("R17 row 0", SensorState::NeverOnboarded, cause);
    }
    let now = now.max(facts.last_check_in);
    let age = |then: u32| now.saturating_sub(then);
    let (since, silence) = match facts.last_contact.max(facts.last_telemetry) {
        0 if facts.onboarded => {
            let since = facts.last_check_in;
            (since, SensorCause::NoCheckIn { since })
        }
        0 => {
            let since = facts.last_full_report;
            (since, SensorCause::NoSignOffboarded { since })
        }
        since => (since, SensorCause::NoSign { since }),
    };
    if age(since) > limits.inactive_seconds {
        return decided("R17 row 1", SensorState::Inactive, silence);
    }
    if !facts.onboarded {
        return decided("R17", facts.kept, SensorCause::Offboarded);
    }
    let no_telemetry = facts.last_telemetry == 0
        || age(facts.last_telemetry) > limits.no_sensor_data_seconds
        || !facts.sensor_running;
    let report = facts.last_full_report;
    let no_report =
        age(report) > FULL_REPORT_DUE_SECONDS && age(facts.last_check_in) <= HEARTBEAT_DUE_SECONDS;
    match (!facts.command_and_control_ok, no_telemetry) {
        (true, true) => decided(
            "R17 row 2",
            SensorState::NoSensorDataImpairedCommunication,
            SensorCause::ImpairedWithoutTelemetry,
        ),
        (true, false) => decided(
            "R17 row 3",
            SensorState::ImpairedCommunication,
            SensorCause::Impaired,
        ),
        (false, _) if no_report => decided(
            "R17 row 3",
            SensorState::ImpairedCommunication,
            SensorCause::NoFullReport { since: report },
        ),
        (false, true) if !facts.sensor_running => decided(
            "R17 row 4",
            SensorState::NoSensorData,
            SensorCause::NotRunning,
        ),
        (false, true) => decided(
            "R17 row 4",
            SensorState::NoSensorData,
            SensorCause::NoTelemetry,
        ),
        (false, false) => decided("R17 row 6", SensorState::Active, SensorCause::Healthy),
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
            kept: SensorState::Active,
            sensor_running: true,
            command_and_control_ok: true,
            last_contact: NOW,
            last_telemetry: NOW,
            last_full_report: NOW,
            last_check_in: NOW,
        }
    }

    fn decision(change: impl FnOnce(&mut SensorFacts)) -> Decision<SensorState, SensorCause> {
        let mut facts = healthy();
        change(&mut facts);
        sensor_state(&facts, &SensorLimits::default(), NOW)
    }

    fn state(change: impl FnOnce(&mut SensorFacts)) -> SensorState {
        decision(change).state
    }

    #[test]
    fn a_decision_cites_its_row_and_the_facts_that_decided() {
        type Change = fn(&mut SensorFacts);
        let since = NOW - 8 * DAY;
        let table: [(Change, &str, SensorCause); 11] = [
            (
                |f| (f.onboarded, f.kept) = (false, SensorState::NeverOnboarded),
                "R17 row 0",
                SensorCause::NeverOnboarded,
            ),
            (
                |f| {
                    f.last_contact = NOW - 8 * DAY;
                    f.last_telemetry = NOW - 9 * DAY;
                },
                "R17 row 1",
                SensorCause::NoSign { since },
            ),
            (
                |f| {
                    (f.last_contact, f.last_telemetry) = (0, 0);
                    f.last_check_in = NOW - 8 * DAY;
                },
                "R17 row 1",
                SensorCause::NoCheckIn { since },
            ),
            (
                |f| {
                    f.onboarded = false;
                    (f.last_contact, f.last_telemetry) = (0, 0);
                    f.last_full_report = NOW - 8 * DAY;
                },
                "R17 row 1",
                SensorCause::NoSignOffboarded { since },
            ),
            (|f| f.onboarded = false, "R17", SensorCause::Offboarded),
            (
                |f| {
                    f.command_and_control_ok = false;
                    f.last_telemetry = 0;
                },
                "R17 row 2",
                SensorCause::ImpairedWithoutTelemetry,
            ),
            (
                |f| f.command_and_control_ok = false,
                "R17 row 3",
                SensorCause::Impaired,
            ),
            (
                |f| f.last_full_report = NOW - 8 * DAY,
                "R17 row 3",
                SensorCause::NoFullReport { since },
            ),
            (
                |f| f.sensor_running = false,
                "R17 row 4",
                SensorCause::NotRunning,
            ),
            (
                |f| f.last_telemetry = 0,
                "R17 row 4",
                SensorCause::NoTelemetry,
            ),
            (|_| (), "R17 row 6", SensorCause::Healthy),
        ];
        for (change, row, cause) in table {
            let found = decision(change);
            assert_eq!((found.row, found.cause), (row, cause));
        }
    }

    /// The number of combinations of facets depends on it.
    #[test]
    fn an_onboarded_sensor_has_five_states_and_a_former_one_the_one_it_kept_or_inactive() {
        use std::collections::HashSet;
        let times = [0, NOW - 8 * DAY, NOW - 3 * DAY, NOW - 27 * HOUR, NOW];
        let mut states: HashSet<(Option<SensorState>, SensorState)> = HashSet::new();
        for number in 0..4 * SensorState::ALL.len() * times.len().pow(4) {
            let (kept, number) = (
                number % SensorState::ALL.len(),
                number / SensorState::ALL.len(),
            );
            let bit = |bit: u32| (number >> bit) & 1 == 1;
            let time = |power| times[(number >> 2) / times.len().pow(power) % times.len()];
            for onboarded in [false, true] {
                let facts = SensorFacts {
                    onboarded,
                    kept: SensorState::ALL[kept],
                    sensor_running: bit(0),
                    command_and_control_ok: bit(1),
                    last_contact: time(0),
                    last_telemetry: time(1),
                    last_full_report: time(2),
                    last_check_in: time(3),
                };
                let state = sensor_state(&facts, &SensorLimits::default(), NOW).state;
                states.insert(((!onboarded).then_some(facts.kept), state));
            }
        }
        let of = |kept: Option<SensorState>| {
            let states = states.iter().filter(|(of, _)| *of == kept);
            states.map(|(_, state)| *state).collect::<HashSet<_>>()
        };
        let mut onboarded = HashSet::from_iter(SensorState::ALL.iter().copied());
        onboarded.remove(&SensorState::NeverOnboarded);
        onboarded.remove(&SensorState::Unknown); // row 5: row 4 comes first
        assert_eq!(of(None), onboarded);
        let never = SensorState::NeverOnboarded;
        assert_eq!(of(Some(never)), HashSet::from([never]));
        for &kept in SensorState::ALL.iter().filter(|kept| **kept != never) {
            let expected = HashSet::from([kept, SensorState::Inactive]);
            assert_eq!(of(Some(kept)), expected);
        }
    }

    #[test]
    fn row_0_never_onboarded_has_no_state() {
        assert_eq!(
            state(|f| {
                f.onboarded = false;
                f.kept = SensorState::NeverOnboarded;
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
        let (report_due, heartbeat_due) = (95_040, DAY);
        for (report, check_in, expected) in [
            (report_due, 0, SensorState::Active),
            (report_due + 1, 0, SensorState::ImpairedCommunication),
            (
                report_due + 1,
                heartbeat_due,
                SensorState::ImpairedCommunication,
            ),
            (report_due + 1, heartbeat_due + 1, SensorState::Active),
        ] {
            let found = state(|f| {
                f.last_full_report = NOW - report;
                f.last_check_in = NOW - check_in;
            });
            assert_eq!(
                found, expected,
                "report {report} s ago, check-in {check_in} s ago"
            );
        }
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
    fn an_offboarded_sensor_keeps_its_state_until_it_is_inactive() {
        for &kept in &SensorState::ALL[1..] {
            let offboarded = |seconds: u32| {
                state(|f| {
                    f.onboarded = false;
                    f.kept = kept;
                    f.sensor_running = false;
                    f.command_and_control_ok = false;
                    f.last_contact = NOW - seconds;
                    f.last_telemetry = NOW - seconds - DAY;
                    f.last_full_report = NOW - seconds - DAY;
                })
            };
            assert_eq!(offboarded(7 * DAY), kept);
            assert_eq!(offboarded(7 * DAY + 1), SensorState::Inactive, "{kept:?}");
        }
    }

    #[test]
    fn an_offboarded_sensor_without_any_contact_is_inactive_by_its_last_full_report() {
        let offboarded = |seconds: u32| {
            state(|f| {
                f.onboarded = false;
                f.kept = SensorState::NoSensorDataImpairedCommunication;
                f.last_contact = 0;
                f.last_telemetry = 0;
                f.last_full_report = NOW - seconds;
            })
        };
        assert_eq!(
            offboarded(7 * DAY),
            SensorState::NoSensorDataImpairedCommunication
        );
        assert_eq!(offboarded(7 * DAY + 1), SensorState::Inactive);
    }

    #[test]
    fn a_device_from_before_a_clock_that_was_set_back_is_evaluated_as_at_its_last_check_in() {
        let mut facts = healthy();
        facts.last_telemetry = NOW - 48 * HOUR - 1;
        for now in [NOW, NOW - 1, NOW - 8 * DAY, 0] {
            let state = sensor_state(&facts, &SensorLimits::default(), now).state;
            assert_eq!(state, SensorState::NoSensorData, "{now}");
        }
    }

    #[test]
    fn row_6_active() {
        assert_eq!(state(|_| ()), SensorState::Active);
    }
}
