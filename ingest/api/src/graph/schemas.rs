//! What the types of the control plane have, for queries. The documents themselves come from `muster-control`.

use crate::odata::{Kind, Property, Schema};

const TEXT: Kind = Kind::Text;
const DATE: Kind = Kind::Date;
const FLAG: Kind = Kind::Boolean;

const fn usable(name: &'static str, kind: Kind) -> Property {
    Property::new(name, kind).filterable().orderable()
}

const fn named(name: &'static str) -> Property {
    usable(name, TEXT).searchable()
}

const LIST_OF_TEXTS: Kind = Kind::Collection(&Kind::Text);

/// `mobileThreatDefenseConnector`.
pub(super) const CONNECTOR: Schema = Schema {
    name: "microsoft.graph.mobileThreatDefenseConnector",
    properties: &[
        usable("id", TEXT),
        usable("partnerState", TEXT),
        usable("lastHeartbeatDateTime", DATE),
        usable("androidEnabled", FLAG),
        usable("iosEnabled", FLAG),
        usable("windowsEnabled", FLAG),
        usable("macEnabled", FLAG),
        usable("androidDeviceBlockedOnMissingPartnerData", FLAG),
        usable("iosDeviceBlockedOnMissingPartnerData", FLAG),
        usable("windowsDeviceBlockedOnMissingPartnerData", FLAG),
        usable("macDeviceBlockedOnMissingPartnerData", FLAG),
        usable("androidMobileApplicationManagementEnabled", FLAG),
        usable("iosMobileApplicationManagementEnabled", FLAG),
        usable("windowsMobileApplicationManagementEnabled", FLAG),
        usable("partnerUnsupportedOsVersionBlocked", FLAG),
        usable("microsoftDefenderForEndpointAttachEnabled", FLAG),
        usable("allowPartnerToCollectIOSApplicationMetadata", FLAG),
        usable("allowPartnerToCollectIOSPersonalApplicationMetadata", FLAG),
        usable("allowPartnerToCollectIosCertificateMetadata", FLAG),
        usable("allowPartnerToCollectIosPersonalCertificateMetadata", FLAG),
        usable("grantMobileThreatDefensePartnerRole", FLAG),
        usable("partnerUnresponsivenessThresholdInDays", Kind::Int),
    ],
    subtypes: &[],
};

const POLICY_TYPE: &str = "microsoft.graph.deviceCompliancePolicy";

/// `deviceCompliancePolicy` and its subtypes.
pub(super) const POLICY: Schema = Schema {
    name: POLICY_TYPE,
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("description", TEXT),
        usable("version", Kind::Int),
        usable("createdDateTime", DATE),
        usable("lastModifiedDateTime", DATE),
        Property::new("roleScopeTagIds", LIST_OF_TEXTS).filterable(),
        usable("osMinimumVersion", TEXT),
        usable("osMaximumVersion", TEXT),
        usable("storageRequireEncryption", FLAG),
        usable("securityBlockJailbrokenDevices", FLAG),
        usable("deviceThreatProtectionEnabled", FLAG),
        usable("deviceThreatProtectionRequiredSecurityLevel", TEXT),
        usable("advancedThreatProtectionRequiredSecurityLevel", TEXT),
    ],
    subtypes: &[
        ("microsoft.graph.windows10CompliancePolicy", POLICY_TYPE),
        ("microsoft.graph.iosCompliancePolicy", POLICY_TYPE),
        ("microsoft.graph.androidCompliancePolicy", POLICY_TYPE),
        (
            "microsoft.graph.androidWorkProfileCompliancePolicy",
            POLICY_TYPE,
        ),
        (
            "microsoft.graph.androidDeviceOwnerCompliancePolicy",
            POLICY_TYPE,
        ),
        ("microsoft.graph.macOSCompliancePolicy", POLICY_TYPE),
    ],
};

/// `deviceAndAppManagementAssignmentFilter`.
pub(super) const FILTER: Schema = Schema {
    name: "microsoft.graph.deviceAndAppManagementAssignmentFilter",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("description", TEXT),
        usable("platform", TEXT),
        usable("rule", TEXT),
        Property::new("roleScopeTags", LIST_OF_TEXTS).filterable(),
        Property::new("payloads", LIST_OF_TEXTS),
        usable("assignmentFilterManagementType", TEXT),
        usable("createdDateTime", DATE),
        usable("lastModifiedDateTime", DATE),
    ],
    subtypes: &[],
};

/// `roleScopeTag`.
pub(super) const SCOPE_TAG: Schema = Schema {
    name: "microsoft.graph.roleScopeTag",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("description", TEXT),
        usable("isBuiltIn", FLAG),
    ],
    subtypes: &[],
};

const ROLE_DEFINITION_TYPE: &str = "microsoft.graph.roleDefinition";

