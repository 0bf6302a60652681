//! The published properties of each subclass of `deviceCompliancePolicy`, except those that every policy has.
//!
//! To evaluate a property, change `stored` to `evaluated` in its rows. A row never changes its name or kind, because
//! entries of the control log have both.

use super::super::Subclass;
use super::Kind::{Choice, Flag, List, Number, Object, Text, Version};
use super::{Requirement, evaluated, stored};

/// Choices, of which the first is the default. Names that require nothing are in [`super::NOTHING`].
const LEVELS: &[&str] = &["unavailable", "secured", "low", "medium", "high", "notSet"];
const PASSWORDS: &[&str] = &["deviceDefault", "alphanumeric", "numeric"];
const ANDROID_PASSWORDS: &[&str] = &[
    "deviceDefault",
    "alphabetic",
    "alphanumeric",
    "alphanumericWithSymbols",
    "lowSecurityBiometric",
    "numeric",
    "numericComplex",
    "any",
];
const OWNER_PASSWORDS: &[&str] = &[
    "deviceDefault",
    "required",
    "numeric",
    "numericComplex",
    "alphabetic",
    "alphanumeric",
    "alphanumericWithSymbols",
    "lowSecurityBiometric",
    "customPassword",
];
const COMPLEXITIES: &[&str] = &["none", "low", "medium", "high"];
/// Alone it requires nothing: it says how the two attestations are made.
const ATTESTATIONS: &[&str] = &["basic", "hardwareBacked"];
const APP_SOURCES: &[&str] = &[
    "notConfigured",
    "macAppStore",
    "macAppStoreAndIdentifiedDevelopers",
    "anywhere",
];

const WINDOWS10: &[Requirement] = &[
    stored("activeFirewallRequired", Flag),
    stored("antiSpywareRequired", Flag),
    stored("antivirusRequired", Flag),
    stored("bitLockerEnabled", Flag),
    stored("codeIntegrityEnabled", Flag),
    stored("configurationManagerComplianceRequired", Flag),
    stored("defenderEnabled", Flag),
    stored("defenderVersion", Text),
    stored("deviceCompliancePolicyScript", Object),
    stored("earlyLaunchAntiMalwareDriverEnabled", Flag),
    stored("firmwareProtectionEnabled", Flag),
    stored("kernelDmaProtectionEnabled", Flag),
    stored("memoryIntegrityEnabled", Flag),
    stored("mobileOsMaximumVersion", Text),
    stored("mobileOsMinimumVersion", Text),
    evaluated("osMaximumVersion", Version),
    evaluated("osMinimumVersion", Version),
    stored("passwordBlockSimple", Flag),
    stored("passwordExpirationDays", Number),
    stored("passwordMinimumCharacterSetCount", Number),
    stored("passwordMinimumLength", Number),
    stored("passwordMinutesOfInactivityBeforeLock", Number),
    stored("passwordPreviousPasswordBlockCount", Number),
    stored("passwordRequired", Flag),
    stored("passwordRequiredToUnlockFromIdle", Flag),
    stored("passwordRequiredType", Choice(PASSWORDS)),
    stored("requireHealthyDeviceReport", Flag),
    stored("rtpEnabled", Flag),
    stored("secureBootEnabled", Flag),
    stored("signatureOutOfDate", Flag),
    evaluated("storageRequireEncryption", Flag),
    stored("tpmRequired", Flag),
    stored("validOperatingSystemBuildRanges", List),
    stored("virtualizationBasedSecurityEnabled", Flag),
    stored("wslDistributions", List),
];

