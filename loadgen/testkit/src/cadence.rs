//! When the devices of a scenario check in, and what becomes of them, in the time of the scenario.
//!
//! Everything follows from the device, a number drawn for it, and the time, so that a run is the same for the same
//! seed and can be counted before it is sent. Cadences are those that are documented for the services we are
//! compared with (docs/reference/LOADGEN.md). Pure. On the hot path of scenarios.

use muster_wire::{ManagementAgent, Platform, Risk};

use crate::{
    device::Device,
    random::{mix, threshold},
};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;

/// Between two check-ins of a device that was enrolled long ago.
pub const STEADY: f64 = 8.0 * HOUR;

/// The same for a device whose security settings alone are managed.
pub const SECURITY_MANAGED: f64 = 90.0 * MINUTE;

/// From so many seconds after its enrolment on, a device checks in every so many seconds.
type Intervals = &'static [(f64, f64)];

const WINDOWS_AND_ANDROID: Intervals = &[
    (0.0, 3.0 * MINUTE),
    (15.0 * MINUTE, 15.0 * MINUTE),
    (15.0 * MINUTE + 2.0 * HOUR, STEADY),
];
const APPLE: Intervals = &[(0.0, 15.0 * MINUTE), (HOUR, STEADY)];
const ANY_OTHER: Intervals = &[(0.0, STEADY)];
const MANAGED_BY_SENSOR: Intervals = &[(0.0, SECURITY_MANAGED)];

/// Devices that are ill say so at the pace of devices that were just enrolled.
const ILL: f64 = 3.0 * MINUTE;

/// What a fleet goes through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cadence {
    /// All devices were enrolled long ago, and check in out of step.
    Steady,
    /// All devices are enrolled within so many seconds.
    Enrolment {
        /// How long that takes.
        over: f64,
    },
    /// A steady fleet of which a share falls ill: high risk, told at once.
    Outbreak {
        /// When the first device falls ill.
        at: f64,
        /// How long until the last one has.
        spread: f64,
        /// How many do.
        share: f64,
        /// After how long each is well again.
        ill: f64,
    },
}

impl Cadence {
    /// When a device first checks in.
    pub fn first(&self, device: &Device, draw: u64) -> f64 {
        match self {
            Self::Steady => period(device) * unit(draw),
            Self::Enrolment { over } => over * unit(draw),
            Self::Outbreak { .. } => {
                self.not_before_illness(period(device) * unit(draw), draw, -1.0)
            }
        }
    }

    /// When a device that checks in now does so next.
    pub fn after(&self, device: &Device, draw: u64, now: f64) -> f64 {
        match self {
            Self::Steady => now + period(device),
            Self::Enrolment { over } => {
                let age = now - over * unit(draw);
                now + intervals(device)
                    .iter()
                    // What a device does next is decided by how old it is then, rounding aside.
                    .rfind(|(from, _)| *from <= age + 1.0)
                    .map_or(STEADY, |(_, every)| *every)
            }
            Self::Outbreak { ill, .. } => {
                let is_ill = self
                    .falls_ill(draw)
                    .is_some_and(|at| at <= now && now < at + ill);
                let next = now + if is_ill { ILL } else { period(device) };
                self.not_before_illness(next, draw, now)
            }
        }
    }

    /// What has become of a device that checks in now.
    pub fn change(&self, device: &mut Device, draw: u64, now: f64) {
        let Self::Outbreak { ill, .. } = self else {
            return;
        };
        let Some(at) = self.falls_ill(draw) else {
            return;
        };
        if at <= now && device.is_onboarded() {
            device.set_risk(if now < at + ill {
                Risk::High
            } else {
                Risk::None
            });
        }
    }

    /// When a device falls ill, if it does.
    fn falls_ill(&self, draw: u64) -> Option<f64> {
        let Self::Outbreak {
            at, spread, share, ..
        } = *self
        else {
            return None;
        };
        // Away from the draw itself, by which the device has its place in the cycle.
        let draw = mix(draw);
        ((draw >> 32) < u64::from(threshold(share))).then(|| spread.mul_add(unit(mix(draw)), at))
    }

    /// A device that falls ill before its next check-in does not wait for that.
    fn not_before_illness(&self, next: f64, draw: u64, now: f64) -> f64 {
        match self.falls_ill(draw) {
            Some(at) if now < at && at < next => at,
            _ => next,
        }
    }
}

