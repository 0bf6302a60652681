//! What operators set on a device (`managedDevice`). What the device reports about itself is not here.
//!
//! Exists for every device from the start, with its default values; stored once an operator has changed it. Whether the
//! device exists is checked by whoever sends the command.

use crate::document::properties;
use crate::limits::{DISPLAY_NAME_MAX, NOTES_MAX};
use crate::value::{Text, choice_values, choices};

choices! {
    /// `managedDeviceOwnerType`.
    OwnerType {
        /// Not set: what the device reports.
        Unknown = 0 "unknown",
        /// The organisation.
        Company = 1 "company",
        /// Its user.
        Personal = 2 "personal",
    }
}

choice_values!(OwnerType);

properties! {
    /// What operators set on a device.
    DeviceProperties {
        /// Its name for operators; empty if they have given it none.
        managed_device_name: Text<0, DISPLAY_NAME_MAX> = "managedDeviceName", Text::default();
        /// Who owns it, if that differs from what it reports.
        owner_type: OwnerType = "managedDeviceOwnerType", OwnerType::Unknown;
        /// Notes.
        notes: Text<0, NOTES_MAX> = "notes", Text::default();
    }
}

/// The properties of a managed device that come from its reports and from the server: ignored in a document, so that a
/// document that was read can be sent back.
pub(crate) const COMPUTED_OF_DEVICE: &[&str] = &[
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "version",
    "userId",
    "deviceName",
    "managementState",
    "enrolledDateTime",
    "lastSyncDateTime",
    "operatingSystem",
    "osVersion",
    "complianceState",
    "complianceGracePeriodExpirationDateTime",
    "jailBroken",
    "managementAgent",
    "azureADRegistered",
    "azureADDeviceId",
    "deviceEnrollmentType",
    "deviceRegistrationState",
    "deviceCategoryDisplayName",
    "isSupervised",
    "isEncrypted",
    "userPrincipalName",
    "userDisplayName",
    "emailAddress",
    "model",
    "manufacturer",
    "serialNumber",
    "imei",
    "partnerReportedThreatState",
    "exchangeAccessState",
    "enrollmentProfileName",
    "totalStorageSpaceInBytes",
    "freeStorageSpaceInBytes",
    "physicalMemoryInBytes",
    "managementCertificateExpirationDate",
    "deviceCompliancePolicyStates",
    "users",
];
