//! The connector of a tenant to a threat partner (`mobileThreatDefenseConnector`).
//!
//! The Android switches apply to both of its modes, device administrator and Enterprise, as in Graph. The switches of
//! macOS, of app protection and of inventory are stored; their rules do not exist yet.

use crate::document::properties;
use crate::value::Number;

properties! {
    /// The connector to a partner. Without it, reports of the partner do not affect compliance.
    Connector {
        /// Whether threat levels of Android devices decide about compliance.
        android_enabled: bool = "androidEnabled", false;
        /// Whether an Android device without threat data is noncompliant.
        android_blocked_on_missing: bool = "androidDeviceBlockedOnMissingPartnerData", false;
        /// R9: whether threat levels decide about apps on Android. Stored.
        android_app_protection: bool = "androidMobileApplicationManagementEnabled", false;
        /// Whether threat levels of iOS devices decide about compliance.
        ios_enabled: bool = "iosEnabled", false;
        /// Whether an iOS device without threat data is noncompliant.
        ios_blocked_on_missing: bool = "iosDeviceBlockedOnMissingPartnerData", false;
        /// R9: whether threat levels decide about apps on iOS. Stored.
        ios_app_protection: bool = "iosMobileApplicationManagementEnabled", false;
        /// Whether threat levels of Windows devices decide about compliance.
        windows_enabled: bool = "windowsEnabled", false;
        /// Whether a Windows device without threat data is noncompliant.
        windows_blocked_on_missing: bool = "windowsDeviceBlockedOnMissingPartnerData", false;
        /// R9: whether threat levels decide about apps on Windows. Stored.
        windows_app_protection: bool = "windowsMobileApplicationManagementEnabled", false;
        /// R2 row 2: whether threat levels of macOS devices decide about compliance. Stored; policies for macOS can have a
        /// threat level only with it.
        mac_enabled: bool = "macEnabled", false;
        /// Whether a macOS device without threat data is noncompliant. Stored.
        mac_blocked_on_missing: bool = "macDeviceBlockedOnMissingPartnerData", false;
        /// R2 row 6: whether devices below the minimum version of the partner are noncompliant. Stored.
        unsupported_os_blocked: bool = "partnerUnsupportedOsVersionBlocked", false;
        /// R1 row 5: days of silence after which the partner is unresponsive. Stored.
        unresponsiveness_threshold_days: Number<1, 365> = "partnerUnresponsivenessThresholdInDays",
            Number::new(7).expect("in range");
        /// R10: whether the partner may read apps of iOS devices. Stored.
        ios_app_sync: bool = "allowPartnerToCollectIOSApplicationMetadata", false;
        /// R10: whether the partner may read all apps of personal iOS devices. Stored.
        ios_personal_app_sync: bool = "allowPartnerToCollectIOSPersonalApplicationMetadata", false;
        /// Stored, without effect.
        ios_certificates: bool = "allowPartnerToCollectIosCertificateMetadata", false;
        /// Stored, without effect.
        ios_personal_certificates: bool = "allowPartnerToCollectIosPersonalCertificateMetadata", false;
        /// Stored, without effect.
        partner_role: bool = "grantMobileThreatDefensePartnerRole", false;
        /// R19: whether Defender may enforce security settings. Stored.
        security_settings: bool = "microsoftDefenderForEndpointAttachEnabled", false;
    }
}