const IOS: &[Requirement] = &[
    stored(
        "advancedThreatProtectionRequiredSecurityLevel",
        Choice(LEVELS),
    ),
    stored("managedEmailProfileRequired", Flag),
    stored("osMaximumBuildVersion", Text),
    evaluated("osMaximumVersion", Version),
    stored("osMinimumBuildVersion", Text),
    evaluated("osMinimumVersion", Version),
    stored("passcodeBlockSimple", Flag),
    stored("passcodeExpirationDays", Number),
    stored("passcodeMinimumCharacterSetCount", Number),
    stored("passcodeMinimumLength", Number),
    stored("passcodeMinutesOfInactivityBeforeLock", Number),
    stored("passcodeMinutesOfInactivityBeforeScreenTimeout", Number),
    stored("passcodePreviousPasscodeBlockCount", Number),
    stored("passcodeRequired", Flag),
    stored("passcodeRequiredType", Choice(PASSWORDS)),
    stored("restrictedApps", List),
    evaluated("securityBlockJailbrokenDevices", Flag),
];

const ANDROID: &[Requirement] = &[
    stored(
        "advancedThreatProtectionRequiredSecurityLevel",
        Choice(LEVELS),
    ),
    stored("conditionStatementId", Text),
    stored("minAndroidSecurityPatchLevel", Text),
    evaluated("osMaximumVersion", Version),
    evaluated("osMinimumVersion", Version),
    stored("passwordExpirationDays", Number),
    stored("passwordMinimumLength", Number),
    stored("passwordMinutesOfInactivityBeforeLock", Number),
    stored("passwordPreviousPasswordBlockCount", Number),
    stored("passwordRequired", Flag),
    stored("passwordRequiredType", Choice(ANDROID_PASSWORDS)),
    stored("passwordSignInFailureCountBeforeFactoryReset", Number),
    stored("requiredPasswordComplexity", Choice(COMPLEXITIES)),
    stored("restrictedApps", List),
    stored("securityBlockDeviceAdministratorManagedDevices", Flag),
    evaluated("securityBlockJailbrokenDevices", Flag),
    stored("securityDisableUsbDebugging", Flag),
    stored("securityPreventInstallAppsFromUnknownSources", Flag),
    stored("securityRequireCompanyPortalAppIntegrity", Flag),
    stored("securityRequireGooglePlayServices", Flag),
    stored("securityRequireSafetyNetAttestationBasicIntegrity", Flag),
    stored("securityRequireSafetyNetAttestationCertifiedDevice", Flag),
    stored("securityRequireUpToDateSecurityProviders", Flag),
    stored("securityRequireVerifyApps", Flag),
    evaluated("storageRequireEncryption", Flag),
];

const ANDROID_WORK_PROFILE: &[Requirement] = &[
    stored(
        "advancedThreatProtectionRequiredSecurityLevel",
        Choice(LEVELS),
    ),
    stored("minAndroidSecurityPatchLevel", Text),
    evaluated("osMaximumVersion", Version),
    evaluated("osMinimumVersion", Version),
    stored("passwordExpirationDays", Number),
    stored("passwordMinimumLength", Number),
    stored("passwordMinutesOfInactivityBeforeLock", Number),
    stored("passwordPreviousPasswordBlockCount", Number),
    stored("passwordRequired", Flag),
    stored("passwordRequiredType", Choice(ANDROID_PASSWORDS)),
    stored("passwordSignInFailureCountBeforeFactoryReset", Number),
    stored("requiredPasswordComplexity", Choice(COMPLEXITIES)),
    evaluated("securityBlockJailbrokenDevices", Flag),
    stored("securityDisableUsbDebugging", Flag),
    stored("securityPreventInstallAppsFromUnknownSources", Flag),
    stored("securityRequireCompanyPortalAppIntegrity", Flag),
    stored("securityRequireGooglePlayServices", Flag),
    stored("securityRequireSafetyNetAttestationBasicIntegrity", Flag),
    stored("securityRequireSafetyNetAttestationCertifiedDevice", Flag),
    stored("securityRequireUpToDateSecurityProviders", Flag),
    stored("securityRequireVerifyApps", Flag),
    stored(
        "securityRequiredAndroidSafetyNetEvaluationType",
        Choice(ATTESTATIONS),
    ),
    evaluated("storageRequireEncryption", Flag),
    stored("workProfileInactiveBeforeScreenLockInMinutes", Number),
    stored("workProfilePasswordExpirationInDays", Number),
    stored("workProfilePasswordMinimumLength", Number),
    stored("workProfilePasswordRequiredType", Choice(ANDROID_PASSWORDS)),
    stored("workProfilePreviousPasswordBlockCount", Number),
    stored("workProfileRequirePassword", Flag),
    stored(
        "workProfileRequiredPasswordComplexity",
        Choice(COMPLEXITIES),
    ),
];

