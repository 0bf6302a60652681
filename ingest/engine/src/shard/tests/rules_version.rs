//! A sample of what the rules result in. The version of the rules changes with it, so that a start notices.

use super::evaluation::evaluate;
use super::*;
use crate::rules::RULES_VERSION;
use crate::rules::sensor::SensorLimits;
use crate::rules::settings::DeviceRules;
use crate::rules::threat::{Connector, PlatformRules};

/// Evaluations in the sample.
const SAMPLES: usize = 50_000;

const HOUR: u32 = 3600;

/// Pseudo-random numbers (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.bits() % all.len() as u64) as usize]
    }

    fn flag(&mut self) -> bool {
        self.one_of(&[false, true])
    }

    /// A time around the limits of the rules before [`NOW`], or 0 for never.
    fn time(&mut self) -> u32 {
        let hours = self.one_of(&[0, 1, 23, 24, 25, 26, 27, 47, 48, 49, 167, 168, 169, 9000]);
        let time = NOW.as_seconds() - hours * HOUR;
        self.one_of(&[0, time - 1, time, time + 1])
    }

    fn policy(&mut self) -> TenantPolicy {
        let mut policy = TenantPolicy::default();
        policy.secure_by_default = self.flag();
        policy.validity_seconds = self.one_of(&[24, 168]) * HOUR;
        policy.sensor_limits = SensorLimits {
            inactive_seconds: self.one_of(&[48, 168]) * HOUR,
            no_sensor_data_seconds: self.one_of(&[24, 48]) * HOUR,
        };
        for &platform in Platform::ALL {
            policy.change_platform(platform, |rules| {
                *rules = PlatformRules {
                    policy_assigned: self.one_of(&[true, true, false]),
                    threshold: self.one_of(Threshold::ALL),
                    connector: self.one_of(Connector::ALL),
                    blocked_on_missing: self.flag(),
                    device: DeviceRules {
                        os_minimum: self.one_of(&[0, 0, 2, 9]),
                        os_maximum: self.one_of(&[u64::MAX, u64::MAX, 5]),
                        blocks_jailbroken: self.one_of(&[false, false, true]),
                        requires_encryption: self.one_of(&[false, false, true]),
                    },
                };
            });
        }
        policy
    }

    fn record(&mut self) -> DeviceRecord {
        DeviceRecord {
            flags: Flags::from_bits_truncate(self.bits() as u16),
            last_check_in: self.time(),
            last_contact: self.time(),
            last_telemetry: self.time(),
            last_full_report: self.time(),
            ..DeviceRecord::default()
        }
    }

    fn cold(&mut self) -> ColdRecord {
        let mut cold = ColdRecord::default();
        cold.set_inventory(&Inventory {
            os_version: self.one_of(&[0, 1, 2, 5, 6, 9]),
            ..inventory(1, 1, &[])
        });
        cold
    }

    fn reported(&mut self, flags: Flags) -> Facets {
        let onboarded = self.flag();
        let mut reported = Facets {
            platform: self.one_of(Platform::ALL),
            management_agent: self.one_of(ManagementAgent::ALL),
            onboarded,
            sensor: self.one_of(SensorState::ALL),
            risk: self.one_of(Risk::ALL),
            partner_threat: self.one_of(PartnerThreatState::ALL),
            ..Facets::default()
        };
        reported.set_flags(flags);
        reported
    }
}

#[test]
fn other_results_of_the_rules_have_another_version() {
    let mut numbers = Numbers(1);
    let mut digest = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
    for _ in 0..SAMPLES {
        let (policy, record) = (numbers.policy(), numbers.record());
        let reported = numbers.reported(record.flags);
        let cold = numbers.cold();
        let facets = evaluate(&record, &cold, reported, &policy, NOW.as_seconds());
        for byte in facets.word().0.to_le_bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    assert_eq!(
        (RULES_VERSION, digest),
        (7, 15_895_530_133_362_396_586),
        "the rules have other results: raise RULES_VERSION"
    );
}
