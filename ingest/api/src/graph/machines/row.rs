//! A device as a machine of Defender: its properties in one table, by which lists are filtered and shown.
//!
//! A row borrows from the device, so filtering allocates nothing. Pure. What check-ins and inventories do not tell is
//! null if Defender's filters have it, and absent otherwise.

use muster_engine::Facets;
use muster_wire::Platform;
use serde_json::{Map, Value as Json};

use crate::backend::Device;
use crate::graph::devices::projection::Projection;
use crate::graph::devices::row::{Formatted, json};
use crate::odata::{Element, Kind, Members, Property, Row, Schema, Value, ticks_from_seconds};

/// `healthStatus`, in the order of [`muster_engine::SensorState::index`] after the state of a sensor that was never
/// onboarded, which is null.
const HEALTH: Members = Members::new(&[
    "Inactive",
    "NoSensorDataImpairedCommunication",
    "ImpairedCommunication",
    "NoSensorData",
    "Unknown",
    "Active",
]);

/// `onboardingStatus`, in the order of [`muster_engine::OnboardingStatus::index`].
const ONBOARDING: Members = Members::new(&[
    "onboarded",
    "CanBeOnboarded",
    "Unsupported",
    "InsufficientInfo",
]);

/// `riskScore`, in the order of [`muster_wire::Risk::index`] after the one that is not reported, which is null.
const RISK: Members = Members::new(&["None", "Informational", "Low", "Medium", "High"]);

/// `exposureLevel`, which check-ins do not tell.
const EXPOSURE: Members = Members::new(&["None", "Low", "Medium", "High"]);

/// `deviceValue`, which nobody sets.
const DEVICE_VALUE: Members = Members::new(&["Normal", "Low", "High"]);

/// `managedBy`, in the order of [`muster_engine::ManagedBy::index`].
const MANAGED_BY: Members =
    Members::new(&["Unknown", "Intune", "ConfigMgr", "MDE", "Jamf", "Google"]);

/// The releases of Windows by build, as Defender names them. A build that is not here has no name.
const WINDOWS: &[(u16, &str)] = &[
    (10_240, "1507"),
    (10_586, "1511"),
    (14_393, "1607"),
    (15_063, "1703"),
    (16_299, "1709"),
    (17_134, "1803"),
    (17_763, "1809"),
    (18_362, "1903"),
    (18_363, "1909"),
    (19_041, "2004"),
    (19_042, "20H2"),
    (19_043, "21H1"),
    (19_044, "21H2"),
    (19_045, "22H2"),
    (20_348, "21H2"),
    (22_000, "21H2"),
    (22_621, "22H2"),
    (22_631, "23H2"),
    (26_100, "24H2"),
    (26_200, "25H2"),
];

/// A device as a machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachineRow<'a> {
    device: &'a Device,
    formatted: &'a Formatted,
}

/// Devices as machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machines;

