//! The policy set: what every tenant requires, as one immutable snapshot with a revision.
//!
//! A shard journals the revision it switches to; the store keeps each revision's bytes, so a replay evaluates every
//! event by the rules that were in force (design D4). A tenant has one threat threshold per platform, compiled from its
//! objects; full policies extend [`TenantPolicy`] and its encoding.

use muster_wire::Platform;

use crate::bytes::Reader;
use crate::ids::{Revision, TenantIndex};
use crate::rules::RULES_VERSION;
use crate::rules::sensor::SensorLimits;
use crate::rules::threat::{Threshold, platform_has_threshold};

/// Number of platforms in the wire format.
const PLATFORMS: usize = Platform::ALL.len();

/// Version of [`PolicySet::encode`].
const ENCODING: u8 = 1;

/// How long a tenant keeps devices that it no longer has, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `removedRetentionDays`: one that an operator has removed, since then.
    pub removed_seconds: u32,
    /// `profileRetentionDays`: one that is offboarded, since its last check-in.
    pub profile_seconds: u32,
}

impl Default for Retention {
    /// 30 and 180 days, as in docs/reference/DOMAIN.md.
    fn default() -> Self {
        const DAY: u32 = 24 * 3600;
        Self {
            removed_seconds: 30 * DAY,
            profile_seconds: 180 * DAY,
        }
    }
}

/// What one tenant requires of its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPolicy {
    /// R7 row 4: a device without an applicable policy counts as noncompliant.
    pub secure_by_default: bool,
    /// R22: an unknown device is created by its first check-in; otherwise it is rejected.
    pub auto_create_devices: bool,
    /// R17's limits of silence.
    pub sensor_limits: SensorLimits,
    /// Retention of devices.
    pub retention: Retention,
    threshold: [Threshold; PLATFORMS],
    blocked_on_missing: [bool; PLATFORMS],
}

impl Default for TenantPolicy {
    /// The policy of a tenant without objects: no threshold on any platform, unknown devices are created.
    fn default() -> Self {
        Self {
            secure_by_default: false,
            auto_create_devices: true,
            sensor_limits: SensorLimits::default(),
            retention: Retention::default(),
            threshold: [Threshold::NotSet; PLATFORMS],
            blocked_on_missing: [false; PLATFORMS],
        }
    }
}

impl TenantPolicy {
    /// The default with this threshold on every platform that has one.
    pub fn with_threshold(threshold: Threshold) -> Self {
        let mut policy = Self::default();
        for &platform in Platform::ALL {
            policy.set_threshold(platform, threshold);
        }
        policy
    }

    /// Sets the threshold of a platform; without effect on a platform that has none (R2 row 2).
    pub fn set_threshold(&mut self, platform: Platform, threshold: Threshold) {
        if platform_has_threshold(platform) {
            self.threshold[platform.index()] = threshold;
        }
    }

    /// Sets whether devices of a platform are blocked while their threat data is missing.
    pub fn set_blocked_on_missing(&mut self, platform: Platform, blocked: bool) {
        if platform_has_threshold(platform) {
            self.blocked_on_missing[platform.index()] = blocked;
        }
    }

    /// The threshold of a platform.
    pub fn threshold(&self, platform: Platform) -> Threshold {
        self.threshold[platform.index()]
    }

    /// Whether devices of a platform are blocked while their threat data is missing.
    pub fn blocked_on_missing(&self, platform: Platform) -> bool {
        self.blocked_on_missing[platform.index()]
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.push(u8::from(self.secure_by_default));
        into.push(u8::from(self.auto_create_devices));
        into.extend(self.sensor_limits.inactive_seconds.to_le_bytes());
        into.extend(self.sensor_limits.no_sensor_data_seconds.to_le_bytes());
        into.extend(self.retention.removed_seconds.to_le_bytes());
        into.extend(self.retention.profile_seconds.to_le_bytes());
        for (threshold, blocked) in self.threshold.iter().zip(self.blocked_on_missing) {
            into.push(*threshold as u8);
            into.push(u8::from(blocked));
        }
    }

    fn decode(reader: &mut Reader<'_>, platforms: usize) -> Option<Self> {
        let mut policy = Self {
            secure_by_default: reader.u8()? != 0,
            auto_create_devices: reader.u8()? != 0,
            sensor_limits: SensorLimits {
                inactive_seconds: reader.u32()?,
                no_sensor_data_seconds: reader.u32()?,
            },
            retention: Retention {
                removed_seconds: reader.u32()?,
                profile_seconds: reader.u32()?,
            },
            threshold: [Threshold::NotSet; PLATFORMS],
            blocked_on_missing: [false; PLATFORMS],
        };
        for index in 0..platforms {
            let threshold = Threshold::from_index(u32::from(reader.u8()?))?;
            let blocked = reader.u8()? != 0;
            *policy.threshold.get_mut(index)? = threshold;
            *policy.blocked_on_missing.get_mut(index)? = blocked;
        }
        Some(policy)
    }
}