/// Between two check-ins of a device that was enrolled long ago.
fn period(device: &Device) -> f64 {
    intervals(device).last().map_or(STEADY, |(_, every)| *every)
}

fn intervals(device: &Device) -> Intervals {
    if device.management_agent() == ManagementAgent::MsSense {
        return MANAGED_BY_SENSOR;
    }
    match device.platform() {
        Platform::Windows
        | Platform::WindowsServer
        | Platform::Android
        | Platform::AndroidEnterprise => WINDOWS_AND_ANDROID,
        Platform::Ios | Platform::MacOs => APPLE,
        _ => ANY_OTHER,
    }
}

/// A fraction below 1.
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Traits;

    fn device(is_wanted: impl Fn(&Device) -> bool) -> Device {
        let traits = Traits {
            seed: 1,
            inventory: 0,
        };
        let mut devices = (0..100_000).map(|number| Device::new(traits, number));
        devices.find(is_wanted).expect("every kind is in a fleet")
    }

    fn managed(platform: Platform) -> Device {
        device(|device| {
            device.platform() == platform && device.management_agent() != ManagementAgent::MsSense
        })
    }

    fn times(cadence: Cadence, device: &Device, draw: u64, until: f64) -> Vec<f64> {
        let first = cadence.first(device, draw);
        std::iter::successors(Some(first), |now| Some(cadence.after(device, draw, *now)))
            .take_while(|at| *at <= until)
            .collect()
    }

    #[test]
    fn a_new_device_checks_in_by_the_table_of_its_platform() {
        let cadence = Cadence::Enrolment { over: 0.0 };
        let minutes = |device: &Device| -> Vec<f64> {
            times(cadence, device, 7, 17.0 * HOUR)
                .iter()
                .map(|at| at / MINUTE)
                .collect()
        };
        let windows = minutes(&managed(Platform::Windows));
        assert_eq!(windows[..8], [0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 30.0, 45.0]);
        assert_eq!(windows[13..], [135.0, 615.0]);
        let apple = minutes(&managed(Platform::Ios));
        assert_eq!(apple, [0.0, 15.0, 30.0, 45.0, 60.0, 540.0, 1020.0]);
        assert_eq!(minutes(&managed(Platform::Linux)), [0.0, 480.0, 960.0]);
        let sensor = device(|device| device.management_agent() == ManagementAgent::MsSense);
        assert_eq!(minutes(&sensor)[..3], [0.0, 90.0, 180.0]);
    }

    #[test]
    fn a_steady_device_checks_in_once_a_cycle_at_its_own_time() {
        let windows = managed(Platform::Windows);
        for draw in [0, 1 << 62, 3 << 62] {
            let times = times(Cadence::Steady, &windows, draw, 2.0 * STEADY - 0.001);
            assert_eq!(times.len(), 2, "{draw}");
            assert!((times[1] - times[0] - STEADY).abs() < 0.001);
        }
    }

    #[test]
    fn an_outbreak_is_told_at_once_and_ends() {
        let cadence = Cadence::Outbreak {
            at: 600.0,
            spread: 60.0,
            share: 0.5,
            ill: 900.0,
        };
        let mut device =
            device(|device| device.is_onboarded() && device.platform() == Platform::Windows);
        let draws: Vec<u64> = (0..1000).map(mix).collect();
        let ill: Vec<u64> = draws
            .iter()
            .copied()
            .filter(|draw| cadence.falls_ill(*draw).is_some())
            .collect();
        assert!((450..550).contains(&ill.len()), "{} of 1000", ill.len());
        let draw = ill[0];
        let at = cadence.falls_ill(draw).unwrap();
        assert!((600.0..=660.0).contains(&at));
        let times = times(cadence, &device, draw, STEADY);
        assert!(times.contains(&at), "{times:?}");
        let told = times
            .iter()
            .filter(|time| **time >= at && **time < at + 900.0)
            .count();
        assert_eq!(told, 5, "every three minutes for fifteen");
        cadence.change(&mut device, draw, at);
        assert_eq!(device.risk(), Risk::High);
        cadence.change(&mut device, draw, at + 901.0);
        assert_eq!(device.risk(), Risk::None);
    }
}
