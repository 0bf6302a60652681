//! The types of objects that commands take: one table, with the words of operators and those of Graph.
//!
//! A type that the API gets is one more row.

/// How an object of a type is read and changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// At its id below the path.
    ById,
    /// Read in the list only; deleted at its id.
    InList,
    /// There is one, without an id; it is changed as a property of its parent.
    Single {
        /// The path of the parent.
        parent: &'static str,
        /// The property.
        property: &'static str,
    },
}

/// A part of a document that is not changed with the rest, but by an action that replaces it.
#[derive(Debug)]
pub(crate) struct Part {
    /// The property of the document.
    pub(crate) property: &'static str,
    /// The action below the object.
    pub(crate) action: &'static str,
    /// The property of the body.
    pub(crate) parameter: &'static str,
}

/// A type of objects.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Its name in commands.
    pub(crate) name: &'static str,
    /// The same for one object.
    pub(crate) singular: &'static str,
    /// The other names that commands take: those of Graph.
    aliases: &'static [&'static str],
    /// How the `@odata.type` of a document ends.
    type_end: &'static str,
    /// Its path below the version.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// The property with the name that people give, if objects have one.
    pub(crate) label: Option<&'static str>,
    /// The columns of a table.
    pub(crate) columns: &'static [&'static str],
    /// What a document has only if it is asked for.
    pub(crate) expand: Option<&'static str>,
    pub(crate) parts: &'static [Part],
    /// Whether `apply` may create one.
    pub(crate) can_create: bool,
}

const DISPLAY_NAME: Option<&str> = Some("displayName");

/// What most types have.
const USUAL: Resource = Resource {
    name: "",
    singular: "",
    aliases: &[],
    type_end: "",
    path: "",
    access: Access::ById,
    label: DISPLAY_NAME,
    columns: &["id", "displayName", "description"],
    expand: None,
    parts: &[],
    can_create: true,
};

/// The devices, which also have dedicated commands.
pub(crate) const DEVICES: Resource = Resource {
    name: "devices",
    singular: "device",
    aliases: &["managedDevices", "managedDevice"],
    type_end: ".managedDevice",
    path: "deviceManagement/managedDevices",
    label: Some("deviceName"),
    columns: &[
        "id",
        "deviceName",
        "operatingSystem",
        "complianceState",
        "partnerReportedThreatState",
        "lastSyncDateTime",
    ],
    can_create: false,
    ..USUAL
};

/// The tokens, which also have dedicated commands.
pub(crate) const TOKENS: Resource = Resource {
    name: "tokens",
    singular: "token",
    type_end: ".token",
    path: "muster/tokens",
    access: Access::InList,
    columns: &[
        "id",
        "displayName",
        "role",
        "createdDateTime",
        "expirationDateTime",
    ],
    can_create: false,
    ..USUAL
};

/// The audit events, which also have dedicated commands.
pub(crate) const AUDIT_EVENTS: Resource = Resource {
    name: "audit-events",
    singular: "audit-event",
    aliases: &["auditEvents", "auditEvent"],
    type_end: ".auditEvent",
    path: "deviceManagement/auditEvents",
    label: None,
    columns: &[
        "id",
        "activityDateTime",
        "actor.auditActorType",
        "actor.servicePrincipalName",
        "activityType",
        "resources.resourceId",
        "resources.displayName",
        "activityResult",
    ],
    can_create: false,
    ..USUAL
};

