//! Roles: what a principal may do (section 7 of the domain).
//!
//! [`BuiltInRole::allows`] is the one place that decides; what it does not name is denied. Roles that operators define
//! do not exist yet.

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
    /// Read roles, their assignments and tokens.
    ReadRoles = "Roles_Read": EndpointSecurityManager ReadOnlyOperator HelpDeskOperator IntuneRoleAdministrator;
    /// Read the audit log.
    ReadAudit = "Audit_Read": EndpointSecurityManager ReadOnlyOperator PolicyAndProfileManager HelpDeskOperator;
    /// \[OWN\] Make and revoke tokens: only the administrator, because a token may have any role.
    ManageTokens = "Tokens_Manage": Administrator;
}

impl BuiltInRole {
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
            (Action::ReadAudit, "++++--"),
            (Action::ReadOrganization, "++++++"),
        ] {
            let allowed = roles.map(|role| if role.allows(action) { '+' } else { '-' });
            let allowed: String = allowed.into_iter().collect();
            assert_eq!(allowed, expected, "{}", action.name());
        }
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
