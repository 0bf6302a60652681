//! The sensor over several onboardings: what a check-in that begins or ends one does to state and times.

use super::*;
use crate::FacetWord;

const DAY: u32 = 24 * 3600;

/// A check-in whose sensor flags are these.
fn report(seq: u64, onboarding: Onboarding, flags: Flags) -> CheckIn {
    CheckIn {
        onboarding,
        flags,
        ..check_in(1, seq)
    }
}

const HEALTHY: Flags = Flags::SENSOR_RUNNING
    .union(Flags::COMMAND_AND_CONTROL_OK)
    .union(Flags::TELEMETRY_OK);

/// A shard with one device, and seconds since [`NOW`].
struct Device {
    shard: Shard,
    effects: Effects,
    seq: u64,
}

impl Device {
    fn new() -> Self {
        Self {
            shard: shard(),
            effects: Effects::default(),
            seq: 0,
        }
    }

    fn at(&mut self, seconds: u32) {
        let now = Timestamp::from_seconds(NOW.as_seconds() + seconds);
        self.shard.begin(now, &mut self.effects);
        self.shard.tick(u32::MAX, &mut self.effects);
    }

    fn check_in(&mut self, seconds: u32, onboarding: Onboarding, flags: Flags) -> SensorState {
        self.seq += 1;
        self.at(seconds);
        let record = record(report(self.seq, onboarding, flags));
        let outcome = self
            .shard
            .apply_check_ins(TENANT, &[record], &mut self.effects);
        assert_eq!(outcome.accepted, 1);
        self.shard.seal(&mut self.effects);
        self.sensor()
    }

    fn pass(&mut self, seconds: u32) -> SensorState {
        self.at(seconds);
        self.shard.seal(&mut self.effects);
        self.sensor()
    }

    fn inactive_after(&mut self, seconds: u32, days: u32) -> SensorState {
        let mut rules = TenantPolicy::with_threshold(Threshold::Medium);
        rules.sensor_limits.inactive_seconds = days * DAY;
        self.at(seconds);
        let revision = Revision(self.shard.revision().0 + 1);
        let policy = Arc::new(PolicySet::new(revision, vec![rules; 2]));
        self.shard.apply_policy(policy, &mut self.effects);
        self.shard.seal(&mut self.effects);
        self.sensor()
    }

    fn record(&self) -> DeviceRecord {
        *self.shard.device(TENANT, &device_id(1)).unwrap().0
    }

    fn sensor(&self) -> SensorState {
        Facets::from_word(self.record().facets).unwrap().sensor
    }
}

#[test]
fn an_offboarded_sensor_keeps_its_state_until_it_is_inactive() {
    let mut device = Device::new();
    device.check_in(0, Onboarding::Onboarded, HEALTHY);
    // Nobody has looked at the device for three days: it is offboarded without telemetry.
    let offboarded = device.check_in(3 * DAY, Onboarding::NotOnboarded, HEALTHY);
    assert_eq!(offboarded, SensorState::NoSensorData);
    // What it reports now is not about a sensor.
    for (day, flags) in [(4, Flags::NONE), (5, HEALTHY | Flags::FULL_REPORT)] {
        let found = device.check_in(day * DAY, Onboarding::NotOnboarded, flags);
        assert_eq!(found, SensorState::NoSensorData);
    }
    assert_eq!(device.pass(7 * DAY), SensorState::NoSensorData);
    assert_eq!(device.pass(7 * DAY + 1), SensorState::Inactive);
    let inactive = device.check_in(8 * DAY, Onboarding::NotOnboarded, HEALTHY);
    assert_eq!(inactive, SensorState::Inactive);
    // It is inactive by the limit and the time, not for good.
    assert_eq!(
        device.inactive_after(8 * DAY, 30),
        SensorState::NoSensorData
    );
    assert_eq!(device.inactive_after(8 * DAY, 1), SensorState::Inactive);
}

#[test]
fn times_of_an_earlier_onboarding_do_not_count_for_the_next() {
    let mut device = Device::new();
    device.check_in(0, Onboarding::Onboarded, HEALTHY | Flags::FULL_REPORT);
    device.check_in(DAY, Onboarding::NotOnboarded, HEALTHY | Flags::FULL_REPORT);
    let start = NOW.as_seconds();
    let record = device.record();
    let times = [record.last_contact, record.last_telemetry];
    assert_eq!((times, record.last_full_report), ([start; 2], start));

    // Telemetry a day ago would be recent enough, but it was of another onboarding.
    let without_telemetry = Flags::SENSOR_RUNNING.union(Flags::COMMAND_AND_CONTROL_OK);
    let again = device.check_in(2 * DAY, Onboarding::Onboarded, without_telemetry);
    assert_eq!(again, SensorState::NoSensorData);
    let record = device.record();
    let now = start + 2 * DAY;
    let times = [record.last_contact, record.last_telemetry];
    assert_eq!((times, record.last_full_report), ([now, 0], now));
}

#[test]
fn the_first_full_report_is_due_after_the_onboarding_however_old_the_device_is() {
    let mut device = Device::new();
    device.check_in(0, Onboarding::NotOnboarded, Flags::NONE);
    let onboarded = 400 * DAY;
    let due = onboarded + 95_040;
    for seconds in [onboarded, due] {
        let found = device.check_in(seconds, Onboarding::Onboarded, HEALTHY);
        assert_eq!(found, SensorState::Active);
    }
    let overdue = device.check_in(due + 1, Onboarding::Onboarded, HEALTHY);
    assert_eq!(overdue, SensorState::ImpairedCommunication);
    let reported = device.check_in(due + 2, Onboarding::Onboarded, HEALTHY | Flags::FULL_REPORT);
    assert_eq!(reported, SensorState::Active);
}

#[test]
fn a_device_that_was_never_onboarded_has_no_sensor_state() {
    let mut device = Device::new();
    let never = device.check_in(0, Onboarding::NotOnboarded, HEALTHY);
    assert_eq!(never, SensorState::NeverOnboarded);
    assert_eq!(device.pass(100 * DAY), SensorState::NeverOnboarded);
    assert_ne!(device.record().facets, FacetWord::default());
}