const RESOURCES: &[Resource] = &[
    Resource {
        name: "policies",
        singular: "policy",
        aliases: &["deviceCompliancePolicies", "deviceCompliancePolicy"],
        type_end: "CompliancePolicy",
        path: "deviceManagement/deviceCompliancePolicies",
        columns: &[
            "id",
            "displayName",
            "@odata.type",
            "version",
            "lastModifiedDateTime",
        ],
        expand: Some("assignments,scheduledActionsForRule"),
        parts: &[
            Part {
                property: "assignments",
                action: "assign",
                parameter: "assignments",
            },
            Part {
                property: "scheduledActionsForRule",
                action: "scheduleActionsForRules",
                parameter: "deviceComplianceScheduledActionForRules",
            },
        ],
        ..USUAL
    },
    Resource {
        name: "groups",
        singular: "group",
        type_end: ".group",
        path: "groups",
        ..USUAL
    },
    Resource {
        name: "filters",
        singular: "filter",
        aliases: &["assignmentFilters", "assignmentFilter"],
        type_end: "AssignmentFilter",
        path: "deviceManagement/assignmentFilters",
        columns: &["id", "displayName", "platform", "rule"],
        ..USUAL
    },
    Resource {
        name: "scope-tags",
        singular: "scope-tag",
        aliases: &["roleScopeTags", "roleScopeTag"],
        type_end: ".roleScopeTag",
        path: "deviceManagement/roleScopeTags",
        ..USUAL
    },
    Resource {
        name: "roles",
        singular: "role",
        aliases: &["roleDefinitions", "roleDefinition"],
        type_end: "RoleDefinition",
        path: "deviceManagement/roleDefinitions",
        columns: &["id", "displayName", "isBuiltIn", "description"],
        ..USUAL
    },
    Resource {
        name: "role-assignments",
        singular: "role-assignment",
        aliases: &["roleAssignments", "roleAssignment"],
        type_end: "RoleAssignment",
        path: "deviceManagement/roleAssignments",
        columns: &["id", "displayName", "members", "resourceScopes"],
        ..USUAL
    },
    Resource {
        name: "connectors",
        singular: "connector",
        aliases: &[
            "mobileThreatDefenseConnectors",
            "mobileThreatDefenseConnector",
        ],
        type_end: ".mobileThreatDefenseConnector",
        path: "deviceManagement/mobileThreatDefenseConnectors",
        label: None,
        columns: &[
            "id",
            "partnerState",
            "windowsEnabled",
            "iosEnabled",
            "androidEnabled",
            "macEnabled",
            "lastHeartbeatDateTime",
        ],
        ..USUAL
    },
    Resource {
        name: "settings",
        singular: "settings",
        aliases: &["deviceManagementSettings"],
        type_end: ".deviceManagementSettings",
        path: "deviceManagement/settings",
        access: Access::Single {
            parent: "deviceManagement",
            property: "settings",
        },
        label: None,
        columns: &[
            "secureByDefault",
            "deviceComplianceCheckinThresholdDays",
            "isScheduledActionEnabled",
            "enhancedJailBreak",
        ],
        can_create: false,
        ..USUAL
    },
    Resource {
        name: "export-jobs",
        singular: "export-job",
        aliases: &["exportJobs", "exportJob", "deviceManagementExportJob"],
        type_end: ".deviceManagementExportJob",
        path: "deviceManagement/reports/exportJobs",
        label: None,
        columns: &[
            "id",
            "status",
            "format",
            "requestDateTime",
            "expirationDateTime",
        ],
        can_create: false,
        ..USUAL
    },
    DEVICES,
    TOKENS,
    AUDIT_EVENTS,
];

impl Resource {
    /// The type with a name, in any case.
    pub(crate) fn named(name: &str) -> Result<&'static Self, String> {
        let is_one = |known: &str| known.eq_ignore_ascii_case(name);
        let found = RESOURCES.iter().find(|resource| {
            is_one(resource.name)
                || is_one(resource.singular)
                || resource.aliases.iter().any(|alias| is_one(alias))
        });
        found.ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            format!("it is one of {}, or its name in Graph", names.join(", "))
        })
    }

    /// The type of a document, by its `@odata.type`.
    pub(crate) fn of_type(type_name: &str) -> Option<&'static Self> {
        let name = format!(".{}", type_name.trim_start_matches('#'));
        RESOURCES
            .iter()
            .find(|resource| name.ends_with(resource.type_end))
    }

    /// The type of a document, by its `@odata.context`.
    pub(crate) fn of_context(context: &str) -> Option<&'static Self> {
        let (_, of) = context.split_once("$metadata#")?;
        let of = of.trim_end_matches("/$entity");
        let found = RESOURCES.iter().find(|resource| resource.path == of);
        found.or_else(|| Self::of_type(of))
    }

    /// The names of all types.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        RESOURCES.iter().map(|resource| resource.name)
    }

    /// The columns of a table.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|&name| name.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{RESOURCES, Resource};

    #[test]
    fn a_type_is_found_by_every_name_that_it_has() {
        for (name, path) in [
            ("policy", "deviceManagement/deviceCompliancePolicies"),
            (
                "DeviceCompliancePolicies",
                "deviceManagement/deviceCompliancePolicies",
            ),
            ("scope-tags", "deviceManagement/roleScopeTags"),
            ("managedDevices", "deviceManagement/managedDevices"),
        ] {
            assert_eq!(Resource::named(name).unwrap().path, path);
        }
        assert!(
            Resource::named("pods")
                .unwrap_err()
                .contains("role-assignments")
        );
        let names: Vec<_> = RESOURCES
            .iter()
            .flat_map(|it| it.aliases.iter().chain([&it.name]))
            .map(|name| name.to_lowercase())
            .collect();
        let mut distinct = names.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len(), "no name has two meanings");
    }

    #[test]
    fn the_type_of_a_document_is_found() {
        for (name, expected) in [
            ("#microsoft.graph.windows10CompliancePolicy", "policies"),
            (
                "microsoft.graph.deviceAndAppManagementRoleAssignment",
                "role-assignments",
            ),
            (
                "#microsoft.graph.deviceAndAppManagementAssignmentFilter",
                "filters",
            ),
            ("#microsoft.graph.group", "groups"),
        ] {
            assert_eq!(Resource::of_type(name).unwrap().name, expected, "{name}");
        }
        assert!(Resource::of_type("#microsoft.graph.user").is_none());
        for (context, expected) in [
            ("https://a:1/v1.0/$metadata#groups/$entity", "groups"),
            (
                "https://a:1/v1.0/$metadata#microsoft.graph.deviceManagementSettings",
                "settings",
            ),
        ] {
            assert_eq!(Resource::of_context(context).unwrap().name, expected);
        }
    }
}