/// `roleDefinition`.
pub(super) const ROLE_DEFINITION: Schema = Schema {
    name: ROLE_DEFINITION_TYPE,
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("description", TEXT),
        usable("isBuiltIn", FLAG),
        usable("isBuiltInRoleDefinition", FLAG),
        Property::new("rolePermissions", LIST_OF_TEXTS),
        Property::new("permissions", LIST_OF_TEXTS),
        Property::new("roleScopeTagIds", LIST_OF_TEXTS).filterable(),
    ],
    subtypes: &[(
        "microsoft.graph.deviceAndAppManagementRoleDefinition",
        ROLE_DEFINITION_TYPE,
    )],
};

const ROLE_ASSIGNMENT_TYPE: &str = "microsoft.graph.roleAssignment";

/// `roleAssignment`.
pub(super) const ROLE_ASSIGNMENT: Schema = Schema {
    name: ROLE_ASSIGNMENT_TYPE,
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("description", TEXT),
        Property::new("members", LIST_OF_TEXTS).filterable(),
        Property::new("resourceScopes", LIST_OF_TEXTS).filterable(),
        Property::new("scopeMembers", LIST_OF_TEXTS).filterable(),
        usable("scopeType", TEXT),
    ],
    subtypes: &[(
        "microsoft.graph.deviceAndAppManagementRoleAssignment",
        ROLE_ASSIGNMENT_TYPE,
    )],
};

/// `group`.
pub(super) const GROUP: Schema = Schema {
    name: "microsoft.graph.group",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        named("description"),
        usable("mailEnabled", FLAG),
        usable("mailNickname", TEXT),
        usable("securityEnabled", FLAG),
        Property::new("groupTypes", LIST_OF_TEXTS).filterable(),
        usable("membershipRule", TEXT),
        usable("createdDateTime", DATE),
    ],
    subtypes: &[],
};

/// `user`.
pub(super) const USER: Schema = Schema {
    name: "microsoft.graph.user",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        named("userPrincipalName"),
        usable("accountEnabled", FLAG),
        usable("mailNickname", TEXT),
        named("mail"),
        usable("givenName", TEXT),
        usable("surname", TEXT),
        usable("jobTitle", TEXT),
        usable("department", TEXT),
    ],
    subtypes: &[],
};

/// `directoryObject`, as a member of a group.
pub(super) const MEMBER: Schema = Schema {
    name: "microsoft.graph.directoryObject",
    properties: &[
        usable("id", TEXT),
        usable("deviceId", TEXT),
        named("displayName"),
    ],
    subtypes: &[("microsoft.graph.device", "microsoft.graph.directoryObject")],
};

const MODIFIED: Schema = Schema {
    name: "microsoft.graph.auditProperty",
    properties: &[
        usable("displayName", TEXT),
        usable("oldValue", TEXT),
        usable("newValue", TEXT),
    ],
    subtypes: &[],
};

const AUDIT_RESOURCE: Schema = Schema {
    name: "microsoft.graph.auditResource",
    properties: &[
        usable("displayName", TEXT),
        usable("auditResourceType", TEXT),
        usable("resourceId", TEXT),
        Property::new(
            "modifiedProperties",
            Kind::Collection(&Kind::Complex(&MODIFIED)),
        )
        .filterable(),
    ],
    subtypes: &[],
};

const AUDIT_ACTOR: Schema = Schema {
    name: "microsoft.graph.auditActor",
    properties: &[
        usable("auditActorType", TEXT),
        usable("applicationDisplayName", TEXT),
        usable("userPrincipalName", TEXT),
        usable("servicePrincipalName", TEXT),
        usable("userId", TEXT),
        usable("ipAddress", TEXT),
    ],
    subtypes: &[],
};

/// `auditEvent`.
pub(super) const AUDIT_EVENT: Schema = Schema {
    name: "microsoft.graph.auditEvent",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("componentName", TEXT),
        usable("activity", TEXT),
        usable("activityDateTime", DATE),
        usable("activityType", TEXT),
        usable("activityOperationType", TEXT),
        usable("activityResult", TEXT),
        usable("correlationId", TEXT),
        usable("category", TEXT),
        Property::new("actor", Kind::Complex(&AUDIT_ACTOR)).filterable(),
        Property::new(
            "resources",
            Kind::Collection(&Kind::Complex(&AUDIT_RESOURCE)),
        )
        .filterable(),
    ],
    subtypes: &[],
};

/// \[OWN\] An API token.
pub(super) const TOKEN: Schema = Schema {
    name: "microsoft.graph.token",
    properties: &[
        usable("id", TEXT),
        named("displayName"),
        usable("role", TEXT),
        usable("roleDefinitionId", TEXT),
        usable("createdDateTime", DATE),
        usable("expirationDateTime", DATE),
    ],
    subtypes: &[],
};