/// The rules of all tenants at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    revision: Revision,
    /// The [`RULES_VERSION`] of the program that made it.
    rules_version: u16,
    /// By tenant index, also of tenants that the configuration no longer names.
    tenants: Vec<TenantPolicy>,
}

impl PolicySet {
    /// A policy set for the tenants with the indexes `0..tenants.len()`.
    pub fn new(revision: Revision, tenants: Vec<TenantPolicy>) -> Self {
        Self {
            revision,
            rules_version: RULES_VERSION,
            tenants,
        }
    }

    /// Whether devices that were evaluated by it have the results of these rules by this program.
    pub fn results_in(&self, rules: &[TenantPolicy]) -> bool {
        self.rules_version == RULES_VERSION && self.tenants == rules
    }

    /// The number of this set.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The rules of one tenant; `None` for a tenant this set does not know.
    pub fn tenant(&self, tenant: TenantIndex) -> Option<&TenantPolicy> {
        self.tenants.get(usize::from(tenant))
    }

    /// The rules by tenant index.
    pub fn tenants(&self) -> &[TenantPolicy] {
        &self.tenants
    }

    /// The bytes the store keeps: encoding u8, platforms u8, tenants u16, revision u32, rules version u16, tenants.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![ENCODING, PLATFORMS as u8];
        bytes.extend((self.tenants.len() as u16).to_le_bytes());
        bytes.extend(self.revision.0.to_le_bytes());
        bytes.extend(self.rules_version.to_le_bytes());
        for tenant in &self.tenants {
            tenant.encode(&mut bytes);
        }
        bytes
    }

    /// Reads [`PolicySet::encode`]; `None` if the bytes are not of a known encoding.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != ENCODING {
            return None;
        }
        let platforms = usize::from(reader.u8()?);
        let count = reader.u16()?;
        let revision = Revision(reader.u32()?);
        let rules_version = reader.u16()?;
        let tenants = (0..count)
            .map(|_| TenantPolicy::decode(&mut reader, platforms))
            .collect::<Option<Vec<_>>>()?;
        reader.is_empty().then_some(Self {
            revision,
            rules_version,
            tenants,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_round_trips_and_refuses_other_bytes() {
        let mut strict = TenantPolicy {
            secure_by_default: true,
            ..TenantPolicy::default()
        };
        strict.set_threshold(Platform::Ios, Threshold::Clear);
        strict.set_blocked_on_missing(Platform::Windows, true);
        let medium = TenantPolicy::with_threshold(Threshold::Medium);
        let set = PolicySet::new(Revision(7), vec![TenantPolicy::default(), medium, strict]);
        let bytes = set.encode();
        assert_eq!(PolicySet::decode(&bytes), Some(set.clone()));
        for length in 0..bytes.len() {
            assert_eq!(PolicySet::decode(&bytes[..length]), None, "cut at {length}");
        }
        let mut newer = bytes.clone();
        newer[0] = ENCODING + 1;
        assert_eq!(PolicySet::decode(&newer), None);

        assert!(set.results_in(set.tenants()) && !set.results_in(&set.tenants()[1..]));
        let mut of_another_program = bytes;
        of_another_program[8] ^= 1;
        let of_another_program = PolicySet::decode(&of_another_program).unwrap();
        assert!(!of_another_program.results_in(set.tenants()));
    }

    #[test]
    fn a_threshold_on_a_platform_without_one_has_no_effect() {
        let mut policy = TenantPolicy::default();
        policy.set_threshold(Platform::Linux, Threshold::Clear);
        assert_eq!(policy.threshold(Platform::Linux), Threshold::NotSet);
    }

    #[test]
    fn by_default_there_is_no_threshold() {
        let (default, medium) = (
            TenantPolicy::default(),
            TenantPolicy::with_threshold(Threshold::Medium),
        );
        for &platform in Platform::ALL {
            assert_eq!(default.threshold(platform), Threshold::NotSet);
            let expected = if platform_has_threshold(platform) {
                Threshold::Medium
            } else {
                Threshold::NotSet
            };
            assert_eq!(medium.threshold(platform), expected);
        }
    }
}
