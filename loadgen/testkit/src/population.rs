//! The composition of every simulated fleet.
//!
//! All numbers are weights per mille within their table. They are chosen to resemble the fleet of a mid-sized
//! organization with a Windows majority; they are not based on a measurement.

use muster_wire::{Flags, ManagementAgent, Owner, PartnerThreatState, Platform, Risk};

/// Values with their weights.
pub type Weights<T> = &'static [(T, u16)];

/// The devices of one platform. Shares are per mille.
#[derive(Debug, Clone, Copy)]
pub struct PlatformShare {
    /// The platform.
    pub platform: Platform,
    /// The management agents.
    pub agents: Weights<ManagementAgent>,
    /// The share of devices that are onboarded.
    pub onboarded: u16,
    /// The threat states that a mobile threat defence partner reports.
    pub partner: Weights<PartnerThreatState>,
    /// The share of devices that are supervised.
    pub supervised: u16,
    /// The share of devices that are jailbroken or rooted.
    pub jailbroken: u16,
    /// The name of the operating system in inventories.
    pub os_name: &'static str,
    /// The newest version of the operating system.
    pub os_version: [u16; 4],
    /// The manufacturer and model in inventories.
    pub models: Weights<(&'static str, &'static str)>,
}

/// Desktops and servers rarely have a mobile threat defence partner.
const PARTNER_RARE: Weights<PartnerThreatState> = &[
    (PartnerThreatState::Unknown, 950),
    (PartnerThreatState::Secured, 40),
    (PartnerThreatState::LowSeverity, 10),
];

/// Phones often have a partner, in any of its states.
const PARTNER_COMMON: Weights<PartnerThreatState> = &[
    (PartnerThreatState::Unknown, 250),
    (PartnerThreatState::Activated, 60),
    (PartnerThreatState::Deactivated, 20),
    (PartnerThreatState::Secured, 520),
    (PartnerThreatState::LowSeverity, 60),
    (PartnerThreatState::MediumSeverity, 40),
    (PartnerThreatState::HighSeverity, 15),
    (PartnerThreatState::Unresponsive, 20),
    (PartnerThreatState::Compromised, 5),
    (PartnerThreatState::Misconfigured, 10),
];

const WINDOWS: PlatformShare = PlatformShare {
    platform: Platform::Windows,
    agents: &[
        (ManagementAgent::Mdm, 560),
        (ManagementAgent::ConfigurationManagerClientMdm, 160),
        (ManagementAgent::ConfigurationManagerClient, 110),
        (ManagementAgent::ConfigurationManagerClientMdmEas, 10),
        (ManagementAgent::MsSense, 120),
        (ManagementAgent::IntuneClient, 10),
        (ManagementAgent::EasIntuneClient, 5),
        (ManagementAgent::Unknown, 25),
    ],
    onboarded: 930,
    partner: PARTNER_RARE,
    supervised: 0,
    jailbroken: 0,
    os_name: "Windows",
    os_version: [10, 0, 26100, 4652],
    models: &[
        (("Lenovo", "ThinkPad T14"), 400),
        (("Dell Inc.", "Latitude 7450"), 350),
        (("HP", "EliteBook 840"), 250),
    ],
};

const WINDOWS_SERVER: PlatformShare = PlatformShare {
    platform: Platform::WindowsServer,
    agents: &[
        (ManagementAgent::ConfigurationManagerClient, 450),
        (ManagementAgent::MsSense, 450),
        (ManagementAgent::Unknown, 100),
    ],
    onboarded: 880,
    os_name: "Windows Server",
    os_version: [10, 0, 20348, 3932],
    models: &[
        (("VMware, Inc.", "VMware20,1"), 600),
        (("Microsoft Corporation", "Virtual Machine"), 300),
        (("Dell Inc.", "PowerEdge R660"), 100),
    ],
    ..WINDOWS
};

const MAC_OS: PlatformShare = PlatformShare {
    platform: Platform::MacOs,
    agents: &[
        (ManagementAgent::Mdm, 640),
        (ManagementAgent::Jamf, 250),
        (ManagementAgent::MsSense, 80),
        (ManagementAgent::Unknown, 30),
    ],
    onboarded: 850,
    supervised: 800,
    os_name: "macOS",
    os_version: [15, 5, 0, 0],
    models: &[
        (("Apple", "MacBook Air"), 550),
        (("Apple", "MacBook Pro"), 450),
    ],
    ..WINDOWS
};

const LINUX: PlatformShare = PlatformShare {
    platform: Platform::Linux,
    agents: &[
        (ManagementAgent::MsSense, 700),
        (ManagementAgent::Mdm, 150),
        (ManagementAgent::Unknown, 150),
    ],
    onboarded: 750,
    jailbroken: 0,
    os_name: "Linux",
    os_version: [6, 1, 0, 0],
    models: &[
        (("QEMU", "Standard PC"), 700),
        (("Supermicro", "SYS-621C"), 300),
    ],
    ..WINDOWS
};

const IOS: PlatformShare = PlatformShare {
    platform: Platform::Ios,
    agents: &[
        (ManagementAgent::Mdm, 880),
        (ManagementAgent::EasMdm, 80),
        (ManagementAgent::Unknown, 40),
    ],
    onboarded: 700,
    partner: PARTNER_COMMON,
    supervised: 600,
    jailbroken: 2,
    os_name: "iOS",
    os_version: [18, 5, 0, 0],
    models: &[(("Apple", "iPhone 15"), 700), (("Apple", "iPad Air"), 300)],
};

