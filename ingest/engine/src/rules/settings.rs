//! The settings of a compliance policy besides the threat level: versions of the system, jailbreak, encryption (R4, R13).
//!
//! Pure. Facts are flags of the last check-in and the version in the inventory. What several policies require applies
//! together. A device without an inventory has no version that could meet a bound, so it fails one.

use muster_wire::Flags;

use super::states;

/// What the policies of a platform require of the device itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRules {
    /// `osMinimumVersion`, packed as in the inventory; 0 requires nothing.
    pub os_minimum: u64,
    /// `osMaximumVersion`; `u64::MAX` requires nothing.
    pub os_maximum: u64,
    /// `securityBlockJailbrokenDevices`.
    pub blocks_jailbroken: bool,
    /// `storageRequireEncryption`.
    pub requires_encryption: bool,
}

impl Default for DeviceRules {
    fn default() -> Self {
        Self {
            os_minimum: 0,
            os_maximum: u64::MAX,
            blocks_jailbroken: false,
            requires_encryption: false,
        }
    }
}

impl DeviceRules {
    /// What this and another policy require together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            os_minimum: self.os_minimum.max(other.os_minimum),
            os_maximum: self.os_maximum.min(other.os_maximum),
            blocks_jailbroken: self.blocks_jailbroken | other.blocks_jailbroken,
            requires_encryption: self.requires_encryption | other.requires_encryption,
        }
    }

    /// Whether no version meets both bounds, which policies of a device can have between them (R13).
    pub const fn contradict(&self) -> bool {
        self.os_minimum > self.os_maximum
    }

    /// Whether the policies require nothing of the device itself, as most do.
    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        !self.blocks_jailbroken && !self.requires_encryption && !self.has_bound()
    }

    const fn has_bound(&self) -> bool {
        self.os_minimum != 0 || self.os_maximum != u64::MAX
    }

    /// The state of a setting on a device with these facts; `None` if it is not configured.
    pub fn state(&self, setting: Setting, flags: Flags, os_version: u64) -> Option<SettingState> {
        let (is_configured, passes, is_of_version) = match setting {
            Setting::ThreatLevel => return None,
            Setting::OsMinimum => {
                let passes = os_version >= self.os_minimum;
                (self.os_minimum != 0, passes, true)
            }
            Setting::OsMaximum => {
                let passes = (1..=self.os_maximum).contains(&os_version);
                (self.os_maximum != u64::MAX, passes, true)
            }
            Setting::Jailbroken => {
                let passes = !flags.contains(Flags::JAILBROKEN);
                (self.blocks_jailbroken, passes, false)
            }
            Setting::Encryption => {
                let passes = flags.contains(Flags::ENCRYPTED);
                (self.requires_encryption, passes, false)
            }
        };
        if !is_configured {
            return None;
        }
        Some(match passes {
            _ if is_of_version && self.contradict() => SettingState::Conflict,
            true => SettingState::Compliant,
            false => SettingState::NonCompliant,
        })
    }

    /// The settings that fail on a device with these facts. Not inlined: a check-in whose policies require nothing of the
    /// device must not pay for it.
    #[inline(never)]
    pub(crate) fn failing(&self, flags: Flags, os_version: u64) -> Failing {
        let mut failing = Failing::default();
        failing.add(
            Setting::Jailbroken,
            self.blocks_jailbroken && flags.contains(Flags::JAILBROKEN),
        );
        failing.add(
            Setting::Encryption,
            self.requires_encryption && !flags.contains(Flags::ENCRYPTED),
        );
        if self.has_bound() && !self.contradict() {
            failing.add(Setting::OsMinimum, os_version < self.os_minimum);
            let is_above = os_version > self.os_maximum;
            let is_unknown = os_version == 0 && self.os_maximum != u64::MAX;
            failing.add(Setting::OsMaximum, is_above || is_unknown);
        }
        failing
    }
}

states! {
    /// A setting of a compliance policy.
    Setting {
        /// The threat level, which `threat.rs` decides about.
        #[default]
        ThreatLevel = 0 "deviceThreatProtectionRequiredSecurityLevel",
        /// The lowest version of the operating system.
        OsMinimum = 1 "osMinimumVersion",
        /// The highest.
        OsMaximum = 2 "osMaximumVersion",
        /// Jailbroken and rooted devices fail.
        Jailbroken = 3 "securityBlockJailbrokenDevices",
        /// Storage must be encrypted.
        Encryption = 4 "storageRequireEncryption",
    }
}

