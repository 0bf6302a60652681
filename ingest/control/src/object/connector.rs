//! The connector of a tenant to a threat partner (`mobileThreatDefenseConnector`).
//!
//! The Android switches apply to both of its modes, device administrator and Enterprise, as in Graph.

use crate::document::properties;
use crate::value::Number;

properties! {
    /// The connector to a partner. Without it, reports of the partner do not affect compliance.
    Connector {
        /// Whether threat levels of Android devices decide about compliance.
        android_enabled: bool = "androidEnabled", false;
        /// Whether an Android device without threat data is noncompliant.
        android_blocked_on_missing: bool = "androidDeviceBlockedOnMissingPartnerData", false;
        /// Whether threat levels of iOS devices decide about compliance.
        ios_enabled: bool = "iosEnabled", false;
        /// Whether an iOS device without threat data is noncompliant.
        ios_blocked_on_missing: bool = "iosDeviceBlockedOnMissingPartnerData", false;
        /// Whether threat levels of Windows devices decide about compliance.
        windows_enabled: bool = "windowsEnabled", false;
        /// Whether a Windows device without threat data is noncompliant.
        windows_blocked_on_missing: bool = "windowsDeviceBlockedOnMissingPartnerData", false;
        /// R1 row 5: days of silence after which the partner is unresponsive. Stored; its rule does not exist yet.
        unresponsiveness_threshold_days: Number<1, 365> = "partnerUnresponsivenessThresholdInDays",
            Number::new(7).expect("in range");
    }
}