/// Where a value comes from.
enum Source {
    /// The facets alone.
    Facets(fn(&Facets) -> Value<'static>),
    /// The record and the inventory.
    Device(for<'a> fn(&MachineRow<'a>) -> Value<'a>),
}

use Source::{Device as Of, Facets as By};

/// Declares the properties: name, kind, whether a filter may use it, value.
macro_rules! properties {
    ($($name:literal $kind:expr, [$($use:ident)*] => $value:expr;)+) => {
        const PROPERTIES: &[Property] = &[$(Property::new($name, $kind)$(.$use())*),+];
        const SOURCES: &[Source] = &[$($value),+];
    };
}

properties! {
    "id" Kind::Text, [filterable] => Of(|row| Value::Guid(row.device.record.device_id.to_bytes()));
    "computerDnsName" Kind::Text, [filterable] => Of(|row| row.name());
    "firstSeen" Kind::Date, [filterable] => Of(|row| date(row.device.cold.first_seen));
    "lastSeen" Kind::Date, [filterable] => Of(|row| date(row.device.record.last_full_report));
    "osPlatform" Kind::Text, [filterable] => Of(|row| Value::Text(row.os_platform()));
    "version" Kind::Text, [filterable] => Of(|row| row.version());
    "osBuild" Kind::Int, [filterable] => Of(|row| row.build().map_or(Value::Null, |build| Value::Int(build.into())));
    "lastIpAddress" Kind::Text, [filterable] => Of(|_| Value::Null);
    "lastExternalIpAddress" Kind::Text, [] => Of(|_| Value::Null);
    "healthStatus" Kind::Enum(&HEALTH), [filterable] => By(|facets| after_null(facets.sensor.index() as u8));
    "onboardingStatus" Kind::Enum(&ONBOARDING), [filterable] =>
        By(|facets| Value::Member(facets.onboarding_status().index() as u8));
    "rbacGroupId" Kind::Int, [filterable] => Of(|_| Value::Null);
    "rbacGroupName" Kind::Text, [] => Of(|_| Value::Null);
    "riskScore" Kind::Enum(&RISK), [filterable] => By(|facets| after_null(facets.risk.index() as u8));
    "exposureLevel" Kind::Enum(&EXPOSURE), [filterable] => Of(|_| Value::Null);
    "deviceValue" Kind::Enum(&DEVICE_VALUE), [filterable] => Of(|_| Value::Null);
    "aadDeviceId" Kind::Text, [filterable] => Of(|row| Value::Guid(row.device.record.device_id.to_bytes()));
    "machineTags" Kind::Collection(&Kind::Text), [filterable] => Of(|_| Value::Null);
    "managedBy" Kind::Enum(&MANAGED_BY), [filterable] => By(|facets| Value::Member(facets.managed_by().index() as u8));
}

/// The type of a machine.
pub(super) const SCHEMA: Schema = Schema {
    name: "microsoft.windowsDefenderATP.api.Machine",
    properties: PROPERTIES,
    subtypes: &[],
};

const TAGS: &str = "machineTags";

impl<'a> MachineRow<'a> {
    pub(super) fn new(device: &'a Device, formatted: &'a Formatted) -> Self {
        Self { device, formatted }
    }

    fn name(&self) -> Value<'a> {
        let known = self.device.inventory.as_ref();
        let name = known.map_or("", |known| known.device_name.as_str());
        text(name)
    }

    /// The build of Windows.
    fn build(&self) -> Option<u16> {
        let is_windows = matches!(
            self.device.facets.platform,
            Platform::Windows | Platform::WindowsServer
        );
        let version = self.device.inventory.as_ref()?.os_version;
        let build = (version >> 16 & 0xffff) as u16;
        Some(build).filter(|build| is_windows && *build > 0)
    }

    /// The system as Defender names it. Without an inventory the release of Windows is not known.
    fn os_platform(&self) -> &'static str {
        let build = self.build();
        match (self.device.facets.platform, build.unwrap_or_default()) {
            (Platform::Windows, 22_000..) => "Windows11",
            (Platform::Windows, 10_240..) => "Windows10",
            (Platform::Windows, _) => "Windows",
            (Platform::WindowsServer, 26_100..) => "WindowsServer2025",
            (Platform::WindowsServer, 20_348..) => "WindowsServer2022",
            (Platform::WindowsServer, 17_763..) => "WindowsServer2019",
            (Platform::WindowsServer, 14_393..) => "WindowsServer2016",
            (Platform::WindowsServer, 9_600) => "WindowsServer2012R2",
            (Platform::WindowsServer, _) => "WindowsServer",
            (Platform::MacOs, _) => "macOS",
            (Platform::Linux, _) => "Linux",
            (Platform::Ios, _) => "iOS",
            (Platform::Android | Platform::AndroidEnterprise, _) => "Android",
            (Platform::Other, _) => "Other",
            (Platform::Unknown, _) => "Unknown",
        }
    }

    /// The release of Windows, or the version of another system.
    fn version(&self) -> Value<'a> {
        match self.device.facets.platform {
            Platform::Windows | Platform::WindowsServer => {
                let build = self.build();
                let release = WINDOWS.iter().find(|(known, _)| Some(*known) == build);
                release.map_or(Value::Null, |(_, name)| Value::Text(name))
            }
            _ => text(self.formatted.os_version()),
        }
    }

    fn tags(&self) -> &'a [String] {
        let known = self.device.inventory.as_ref();
        known.map_or(&[], |known| &known.tags)
    }

    /// The document of the machine.
    pub(super) fn document(&self) -> Json {
        let mut document = Map::with_capacity(PROPERTIES.len());
        for (index, property) in PROPERTIES.iter().enumerate() {
            let value = match property.name {
                TAGS => self.tags().into(),
                _ => json(self.value(index), property.kind),
            };
            document.insert(property.name.to_owned(), value);
        }
        Json::Object(document)
    }
}

