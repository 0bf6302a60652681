//! Roles: what a principal may do (section 7 of the domain).
//!
//! [`BuiltInRole::allows`] is the one place that decides for built-in roles; what it does not name is denied. The roles
//! that operators define are objects.

use crate::id::ObjectId;
use crate::value::choices;

choices! {
    /// A built-in role: those of Intune, and \[OWN\] those of services.
    BuiltInRole {
        /// \[OWN\] Everything.
        Administrator = 0 "Administrator",
        /// Endpoint security: connector, compliance and EDR policies.
        EndpointSecurityManager = 1 "Endpoint Security Manager",
        /// Reads everything that is not a role.
        ReadOnlyOperator = 2 "Read Only Operator",
        /// Policies and configuration profiles.
        PolicyAndProfileManager = 3 "Policy and Profile Manager",
        /// Remote tasks on devices.
        HelpDeskOperator = 4 "Help Desk Operator",
        /// Apps.
        ApplicationManager = 5 "Application Manager",
        /// Roles and their assignments.
        IntuneRoleAdministrator = 6 "Intune Role Administrator",
        /// \[OWN\] A threat partner: heartbeat, risk, shared inventory.
        Partner = 7 "Partner",
        /// \[OWN\] Reads counts only.
        Metrics = 8 "Metrics",
    }
}

/// Declares the resource actions, each with its name in Graph after the prefix and the roles that allow it.
macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $text:literal: $($role:ident)+;)+) => {
        /// A resource action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action { $($(#[$doc])* $action),+ }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$action),+];

            /// The name in Graph, without the prefix `Microsoft.Intune_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$action => $text),+ }
            }

            /// The roles that allow it, besides the administrator.
            const fn roles(self) -> &'static [BuiltInRole] {
                match self { $(Self::$action => &[$(BuiltInRole::$role),+]),+ }
            }
        }
    };
}

actions! {
    /// Read the connectors.
    ReadConnectors = "MobileThreatDefense_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager
        HelpDeskOperator ApplicationManager;
    /// Change the connectors.
    ModifyConnectors = "MobileThreatDefense_Modify": EndpointSecurityManager;
    /// Read onboarding counts and states.
    ReadOnboarding = "MicrosoftDefenderATP_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager
        HelpDeskOperator ApplicationManager Metrics;
    /// Read compliance policies.
    ReadCompliancePolicies = "DeviceCompliancePolices_Read": EndpointSecurityManager ReadOnlyOperator
        PolicyAndProfileManager HelpDeskOperator;
    /// Create compliance policies.
    CreateCompliancePolicies = "DeviceCompliancePolices_Create": EndpointSecurityManager PolicyAndProfileManager;
    /// Change compliance policies and the settings of compliance.
    UpdateCompliancePolicies = "DeviceCompliancePolices_Update": EndpointSecurityManager PolicyAndProfileManager;
    /// Delete compliance policies.
    DeleteCompliancePolicies = "DeviceCompliancePolices_Delete": EndpointSecurityManager PolicyAndProfileManager;
    /// Assign compliance policies.
    AssignCompliancePolicies = "DeviceCompliancePolices_Assign": EndpointSecurityManager PolicyAndProfileManager;
    /// Read counts and reports of compliance.
    ReadComplianceReports = "DeviceCompliancePolices_ViewReports": EndpointSecurityManager ReadOnlyOperator
        PolicyAndProfileManager HelpDeskOperator Metrics;
    /// Read devices.
    ReadDevices = "ManagedDevices_Read": EndpointSecurityManager ReadOnlyOperator HelpDeskOperator ApplicationManager;
    /// Change devices.
    UpdateDevices = "ManagedDevices_Update": EndpointSecurityManager HelpDeskOperator;
    /// Delete devices.
    DeleteDevices = "ManagedDevices_Delete": EndpointSecurityManager;
    /// Read reports and counts of devices.
    ReadDeviceReports = "ManagedDevices_ViewReports": EndpointSecurityManager ReadOnlyOperator HelpDeskOperator Metrics;
    /// Make devices check in.
    SyncDevices = "RemoteTasks_SyncDevice": EndpointSecurityManager HelpDeskOperator;
    /// Read groups, users and settings.
    ReadOrganization = "Organization_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager
        HelpDeskOperator ApplicationManager IntuneRoleAdministrator;
    /// \[OWN\] Create, change and delete groups. In Graph that is a role of the directory.
    UpdateGroups = "Groups_Update": IntuneRoleAdministrator PolicyAndProfileManager;
    /// \[OWN\] Create, change and delete users. In Graph that is a role of the directory.
    UpdateUsers = "Users_Update": IntuneRoleAdministrator PolicyAndProfileManager;
    /// Read roles, their assignments and tokens.
    ReadRoles = "Roles_Read": EndpointSecurityManager ReadOnlyOperator HelpDeskOperator IntuneRoleAdministrator;
    /// Create, change and delete roles, their assignments and scope tags.
    ChangeRoles = "Roles_Update": IntuneRoleAdministrator;
    /// Read assignment filters.
    ReadFilters = "AssignmentFilter_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager
        HelpDeskOperator ApplicationManager;
    /// Create, change and delete assignment filters.
    ChangeFilters = "AssignmentFilter_Update": PolicyAndProfileManager ApplicationManager;
    /// Read the audit log.
    ReadAudit = "Audit_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager HelpDeskOperator;
    /// \[OWN\] Make and revoke tokens: only the administrator, because a token may have any role.
    ManageTokens = "Tokens_Manage": Administrator;
}

