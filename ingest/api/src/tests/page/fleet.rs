//! A tenant with 300 devices of every kind, for the pages of the console.

use muster_control::{Change, ControlPlane, DEFENDER, Handling, Key, Precondition, Properties};
use muster_engine::{
    Compliance, DeviceRecord, Facets, SensorState, TenantIndex, ThreatSetting, Timestamp,
};
use muster_wire::{DeviceId, Flags, Inventory, ManagementAgent, Owner, Platform, Risk};
use serde_json::{Value, json};

use crate::tests::fixture::{Fake, device};
use crate::{Cell, Device, TokenRequest};

/// The clock of the fake.
const NOW: u32 = 1_767_225_600;

/// A name that would be markup if it were not escaped.
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// A name that a spreadsheet would take for a formula.
pub(super) const FORMULA: &str = "=HYPERLINK(1)";

/// The number of devices.
pub(in crate::tests) const DEVICES: usize = 300;

/// A number below `below` that looks random, and is the same in every run.
fn mixed(number: usize, salt: u64, below: u64) -> u64 {
    let mut mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt << 32;
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 33) % below
}

fn facets(number: usize) -> Facets {
    let (platform, management_agent) = match mixed(number, 1, 20) {
        0..=10 => (Platform::Windows, ManagementAgent::Mdm),
        11 | 12 => (
            Platform::WindowsServer,
            ManagementAgent::ConfigurationManagerClient,
        ),
        13 => (Platform::WindowsServer, ManagementAgent::MsSense),
        14 => (Platform::Linux, ManagementAgent::MsSense),
        15 | 16 => (Platform::MacOs, ManagementAgent::Mdm),
        17 | 18 => (Platform::Ios, ManagementAgent::Mdm),
        _ => (
            Platform::AndroidEnterprise,
            ManagementAgent::GoogleCloudDevicePolicyController,
        ),
    };
    let (onboarded, foreign_org, sensor) = match mixed(number, 2, 40) {
        0..=27 => (true, false, SensorState::Active),
        28 | 29 => (true, false, SensorState::NoSensorData),
        30 => (true, false, SensorState::ImpairedCommunication),
        31 => (true, false, SensorState::NoSensorDataImpairedCommunication),
        32 => (true, false, SensorState::Inactive),
        33 => (true, true, SensorState::Active),
        34 => (false, false, SensorState::Active),
        _ => (false, false, SensorState::NeverOnboarded),
    };
    let is_risky = onboarded && !foreign_org;
    let risk = match mixed(number, 3, 30) {
        _ if !is_risky => Risk::NotReported,
        0 => Risk::High,
        1 | 2 => Risk::Medium,
        3..=6 => Risk::Low,
        7..=9 => Risk::Informational,
        _ => Risk::None,
    };
    let (compliance, threat_setting) = match (management_agent, risk, platform) {
        (ManagementAgent::MsSense, ..) => (Compliance::Unknown, ThreatSetting::NotAssigned),
        (ManagementAgent::ConfigurationManagerClient, ..) => {
            (Compliance::ConfigManager, ThreatSetting::NotAssigned)
        }
        (_, Risk::High, _) => (Compliance::Noncompliant, ThreatSetting::NonCompliant),
        (_, Risk::NotReported, _) => (Compliance::Compliant, ThreatSetting::MissingDataAllowed),
        (_, _, Platform::MacOs) => (Compliance::Compliant, ThreatSetting::NotAssigned),
        (_, Risk::Medium, _) if number.is_multiple_of(2) => {
            (Compliance::InGracePeriod, ThreatSetting::NonCompliant)
        }
        _ if number % 71 == 3 => (Compliance::Error, ThreatSetting::Error),
        _ => (Compliance::Compliant, ThreatSetting::Compliant),
    };
    Facets {
        platform,
        management_agent,
        onboarded,
        foreign_org,
        sensor,
        risk,
        compliance,
        threat_setting,
        ..Facets::default()
    }
}

fn name(number: usize, platform: Platform) -> String {
    let tail = mixed(number, 7, 36 * 36 * 36);
    match (number, platform) {
        (64, _) => HOSTILE.to_owned(),
        (65, _) => FORMULA.to_owned(),
        (66, _) => String::new(),
        (7, _) => "B\u{fc}ro 4, Empfang".to_owned(),
        (_, Platform::Windows) => format!("LAPTOP-{tail:05X}"),
        (_, Platform::WindowsServer) => format!("SRV-BUILD-{number:03}"),
        (_, Platform::Linux) => format!("web-{number:03}.example.test"),
        (_, Platform::MacOs) => format!("MacBook-{tail:04X}"),
        (_, Platform::Ios) => format!("iPhone of user{number}"),
        _ => format!("Pixel 9 of user{number}"),
    }
}

