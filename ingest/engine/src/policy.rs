//! The policy set: what every tenant requires, as one immutable snapshot with a revision.
//!
//! A shard journals the revision it switches to; the store keeps each revision's bytes, so a replay evaluates every
//! event by the rules that were in force (design D4). What a tenant requires of a platform is compiled from its objects;
//! full policies extend [`TenantPolicy`] and its encoding.

use muster_wire::Platform;

use crate::bytes::Reader;
use crate::ids::{Revision, TargetId, TenantIndex};
use crate::rules::RULES_VERSION;
use crate::rules::sensor::SensorLimits;
use crate::rules::settings::DeviceRules;
use crate::rules::threat::{
    Connector, PlatformRules, Threshold, platform_has_policies, platform_has_threshold,
};

/// Number of platforms in the wire format.
const PLATFORMS: usize = Platform::ALL.len();

/// Version of [`PolicySet::encode`].
const ENCODING: u8 = 2;

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

/// A compliance policy of a platform that is assigned to targets, or from which some are excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetedRules {
    /// The platform.
    pub platform: Platform,
    /// The threshold.
    pub threshold: Threshold,
    /// What it requires of the device itself.
    pub device: DeviceRules,
    /// Whether it is assigned to all devices.
    pub all_devices: bool,
    /// The targets that it is assigned to, ascending.
    pub included: Vec<TargetId>,
    /// The targets that are excluded, ascending: exclusion wins (R12).
    pub excluded: Vec<TargetId>,
}

impl TargetedRules {
    /// Whether it applies to a device for which these targets hold (R12).
    fn applies(&self, targets: &[TargetId]) -> bool {
        let holds = |list: &[TargetId]| targets.iter().any(|target| list.contains(target));
        (self.all_devices || holds(&self.included)) && !holds(&self.excluded)
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
    /// R7 row 5: how long a report is valid, `deviceComplianceCheckinThresholdDays`, in seconds.
    pub validity_seconds: u32,
    /// What holds for devices without targets, and for the others besides `targeted`.
    platforms: [PlatformRules; PLATFORMS],
    /// What depends on targets.
    targeted: Vec<TargetedRules>,
}

impl Default for TenantPolicy {
    /// The policy of a tenant without objects: no policy on any platform, unknown devices are created.
    fn default() -> Self {
        Self {
            secure_by_default: false,
            auto_create_devices: true,
            sensor_limits: SensorLimits::default(),
            retention: Retention::default(),
            validity_seconds: 30 * 24 * 3600,
            platforms: [PlatformRules::default(); PLATFORMS],
            targeted: Vec::new(),
        }
    }
}

impl TenantPolicy {
    /// The default with an enabled connector and, on every platform that can have one, a policy with this threshold.
    pub fn with_threshold(threshold: Threshold) -> Self {
        let mut policy = Self::default();
        for &platform in Platform::ALL {
            policy.change_platform(platform, |rules| {
                *rules = PlatformRules {
                    policy_assigned: platform_has_threshold(platform),
                    threshold,
                    connector: Connector::Enabled,
                    blocked_on_missing: false,
                    device: DeviceRules::default(),
                };
            });
        }
        policy
    }

    /// Changes what the tenant requires of a platform. What the platform cannot have stays unset: a policy, or a
    /// threshold (R2 row 2).
    pub fn change_platform(&mut self, platform: Platform, change: impl FnOnce(&mut PlatformRules)) {
        let rules = &mut self.platforms[platform.index()];
        change(rules);
        rules.policy_assigned &= platform_has_policies(platform);
        if !rules.policy_assigned {
            rules.device = DeviceRules::default();
        }
        if !platform_has_threshold(platform) {
            *rules = PlatformRules {
                policy_assigned: rules.policy_assigned,
                device: rules.device,
                ..PlatformRules::default()
            };
        }
    }