impl BuiltInRole {
    /// The id of its definition: that of Intune, or \[OWN\] one that begins with the bytes of "muster".
    #[must_use]
    pub const fn id(self) -> ObjectId {
        let id: u128 = match self {
            Self::Administrator => 0x6d757374_6572_4000_8000_000000000000,
            Self::EndpointSecurityManager => 0xc56d53a2_73d0_4502_b6bd_4a9d3dba28d5,
            Self::ReadOnlyOperator => 0xfa1d7878_e8cb_41a1_8254_0142355c9f84,
            Self::PolicyAndProfileManager => 0x0bd113fe_6be5_400c_a28f_ae5553f9c0be,
            Self::HelpDeskOperator => 0x9e0cc482_82df_4ab2_a24c_0c23a3f52e1e,
            Self::ApplicationManager => 0xc1d9fcbb_cba5_40b0_bf6b_527006585f4b,
            Self::IntuneRoleAdministrator => 0xfb2603eb_3c87_4be3_8b5b_d58a5b4a0bc0,
            Self::Partner => 0x6d757374_6572_4000_8000_000000000007,
            Self::Metrics => 0x6d757374_6572_4000_8000_000000000008,
        };
        ObjectId::from_bytes(id.to_be_bytes())
    }

    /// The role whose definition has this id.
    #[must_use]
    pub fn with_id(id: ObjectId) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.id() == id)
    }

    /// Whether a principal with this role may do this.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        self == Self::Administrator || action.roles().contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of section 7 of the domain, cell by cell, for the actions that exist.
    #[test]
    fn the_table_of_the_domain() {
        use BuiltInRole as Role;
        let roles = [
            Role::EndpointSecurityManager,
            Role::ReadOnlyOperator,
            Role::PolicyAndProfileManager,
            Role::HelpDeskOperator,
            Role::ApplicationManager,
            Role::IntuneRoleAdministrator,
        ];
        for (action, expected) in [
            (Action::ReadConnectors, "+++++-"),
            (Action::ModifyConnectors, "+-----"),
            (Action::ReadOnboarding, "+++++-"),
            (Action::ReadCompliancePolicies, "++++--"),
            (Action::CreateCompliancePolicies, "+-+---"),
            (Action::UpdateCompliancePolicies, "+-+---"),
            (Action::DeleteCompliancePolicies, "+-+---"),
            (Action::AssignCompliancePolicies, "+-+---"),
            (Action::ReadComplianceReports, "++++--"),
            (Action::ReadDevices, "++-++-"),
            (Action::UpdateDevices, "+--+--"),
            (Action::DeleteDevices, "+-----"),
            (Action::ReadDeviceReports, "++-+--"),
            (Action::SyncDevices, "+--+--"),
            (Action::ReadRoles, "++-+-+"),
            (Action::ChangeRoles, "-----+"),
            (Action::ReadFilters, "+++++-"),
            (Action::ChangeFilters, "--+-+-"),
            (Action::ReadAudit, "++++--"),
            (Action::ReadOrganization, "++++++"),
        ] {
            let allowed = roles.map(|role| if role.allows(action) { '+' } else { '-' });
            let allowed: String = allowed.into_iter().collect();
            assert_eq!(allowed, expected, "{}", action.name());
        }
    }

    #[test]
    fn the_definitions_have_the_ids_of_intune() {
        for role in BuiltInRole::ALL.iter().copied() {
            assert_eq!(BuiltInRole::with_id(role.id()), Some(role), "each its own");
        }
        let manager = BuiltInRole::EndpointSecurityManager.id();
        assert_eq!(manager.to_string(), "c56d53a2-73d0-4502-b6bd-4a9d3dba28d5");
    }

    #[test]
    fn only_the_administrator_may_do_everything() {
        for action in Action::ALL {
            assert!(BuiltInRole::Administrator.allows(*action));
            assert!(!BuiltInRole::Partner.allows(*action));
        }
        let metrics = Action::ALL.iter();
        let metrics = metrics.filter(|action| BuiltInRole::Metrics.allows(**action));
        assert_eq!(
            metrics.count(),
            3,
            "counts of onboarding, compliance and devices"
        );
    }
}