states! {
    /// The state of a configured setting on one device.
    SettingState {
        /// It passes.
        #[default]
        Compliant = 0 "compliant",
        /// It fails.
        NonCompliant = 1 "nonCompliant",
        /// No device can pass all policies that configure it (R13).
        Conflict = 2 "conflict",
    }
}

/// A set of settings that fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failing(u8);

impl Failing {
    /// Adds a setting if it fails.
    #[inline(always)]
    pub(crate) const fn add(&mut self, setting: Setting, fails: bool) {
        self.0 |= (fails as u8) << setting.index();
    }

    /// Whether some setting fails.
    #[inline(always)]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// The settings.
    pub fn iter(self) -> impl Iterator<Item = Setting> {
        let all = Setting::ALL.iter().copied();
        all.filter(move |setting| self.0 & 1 << setting.index() != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V10: u64 = 10 << 48;

    /// Each setting, configured alone: facts and whether they pass.
    #[test]
    fn each_setting_by_itself() {
        let minimum = DeviceRules {
            os_minimum: V10 | 19_045 << 16,
            ..DeviceRules::default()
        };
        let maximum = DeviceRules {
            os_maximum: V10,
            ..DeviceRules::default()
        };
        let jailbreak = DeviceRules {
            blocks_jailbroken: true,
            ..DeviceRules::default()
        };
        let encryption = DeviceRules {
            requires_encryption: true,
            ..DeviceRules::default()
        };
        for (rules, setting, flags, version, passes) in [
            (
                minimum,
                Setting::OsMinimum,
                Flags::NONE,
                V10 | 19_045 << 16,
                true,
            ),
            (
                minimum,
                Setting::OsMinimum,
                Flags::NONE,
                V10 | 19_044 << 16,
                false,
            ),
            (minimum, Setting::OsMinimum, Flags::NONE, 9 << 48, false),
            (minimum, Setting::OsMinimum, Flags::NONE, 0, false),
            (maximum, Setting::OsMaximum, Flags::NONE, V10, true),
            (maximum, Setting::OsMaximum, Flags::NONE, V10 + 1, false),
            (maximum, Setting::OsMaximum, Flags::NONE, 0, false),
            (jailbreak, Setting::Jailbroken, Flags::NONE, 0, true),
            (jailbreak, Setting::Jailbroken, Flags::JAILBROKEN, 0, false),
            (encryption, Setting::Encryption, Flags::ENCRYPTED, 0, true),
            (encryption, Setting::Encryption, Flags::NONE, 0, false),
        ] {
            let expected = if passes {
                SettingState::Compliant
            } else {
                SettingState::NonCompliant
            };
            let state = rules.state(setting, flags, version);
            assert_eq!(state, Some(expected), "{setting:?} {flags:?} {version:#x}");
            assert!(!rules.is_empty());
            let failing = rules.failing(flags, version);
            let expected: &[_] = if passes { &[] } else { &[setting] };
            assert_eq!(failing.iter().collect::<Vec<_>>(), expected);
            let none = DeviceRules::default();
            assert_eq!(none.state(setting, flags, version), None);
            assert!(none.is_empty() && !none.failing(flags, version).any());
        }
    }

    #[test]
    fn bounds_that_contradict_each_other_are_a_conflict() {
        let low = DeviceRules {
            os_maximum: V10,
            ..DeviceRules::default()
        };
        let high = DeviceRules {
            os_minimum: V10 + 1,
            blocks_jailbroken: true,
            ..DeviceRules::default()
        };
        let both = low.and(high);
        for version in [0, V10, V10 + 1] {
            for setting in [Setting::OsMinimum, Setting::OsMaximum] {
                let state = both.state(setting, Flags::NONE, version);
                assert_eq!(state, Some(SettingState::Conflict));
            }
            assert!(!both.failing(Flags::NONE, version).any());
            assert!(both.failing(Flags::JAILBROKEN, version).any());
        }
        assert_eq!(low.and(DeviceRules::default()), low);
    }
}