/// System, manufacturer, model and version.
fn hardware(platform: Platform) -> (&'static str, &'static str, &'static str, [u16; 4]) {
    match platform {
        Platform::MacOs => ("macOS", "Apple", "MacBook Pro", [26, 1, 0, 0]),
        Platform::Ios => ("iOS", "Apple", "iPhone 17", [26, 1, 0, 0]),
        Platform::Linux => (
            "Debian GNU/Linux",
            "Dell Inc.",
            "PowerEdge R660",
            [13, 2, 0, 0],
        ),
        Platform::AndroidEnterprise => ("Android", "Google", "Pixel 9", [16, 0, 0, 0]),
        Platform::WindowsServer => (
            "Windows Server 2025",
            "Dell Inc.",
            "PowerEdge R660",
            [10, 0, 26_100, 4_061],
        ),
        _ => (
            "Windows 11 Enterprise",
            "Dell Inc.",
            "Latitude 7450",
            [10, 0, 26_100, 4_061],
        ),
    }
}

/// A device of the fleet.
pub(in crate::tests) fn one(number: usize) -> Device {
    let facets = facets(number);
    let id: DeviceId = format!("7b1c4c9e-5c7f-4d0f-9a2e-{number:012x}")
        .parse()
        .unwrap();
    let last = NOW - u32::try_from(mixed(number, 5, 30_000)).unwrap();
    let onboarded = if facets.ever_onboarded() { last } else { 0 };
    let mut device = device();
    device.record = DeviceRecord {
        device_id: id,
        last_check_in: last,
        last_contact: onboarded,
        last_telemetry: onboarded,
        last_full_report: onboarded,
        flags: Flags::SENSOR_RUNNING
            | Flags::COMMAND_AND_CONTROL_OK
            | Flags::TELEMETRY_OK
            | Flags::REGISTERED,
        ..DeviceRecord::default()
    };
    device.cold.first_seen = NOW - 9_000_000;
    device.stale_since = (number == 8).then_some(NOW - 600);
    device.facets = facets;
    let (os_name, manufacturer, model, version) = hardware(facets.platform);
    device.inventory = Some(Inventory {
        device_id: id,
        revision: 3,
        os_version: Inventory::pack_version(version),
        owner: if number.is_multiple_of(3) {
            Owner::Personal
        } else {
            Owner::Company
        },
        device_name: name(number, facets.platform),
        os_name: os_name.to_owned(),
        model: model.to_owned(),
        manufacturer: manufacturer.to_owned(),
        serial_number: format!("ABC{number:04}"),
        user_principal_name: format!("user{number}@example.test"),
        tags: vec!["floor-4".to_owned()],
    });
    device
}

fn create(plane: &mut ControlPlane, key: Key, properties: Value) {
    let properties: Properties = properties
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .collect();
    apply(plane, Change::Create { key, properties });
}

fn apply(plane: &mut ControlPlane, change: Change) {
    let command = muster_control::Command {
        actor: muster_control::Actor::Local,
        address: None,
        at: Timestamp::from_seconds(NOW),
        tenant: TenantIndex(0),
        expected: Precondition::Nothing,
        rights: muster_control::Rights::local(),
        handling: Handling::Strict,
        change,
    };
    let entry = plane
        .decide(&command)
        .unwrap_or_else(|refusal| panic!("{refusal:?}"));
    plane.apply(&entry).unwrap();
}

/// The id of the token with this number.
pub(super) fn token_id(number: usize) -> muster_control::ObjectId {
    format!("7a0b1c2d-0000-4000-8000-{number:012x}")
        .parse()
        .unwrap()
}

/// Adds a token with a role.
pub(in crate::tests) fn add_token(fake: &Fake, number: usize, role: &str, secret: &str, days: u64) {
    let now = Timestamp::from_seconds(NOW);
    let request = TokenRequest {
        name: "Ada Lovelace",
        role,
        valid_days: days,
    };
    let control = fake.control.lock().unwrap().0.clone();
    let token = request
        .token(&control, TenantIndex(0), secret, now)
        .unwrap();
    let change = Change::Issue {
        id: token_id(number),
        token,
    };
    apply(&mut fake.control.lock().unwrap().0, change);
}

/// Removes it again.
pub(super) fn revoke_token(fake: &Fake, number: usize) {
    let key = Key::Token(token_id(number));
    apply(&mut fake.control.lock().unwrap().0, Change::Delete { key });
}

/// A server with the devices, a connector and a policy.
pub(in crate::tests) fn fleet() -> Fake {
    let fleet: Vec<Device> = (0..DEVICES).map(one).collect();
    let cells = fleet.iter().map(|device| Cell {
        tenant: TenantIndex(0),
        facets: device.facets,
        count: 1,
    });
    let fake = Fake {
        cells: cells.collect(),
        fleet,
        ..Fake::default()
    };
    let mut control = fake.control.lock().unwrap();
    let connector = json!({ "windowsEnabled": true, "windowsDeviceBlockedOnMissingPartnerData": true, "iosEnabled": true });
    create(&mut control.0, Key::Connector(DEFENDER), connector);
    let policy = json!({
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "Windows baseline",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": "medium",
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
    });
    create(&mut control.0, Key::Policy(token_id(0xf0)), policy);
    drop(control);
    fake
}