    /// Adds a policy that depends on targets.
    pub fn add_targeted(&mut self, rules: TargetedRules) {
        self.targeted.push(rules);
    }

    /// What the tenant requires of a device for which these targets hold.
    pub fn for_targets(&self, targets: &[TargetId]) -> Self {
        let mut policy = Self {
            targeted: Vec::new(),
            ..self.clone()
        };
        for rules in self.targeted.iter().filter(|rules| rules.applies(targets)) {
            policy.change_platform(rules.platform, |platform| {
                platform.policy_assigned = true;
                platform.threshold = platform.threshold.stricter(rules.threshold);
                platform.device = platform.device.and(rules.device);
            });
        }
        policy
    }

    /// What the tenant requires of a platform of devices without targets, apart from policies that exclude some.
    pub fn platform(&self, platform: Platform) -> &PlatformRules {
        &self.platforms[platform.index()]
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.push(u8::from(self.secure_by_default));
        into.push(u8::from(self.auto_create_devices));
        into.extend(self.sensor_limits.inactive_seconds.to_le_bytes());
        into.extend(self.sensor_limits.no_sensor_data_seconds.to_le_bytes());
        into.extend(self.retention.removed_seconds.to_le_bytes());
        into.extend(self.retention.profile_seconds.to_le_bytes());
        into.extend(self.validity_seconds.to_le_bytes());
        for rules in &self.platforms {
            into.push(u8::from(rules.policy_assigned));
            into.push(rules.threshold as u8);
            into.push(rules.connector as u8);
            into.push(u8::from(rules.blocked_on_missing));
            encode_device_rules(&rules.device, into);
        }
        into.extend((self.targeted.len() as u32).to_le_bytes());
        for rules in &self.targeted {
            into.extend([rules.platform.code(), rules.threshold as u8]);
            encode_device_rules(&rules.device, into);
            into.push(u8::from(rules.all_devices));
            for targets in [&rules.included, &rules.excluded] {
                into.extend((targets.len() as u32).to_le_bytes());
                into.extend(targets.iter().flat_map(|target| target.0.to_le_bytes()));
            }
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
            validity_seconds: reader.u32()?,
            platforms: [PlatformRules::default(); PLATFORMS],
            targeted: Vec::new(),
        };
        for index in 0..platforms {
            *policy.platforms.get_mut(index)? = PlatformRules {
                policy_assigned: reader.u8()? != 0,
                threshold: Threshold::from_index(u32::from(reader.u8()?))?,
                connector: Connector::from_index(u32::from(reader.u8()?))?,
                blocked_on_missing: reader.u8()? != 0,
                device: decode_device_rules(reader)?,
            };
        }
        for _ in 0..reader.u32()? {
            policy.targeted.push(TargetedRules {
                platform: Platform::from_code(reader.u8()?)?,
                threshold: Threshold::from_index(u32::from(reader.u8()?))?,
                device: decode_device_rules(reader)?,
                all_devices: reader.u8()? != 0,
                included: decode_targets(reader)?,
                excluded: decode_targets(reader)?,
            });
        }
        Some(policy)
    }
}

fn encode_device_rules(rules: &DeviceRules, into: &mut Vec<u8>) {
    into.extend(rules.os_minimum.to_le_bytes());
    into.extend(rules.os_maximum.to_le_bytes());
    into.push(u8::from(rules.blocks_jailbroken));
    into.push(u8::from(rules.requires_encryption));
}

fn decode_device_rules(reader: &mut Reader<'_>) -> Option<DeviceRules> {
    Some(DeviceRules {
        os_minimum: reader.u64()?,
        os_maximum: reader.u64()?,
        blocks_jailbroken: reader.u8()? != 0,
        requires_encryption: reader.u8()? != 0,
    })
}

fn decode_targets(reader: &mut Reader<'_>) -> Option<Vec<TargetId>> {
    let count = reader.u32()?;
    let bytes = reader.take((count as usize).checked_mul(4)?)?;
    let targets = bytes.as_chunks().0.iter();
    Some(
        targets
            .map(|bytes| TargetId(u32::from_le_bytes(*bytes)))
            .collect(),
    )
}

/// The rules of all tenants at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySet {
    revision: Revision,
    /// The [`RULES_VERSION`] of the program that made it.
    rules_version: u16,
    /// By tenant index, also of tenants that were deleted.
    tenants: Vec<TenantPolicy>,
    /// The same for devices without targets.
    untargeted: Vec<TenantPolicy>,
}

