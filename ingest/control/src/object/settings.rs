//! The settings of a tenant (`deviceManagementSettings`).
//!
//! Only settings that have an effect today, or that are stored until their rule exists.

use crate::document::properties;
use crate::value::Number;

properties! {
    /// The settings of a tenant.
    TenantSettings {
        /// R7 row 4: whether a device to which no policy applies is noncompliant.
        secure_by_default: bool = "secureByDefault", false;
        /// R7 row 5: the validity period of a report, in days.
        check_in_threshold_days: Number<1, 120> = "deviceComplianceCheckinThresholdDays",
            Number::new(30).expect("in range");
        /// R8: whether scheduled actions are carried out. Stored.
        scheduled_actions_enabled: bool = "isScheduledActionEnabled", true;
        /// Whether devices report more often that they are jailbroken. Stored, without effect: check-ins report it.
        enhanced_jail_break: bool = "enhancedJailBreak", false;
        /// R22 \[OWN\]: whether the first check-in of an unknown device creates it.
        auto_create_devices: bool = "autoCreateDevices", true;
        /// R17 row 1 \[OWN\]: days of silence after which a sensor is inactive.
        sensor_inactive_days: Number<1, 180> = "sensorInactiveDays", Number::new(7).expect("in range");
        /// R17 row 4 \[OWN\]: hours without telemetry after which a sensor sends no data.
        no_sensor_data_hours: Number<1, 720> = "noSensorDataHours", Number::new(48).expect("in range");
        /// \[OWN\]: days after which a removed device is forgotten; until then it can be restored.
        removed_retention_days: Number<1, 3650> = "removedRetentionDays", Number::new(30).expect("in range");
        /// R18 \[OWN\]: days of silence after which an offboarded device is removed.
        profile_retention_days: Number<1, 3650> = "profileRetentionDays", Number::new(180).expect("in range");
    }
}