const ANDROID_DEVICE_OWNER: &[Requirement] = &[
    stored(
        "advancedThreatProtectionRequiredSecurityLevel",
        Choice(LEVELS),
    ),
    stored("minAndroidSecurityPatchLevel", Text),
    evaluated("osMaximumVersion", Version),
    evaluated("osMinimumVersion", Version),
    stored("passwordExpirationDays", Number),
    stored("passwordMinimumLength", Number),
    stored("passwordMinimumLetterCharacters", Number),
    stored("passwordMinimumLowerCaseCharacters", Number),
    stored("passwordMinimumNonLetterCharacters", Number),
    stored("passwordMinimumNumericCharacters", Number),
    stored("passwordMinimumSymbolCharacters", Number),
    stored("passwordMinimumUpperCaseCharacters", Number),
    stored("passwordMinutesOfInactivityBeforeLock", Number),
    stored("passwordPreviousPasswordCountToBlock", Number),
    stored("passwordRequired", Flag),
    stored("passwordRequiredType", Choice(OWNER_PASSWORDS)),
    stored("requireNoPendingSystemUpdates", Flag),
    evaluated("securityBlockJailbrokenDevices", Flag),
    stored("securityRequireIntuneAppIntegrity", Flag),
    stored("securityRequireSafetyNetAttestationBasicIntegrity", Flag),
    stored("securityRequireSafetyNetAttestationCertifiedDevice", Flag),
    stored(
        "securityRequiredAndroidSafetyNetEvaluationType",
        Choice(ATTESTATIONS),
    ),
    evaluated("storageRequireEncryption", Flag),
];

const MAC_OS: &[Requirement] = &[
    stored(
        "advancedThreatProtectionRequiredSecurityLevel",
        Choice(LEVELS),
    ),
    stored("firewallBlockAllIncoming", Flag),
    stored("firewallEnableStealthMode", Flag),
    stored("firewallEnabled", Flag),
    stored("gatekeeperAllowedAppSource", Choice(APP_SOURCES)),
    stored("osMaximumBuildVersion", Text),
    evaluated("osMaximumVersion", Version),
    stored("osMinimumBuildVersion", Text),
    evaluated("osMinimumVersion", Version),
    stored("passwordBlockSimple", Flag),
    stored("passwordExpirationDays", Number),
    stored("passwordMinimumCharacterSetCount", Number),
    stored("passwordMinimumLength", Number),
    stored("passwordMinutesOfInactivityBeforeLock", Number),
    stored("passwordPreviousPasswordBlockCount", Number),
    stored("passwordRequired", Flag),
    stored("passwordRequiredType", Choice(PASSWORDS)),
    evaluated("storageRequireEncryption", Flag),
    stored("systemIntegrityProtectionEnabled", Flag),
];

/// The table of a subclass.
pub(super) const fn of(subclass: Subclass) -> &'static [Requirement] {
    match subclass {
        Subclass::Windows10 => WINDOWS10,
        Subclass::Ios => IOS,
        Subclass::Android => ANDROID,
        Subclass::AndroidWorkProfile => ANDROID_WORK_PROFILE,
        Subclass::AndroidDeviceOwner => ANDROID_DEVICE_OWNER,
        Subclass::MacOs => MAC_OS,
    }
}
