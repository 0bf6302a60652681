//! `managedBy` of a device, derived from its management agent (docs/reference/DOMAIN.md, managedBy).

use muster_wire::ManagementAgent;

use super::states;

states! {
    /// The `managedBy` column of the onboarding view.
    ManagedBy {
        /// No known agent.
        #[default]
        Unknown = 0 "unknown",
        /// The mobile device management channel, alone or co-managed.
        Intune = 1 "intune",
        /// Configuration Manager alone.
        ConfigMgr = 2 "configMgr",
        /// Security settings management by the sensor itself (R19).
        Mde = 3 "mde",
        /// Jamf.
        Jamf = 4 "jamf",
        /// Google's device policy controller.
        Google = 5 "google",
    }
}

impl ManagedBy {
    /// docs/reference/DOMAIN.md, managedBy: msSense -> MDE; configurationManagerClient -> ConfigMgr;
    /// configurationManagerClientMdm* -> Intune; the other agents of the platform -> Intune.
    pub const fn of(agent: ManagementAgent) -> Self {
        use ManagementAgent as Agent;
        match agent {
            Agent::Unknown => Self::Unknown,
            Agent::MsSense => Self::Mde,
            Agent::ConfigurationManagerClient => Self::ConfigMgr,
            Agent::Jamf => Self::Jamf,
            Agent::GoogleCloudDevicePolicyController => Self::Google,
            Agent::ConfigurationManagerClientMdm
            | Agent::ConfigurationManagerClientMdmEas
            | Agent::Eas
            | Agent::Mdm
            | Agent::EasMdm
            | Agent::IntuneClient
            | Agent::EasIntuneClient
            | Agent::Microsoft365ManagedMdm => Self::Intune,
        }
    }
}
