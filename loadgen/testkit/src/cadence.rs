//! When simulated devices check in and how their state changes, in scenario time.
//!
//! Everything follows from the device, a hash of its number, and the time. The same seed therefore gives the same
//! run, and a run can be counted before it is sent. The intervals are those documented for the services that Muster
//! is compared with (docs/reference/LOADGEN.md). Pure. On the hot path of scenarios.

use muster_wire::{ManagementAgent, Platform, Risk};

use crate::{
    device::Device,
    random::{splitmix64, threshold},
};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;

/// Seconds between two check-ins of a device that was enrolled long ago.
pub const STEADY_SECONDS: f64 = 8.0 * HOUR;

/// Seconds between two check-ins of a device that is managed only by its sensor.
pub const SENSOR_MANAGED_SECONDS: f64 = 90.0 * MINUTE;

/// Pairs of an age and an interval, both in seconds: from that age on, a device checks in at that interval.
type Intervals = &'static [(f64, f64)];

const WINDOWS_AND_ANDROID: Intervals = &[
    (0.0, 3.0 * MINUTE),
    (15.0 * MINUTE, 15.0 * MINUTE),
    (15.0 * MINUTE + 2.0 * HOUR, STEADY_SECONDS),
];
const APPLE: Intervals = &[(0.0, 15.0 * MINUTE), (HOUR, STEADY_SECONDS)];
const OTHER_PLATFORMS: Intervals = &[(0.0, STEADY_SECONDS)];
const SENSOR_MANAGED: Intervals = &[(0.0, SENSOR_MANAGED_SECONDS)];

/// Seconds between two check-ins of an infected device: the same as for a device that was just enrolled.
const INFECTED_SECONDS: f64 = 3.0 * MINUTE;

/// The check-in pattern of a fleet. All times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cadence {
    /// All devices were enrolled long ago. Their check-ins are spread evenly over the interval.
    Steady,
    /// All devices are enrolled within a period, spread evenly.
    Enrolment {
        /// The length of that period.
        over: f64,
    },
    /// A steady fleet in which a share of the devices is infected and reports high risk at once.
    Outbreak {
        /// When the first device is infected.
        start: f64,
        /// The time from the first infection to the last.
        spread: f64,
        /// The fraction of devices that are infected.
        share: f64,
        /// How long a device stays infected.
        recovery: f64,
    },
}

impl Cadence {
    /// The time of a device's first check-in.
    pub fn first_check_in(&self, device: &Device, hash: u64) -> f64 {
        match self {
            Self::Steady => period(device) * unit(hash),
            Self::Enrolment { over } => over * unit(hash),
            Self::Outbreak { .. } => {
                self.not_after_infection(period(device) * unit(hash), hash, -1.0)
            }
        }
    }

    /// The time of the next check-in of a device that checks in now.
    pub fn next_check_in(&self, device: &Device, hash: u64, now: f64) -> f64 {
        match self {
            Self::Steady => now + period(device),
            Self::Enrolment { over } => {
                let age = now - over * unit(hash);
                now + intervals(device)
                    .iter()
                    // The age decides. One second of slack absorbs rounding.
                    .rfind(|(from, _)| *from <= age + 1.0)
                    .map_or(STEADY_SECONDS, |(_, every)| *every)
            }
            Self::Outbreak { recovery, .. } => {
                let is_infected = self
                    .infected_at(hash)
                    .is_some_and(|at| at <= now && now < at + recovery);
                let next = now
                    + if is_infected {
                        INFECTED_SECONDS
                    } else {
                        period(device)
                    };
                self.not_after_infection(next, hash, now)
            }
        }
    }

    /// Updates the state of a device that checks in now.
    pub fn update(&self, device: &mut Device, hash: u64, now: f64) {
        let Self::Outbreak { recovery, .. } = self else {
            return;
        };
        let Some(at) = self.infected_at(hash) else {
            return;
        };
        if at <= now && device.is_onboarded() {
            device.set_risk(if now < at + recovery {
                Risk::High
            } else {
                Risk::None
            });
        }
    }

    /// When a device is infected, if it is.
    fn infected_at(&self, hash: u64) -> Option<f64> {
        let Self::Outbreak {
            start,
            spread,
            share,
            ..
        } = *self
        else {
            return None;
        };
        // Hashed again, because the hash itself decides when in the interval the device checks in.
        let hash = splitmix64(hash);
        ((hash >> 32) < u64::from(threshold(share)))
            .then(|| spread.mul_add(unit(splitmix64(hash)), start))
    }

    /// A device that is infected before its next check-in checks in as soon as it is infected.
    fn not_after_infection(&self, next: f64, hash: u64, now: f64) -> f64 {
        match self.infected_at(hash) {
            Some(at) if now < at && at < next => at,
            _ => next,
        }
    }
}