impl Row for MachineRow<'_> {
    fn value(&self, property: usize) -> Value<'_> {
        match &SOURCES[property] {
            By(of) => of(&self.device.facets),
            Of(of) => of(self),
        }
    }

    fn any(&self, property: usize, test: &mut dyn FnMut(&dyn Row) -> bool) -> bool {
        let tags = match PROPERTIES[property].name {
            TAGS => self.tags(),
            _ => &[],
        };
        tags.iter().any(|tag| test(&Element(Value::Text(tag))))
    }
}

impl Projection for Machines {
    type Row<'d> = MachineRow<'d>;

    fn row<'d>(self, device: &'d Device, formatted: &'d Formatted) -> MachineRow<'d> {
        MachineRow::new(device, formatted)
    }

    fn facet_properties(self) -> Vec<usize> {
        let all = SOURCES.iter().enumerate();
        let mine = all.filter(|(_, source)| matches!(source, By(_)));
        mine.map(|(index, _)| index).collect()
    }

    fn facet_value(self, facets: &Facets, property: usize) -> Value<'static> {
        match &SOURCES[property] {
            By(of) => of(facets),
            Of(_) => Value::Null,
        }
    }
}

fn text(text: &str) -> Value<'_> {
    match text {
        "" => Value::Null,
        text => Value::Text(text),
    }
}

fn date(seconds: u32) -> Value<'static> {
    match seconds {
        0 => Value::Null,
        seconds => Value::Date(ticks_from_seconds(seconds.into())),
    }
}

/// A member of an enum whose first value is null in Defender.
fn after_null(index: u8) -> Value<'static> {
    index.checked_sub(1).map_or(Value::Null, Value::Member)
}

#[cfg(test)]
mod tests {
    use muster_engine::{ManagedBy, OnboardingStatus, SensorState};
    use muster_wire::Risk;

    use super::*;

    /// The order of the members is that of the engine.
    #[test]
    fn the_members_are_those_of_the_engine() {
        let same = |members: &Members, expected: &[&str]| {
            let names = members.names();
            assert_eq!(names.len(), expected.len());
            for (name, expected) in names.iter().zip(expected) {
                assert!(name.eq_ignore_ascii_case(expected), "{name} {expected}");
            }
        };
        let sensors: Vec<_> = SensorState::ALL.iter().map(|state| state.name()).collect();
        same(&HEALTH, &sensors[1..]);
        let risks: Vec<_> = Risk::ALL.iter().map(|risk| risk.name()).collect();
        same(&RISK, &risks[1..]);
        let onboarding: Vec<_> = OnboardingStatus::ALL.iter().map(|one| one.name()).collect();
        same(&ONBOARDING, &onboarding);
        let managers: Vec<_> = ManagedBy::ALL.iter().map(|one| one.name()).collect();
        same(&MANAGED_BY, &managers);
    }
}