const ANDROID: PlatformShare = PlatformShare {
    platform: Platform::Android,
    agents: &[
        (ManagementAgent::Mdm, 600),
        (ManagementAgent::Eas, 250),
        (ManagementAgent::Microsoft365ManagedMdm, 100),
        (ManagementAgent::Unknown, 50),
    ],
    onboarded: 600,
    supervised: 0,
    jailbroken: 8,
    os_name: "Android",
    os_version: [11, 0, 0, 0],
    models: &[
        (("Zebra", "TC52"), 600),
        (("Samsung", "Galaxy Tab Active3"), 400),
    ],
    ..IOS
};

const ANDROID_ENTERPRISE: PlatformShare = PlatformShare {
    platform: Platform::AndroidEnterprise,
    agents: &[
        (ManagementAgent::GoogleCloudDevicePolicyController, 600),
        (ManagementAgent::Mdm, 380),
        (ManagementAgent::Unknown, 20),
    ],
    onboarded: 720,
    supervised: 250,
    jailbroken: 3,
    os_version: [15, 0, 0, 0],
    models: &[
        (("Samsung", "Galaxy S24"), 550),
        (("Google", "Pixel 9"), 450),
    ],
    ..ANDROID
};

const OTHER: PlatformShare = PlatformShare {
    platform: Platform::Other,
    agents: &[(ManagementAgent::Unknown, 1000)],
    onboarded: 0,
    os_name: "Other",
    os_version: [0; 4],
    models: &[(("", ""), 1000)],
    ..WINDOWS
};

const UNKNOWN: PlatformShare = PlatformShare {
    platform: Platform::Unknown,
    os_name: "",
    ..OTHER
};

/// All platforms with their shares of the fleet.
pub const PLATFORMS: Weights<&PlatformShare> = &[
    (&WINDOWS, 530),
    (&WINDOWS_SERVER, 90),
    (&MAC_OS, 110),
    (&LINUX, 55),
    (&IOS, 110),
    (&ANDROID, 15),
    (&ANDROID_ENTERPRISE, 80),
    (&OTHER, 5),
    (&UNKNOWN, 5),
];

const HEALTHY: Flags = Flags::SENSOR_RUNNING
    .union(Flags::COMMAND_AND_CONTROL_OK)
    .union(Flags::TELEMETRY_OK);

/// The sensor flags of onboarded devices.
pub const SENSORS: Weights<Flags> = &[
    (HEALTHY, 935),
    (
        Flags::SENSOR_RUNNING.union(Flags::COMMAND_AND_CONTROL_OK),
        25,
    ),
    (Flags::SENSOR_RUNNING.union(Flags::TELEMETRY_OK), 15),
    (Flags::COMMAND_AND_CONTROL_OK.union(Flags::TELEMETRY_OK), 15),
    (Flags::NONE, 10),
];

/// The initial risk of onboarded devices; other devices do not report one.
pub const RISKS: Weights<Risk> = &[
    (Risk::NotReported, 30),
    (Risk::None, 760),
    (Risk::Informational, 70),
    (Risk::Low, 80),
    (Risk::Medium, 40),
    (Risk::High, 20),
];

/// The share of onboarded devices that are onboarded to another organization, per mille.
pub const FOREIGN_ORG: u16 = 3;

/// The shares of devices that are registered in the directory, per mille: with and without a management channel.
pub const REGISTERED: (u16, u16) = (970, 300);

/// The share of devices with a failed policy setting, per mille.
pub const SETTING_ERROR: u16 = 4;

/// The share of devices with encrypted storage, per mille.
pub const ENCRYPTED: u16 = 940;

/// The share of devices with an activated app of their threat defence partner, per mille of the devices that have one.
pub const MTD_APP_ACTIVATED: u16 = 900;

/// The owner and tags of devices that send an inventory.
pub const INVENTORIES: Weights<(Owner, &'static [&'static str])> = &[
    ((Owner::Company, &[]), 400),
    ((Owner::Company, &["Finance"]), 100),
    ((Owner::Company, &["Engineering"]), 150),
    ((Owner::Company, &["Kiosk", "Retail"]), 80),
    ((Owner::Company, &["Executive"]), 20),
    ((Owner::Personal, &[]), 200),
    ((Owner::Personal, &["Contractor"]), 30),
    ((Owner::Unknown, &[]), 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sum<T>(table: &[(T, u16)]) -> u32 {
        table.iter().map(|(_, weight)| u32::from(*weight)).sum()
    }

    #[test]
    fn the_weights_of_every_table_add_up_to_1000() {
        for (share, _) in PLATFORMS {
            for total in [sum(share.agents), sum(share.partner), sum(share.models)] {
                assert_eq!(total, 1000, "{}", share.platform);
            }
            assert!(
                share.onboarded <= 1000 && share.supervised <= 1000 && share.jailbroken <= 1000
            );
        }
        for total in [sum(PLATFORMS), sum(SENSORS), sum(RISKS), sum(INVENTORIES)] {
            assert_eq!(total, 1000);
        }
    }

    #[test]
    fn every_platform_has_a_share() {
        for platform in Platform::ALL {
            let shares = PLATFORMS
                .iter()
                .filter(|(share, _)| share.platform == *platform);
            assert_eq!(shares.count(), 1, "{platform}");
        }
    }
}