/// Seconds between two check-ins of a device that was enrolled long ago.
fn period(device: &Device) -> f64 {
    intervals(device)
        .last()
        .map_or(STEADY_SECONDS, |(_, every)| *every)
}

fn intervals(device: &Device) -> Intervals {
    if device.management_agent() == ManagementAgent::MsSense {
        return SENSOR_MANAGED;
    }
    match device.platform() {
        Platform::Windows
        | Platform::WindowsServer
        | Platform::Android
        | Platform::AndroidEnterprise => WINDOWS_AND_ANDROID,
        Platform::Ios | Platform::MacOs => APPLE,
        _ => OTHER_PLATFORMS,
    }
}

/// Maps a hash to a fraction of at least 0 and less than 1.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DeviceParameters, device_id};

    fn device(is_wanted: impl Fn(&Device) -> bool) -> Device {
        let parameters = DeviceParameters {
            seed: 1,
            inventory_threshold: 0,
        };
        let mut devices = (0..100_000).map(|number| Device::new(parameters, number));
        devices
            .find(is_wanted)
            .expect("a fleet has devices of every kind")
    }

    fn mdm_managed(platform: Platform) -> Device {
        device(|device| {
            device.platform() == platform && device.management_agent() != ManagementAgent::MsSense
        })
    }

    fn times(cadence: Cadence, device: &Device, hash: u64, until: f64) -> Vec<f64> {
        let first = cadence.first_check_in(device, hash);
        std::iter::successors(Some(first), |now| {
            Some(cadence.next_check_in(device, hash, *now))
        })
        .take_while(|at| *at <= until)
        .collect()
    }

    #[test]
    fn a_new_device_follows_the_intervals_of_its_platform() {
        let cadence = Cadence::Enrolment { over: 0.0 };
        let minutes = |device: &Device| -> Vec<f64> {
            times(cadence, device, 7, 17.0 * HOUR)
                .iter()
                .map(|at| at / MINUTE)
                .collect()
        };
        let windows = minutes(&mdm_managed(Platform::Windows));
        assert_eq!(windows[..8], [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 30.0, 45.0]);
        assert_eq!(windows[13..], [135.0, 615.0]);
        let apple = minutes(&mdm_managed(Platform::Ios));
        assert_eq!(apple, [0.0, 15.0, 30.0, 45.0, 60.0, 540.0, 1020.0]);
        assert_eq!(minutes(&mdm_managed(Platform::Linux)), [0.0, 480.0, 960.0]);
        let sensor = device(|device| device.management_agent() == ManagementAgent::MsSense);
        assert_eq!(minutes(&sensor)[..3], [0.0, 90.0, 180.0]);
    }

    #[test]
    fn a_steady_device_checks_in_once_per_interval_at_its_own_time() {
        let windows = mdm_managed(Platform::Windows);
        for hash in [0, 1 << 62, 3 << 62] {
            let times = times(
                Cadence::Steady,
                &windows,
                hash,
                2.0 * STEADY_SECONDS - 0.001,
            );
            assert_eq!(times.len(), 2, "{hash}");
            assert!((times[1] - times[0] - STEADY_SECONDS).abs() < 0.001);
        }
    }

    #[test]
    fn an_infected_device_reports_at_once_and_recovers() {
        let cadence = Cadence::Outbreak {
            start: 600.0,
            spread: 60.0,
            share: 0.5,
            recovery: 900.0,
        };
        let mut device =
            device(|device| device.is_onboarded() && device.platform() == Platform::Windows);
        let hashes: Vec<u64> = (0..1000).map(splitmix64).collect();
        let infected: Vec<u64> = hashes
            .iter()
            .copied()
            .filter(|hash| cadence.infected_at(*hash).is_some())
            .collect();
        assert!(
            (450..550).contains(&infected.len()),
            "{} of 1000",
            infected.len()
        );
        let hash = infected[0];
        let at = cadence.infected_at(hash).unwrap();
        assert!((600.0..=660.0).contains(&at));
        let times = times(cadence, &device, hash, STEADY_SECONDS);
        assert!(times.contains(&at), "{times:?}");
        let reports = times
            .iter()
            .filter(|time| **time >= at && **time < at + 900.0)
            .count();
        assert_eq!(reports, 5, "every 3 minutes for 15 minutes");
        let mut reported_risk = |now| {
            cadence.update(&mut device, hash, now);
            device.next_check_in(device_id(1, 0), 0, 0).risk
        };
        assert_eq!(reported_risk(at), Risk::High);
        assert_eq!(reported_risk(at + 901.0), Risk::None);
    }
}