impl PolicySet {
    /// A policy set for the tenants with the indexes `0..tenants.len()`.
    pub fn new(revision: Revision, tenants: Vec<TenantPolicy>) -> Self {
        Self {
            revision,
            rules_version: RULES_VERSION,
            untargeted: untargeted(&tenants),
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

    /// The rules of one tenant for devices without targets; `None` for a tenant this set does not know.
    pub fn tenant(&self, tenant: TenantIndex) -> Option<&TenantPolicy> {
        self.untargeted.get(usize::from(tenant))
    }

    /// The rules of one tenant for devices for which these targets hold.
    pub fn for_targets(&self, tenant: TenantIndex, targets: &[TargetId]) -> Option<TenantPolicy> {
        let tenant = self.tenants.get(usize::from(tenant))?;
        Some(tenant.for_targets(targets))
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
            untargeted: untargeted(&tenants),
            tenants,
        })
    }
}

fn untargeted(tenants: &[TenantPolicy]) -> Vec<TenantPolicy> {
    let policies = tenants.iter().map(|tenant| tenant.for_targets(&[]));
    policies.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_round_trips_and_refuses_other_bytes() {
        let mut strict = TenantPolicy {
            secure_by_default: true,
            validity_seconds: 24 * 3600,
            ..TenantPolicy::default()
        };
        strict.change_platform(Platform::Ios, |rules| {
            *rules = PlatformRules {
                policy_assigned: true,
                threshold: Threshold::Clear,
                connector: Connector::PlatformToggleOff,
                blocked_on_missing: true,
                device: DeviceRules {
                    os_minimum: 10,
                    os_maximum: 20,
                    blocks_jailbroken: true,
                    requires_encryption: false,
                },
            };
        });
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
    fn a_platform_gets_only_what_it_can_have() {
        let all = PlatformRules {
            policy_assigned: true,
            threshold: Threshold::Clear,
            connector: Connector::Enabled,
            blocked_on_missing: true,
            device: DeviceRules {
                requires_encryption: true,
                ..DeviceRules::default()
            },
        };
        let without_threat_level = PlatformRules {
            policy_assigned: true,
            device: all.device,
            ..PlatformRules::default()
        };
        for &platform in Platform::ALL {
            let mut policy = TenantPolicy::default();
            assert_eq!(*policy.platform(platform), PlatformRules::default());
            policy.change_platform(platform, |rules| *rules = all);
            let expected = match platform {
                Platform::Windows
                | Platform::Ios
                | Platform::Android
                | Platform::AndroidEnterprise => all,
                Platform::MacOs => without_threat_level,
                _ => PlatformRules::default(),
            };
            assert_eq!(*policy.platform(platform), expected, "{platform:?}");
        }
    }

    #[test]
    fn a_threshold_for_all_is_on_the_platforms_that_have_one() {
        let medium = TenantPolicy::with_threshold(Threshold::Medium);
        for &platform in Platform::ALL {
            let expected = if platform_has_threshold(platform) {
                (true, Threshold::Medium, Connector::Enabled)
            } else {
                (false, Threshold::NotSet, Connector::NotEnabled)
            };
            let rules = medium.platform(platform);
            let found = (rules.policy_assigned, rules.threshold, rules.connector);
            assert_eq!(found, expected, "{platform:?}");
        }
    }
}
