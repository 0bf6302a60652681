//! A device as a `managedDevice`: its properties in one table, by which lists are filtered, sorted and shown.
//!
//! A row borrows from the device. Pure. Properties that Muster never sets are null, or "never" as Graph writes it.

use muster_control::{ControlPlane, DeviceProperties, Key, Object, OwnerType};
use muster_wire::{Flags, Owner, Platform};
use serde_json::{Map, Value as Json};

use crate::backend::Device;
use crate::graph::user::user_id;
use crate::odata::{Element, Kind, Members, Property, Row, Schema, Value, ticks_from_seconds};
use crate::times::{self, NEVER};

/// The type of a row.
pub(in crate::graph) const TYPE: &str = "#microsoft.graph.managedDevice";

/// [`NEVER`] in ticks.
pub(in crate::graph) const NEVER_TICKS: i64 = ticks_from_seconds(-62_135_596_800);

/// `complianceState`, in the order of [`muster_engine::Compliance::index`].
const COMPLIANCE: Members = Members::numbered(
    &[
        "unknown",
        "compliant",
        "noncompliant",
        "conflict",
        "error",
        "inGracePeriod",
        "configManager",
    ],
    &[0, 1, 2, 3, 4, 254, 255],
);

/// `managementAgent`, in the order of [`muster_wire::ManagementAgent::index`].
const AGENT: Members = Members::numbered(
    &[
        "eas",
        "mdm",
        "easMdm",
        "intuneClient",
        "easIntuneClient",
        "configurationManagerClient",
        "configurationManagerClientMdm",
        "configurationManagerClientMdmEas",
        "unknown",
        "jamf",
        "googleCloudDevicePolicyController",
        "msSense",
        "microsoft365ManagedMdm",
    ],
    &[1, 2, 3, 4, 5, 8, 10, 11, 16, 32, 64, 1024, 258],
);

/// `partnerReportedThreatState`, in the order of [`muster_wire::PartnerThreatState::index`].
const PARTNER: Members = Members::new(&[
    "unknown",
    "activated",
    "deactivated",
    "secured",
    "lowSeverity",
    "mediumSeverity",
    "highSeverity",
    "unresponsive",
    "compromised",
    "misconfigured",
]);

/// `managedDeviceOwnerType`, in the order of [`Owner::index`].
const OWNER: Members = Members::new(&["unknown", "company", "personal"]);

/// `deviceRegistrationState`: the two that check-ins tell.
const REGISTRATION: Members = Members::numbered(&["notRegistered", "registered"], &[0, 2]);

/// `managementState`.
const MANAGEMENT: Members = Members::numbered(&["managed"], &[0]);

/// `deviceEnrollmentType`, which check-ins do not tell.
const ENROLLMENT: Members = Members::numbered(&["unknown"], &[0]);

/// `exchangeAccessState`, which check-ins do not tell.
const EXCHANGE: Members = Members::numbered(&["none"], &[0]);

/// A device as a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::graph) struct DeviceRow<'a> {
    device: &'a Device,
    /// What of its values is in neither record nor inventory.
    more: &'a Formatted,
}

/// What a row borrows that is not in the device.
#[derive(Debug, Default)]
pub(in crate::graph) struct Formatted {
    /// The version of its system as text; empty if it is unknown.
    os_version: String,
    /// What operators have set on it; `None` if nothing.
    set: Option<DeviceProperties>,
    /// Its scope tags, as a list.
    tags: Json,
}

impl Formatted {
    /// The version of its system as text; empty if it is unknown.
    pub(in crate::graph) fn os_version(&self) -> &str {
        &self.os_version
    }

    pub(in crate::graph) fn of(device: &Device, control: &ControlPlane) -> Self {
        let key = Key::Device(device.record.device_id);
        let known = device.inventory.as_ref();
        let version = known.map_or(0, |known| known.os_version);
        let parts = [48, 32, 16, 0].map(|shift| (version >> shift) & 0xffff);
        let [major, minor, build, revision] = parts;
        let tags = control.tags_of_targets(device.record.tenant, &device.targets);
        Self {
            os_version: match version {
                0 => String::new(),
                _ => format!("{major}.{minor}.{build}.{revision}"),
            },
            set: match control.object(device.record.tenant, key) {
                Some((Object::Device(set), _)) => Some(set),
                _ => None,
            },
            tags: tags.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Declares the properties: name, kind, uses, value.
macro_rules! properties {
    ($($name:literal $kind:expr, [$($use:ident)*] => $value:expr;)+) => {
        const PROPERTIES: &[Property] = &[$(Property::new($name, $kind)$(.$use())*),+];
        const VALUES: &[for<'a> fn(&DeviceRow<'a>) -> Value<'a>] = &[$($value),+];
    };
}

properties! {
    "id" Kind::Text, [filterable orderable] => |row| Value::Guid(row.device.record.device_id.to_bytes());
    "userId" Kind::Text, [filterable] => |row| row.user_id();
    "deviceName" Kind::Text, [filterable orderable searchable] => |row| row.name();
    "managedDeviceOwnerType" Kind::Enum(&OWNER), [filterable orderable] => |row| Value::Member(row.owner().index() as u8);
    "managementState" Kind::Enum(&MANAGEMENT), [filterable orderable] => |_| Value::Member(0);
    "enrolledDateTime" Kind::Date, [filterable orderable] => |row| date(row.device.cold.first_seen);
    "lastSyncDateTime" Kind::Date, [filterable orderable] => |row| date(row.device.record.last_check_in);
    "operatingSystem" Kind::Text, [filterable orderable] => |row| Value::Text(system(row.device.facets.platform));
    "osVersion" Kind::Text, [filterable orderable] => |row| text(&row.more.os_version);
    "complianceState" Kind::Enum(&COMPLIANCE), [filterable orderable] =>
        |row| Value::Member(row.device.facets.compliance.index() as u8);
    "complianceGracePeriodExpirationDateTime" Kind::Date, [filterable orderable] => |_| Value::Date(NEVER_TICKS);
    "jailBroken" Kind::Text, [filterable orderable] => |row| Value::Text(row.jail_broken());
    "managementAgent" Kind::Enum(&AGENT), [filterable orderable] =>
        |row| Value::Member(row.device.facets.management_agent.index() as u8);
    "azureADRegistered" Kind::Boolean, [filterable] => |row| Value::Boolean(row.has(Flags::REGISTERED));
    "azureADDeviceId" Kind::Text, [filterable] => |row| Value::Guid(row.device.record.device_id.to_bytes());
    "deviceEnrollmentType" Kind::Enum(&ENROLLMENT), [filterable] => |_| Value::Member(0);
    "deviceRegistrationState" Kind::Enum(&REGISTRATION), [filterable orderable] =>
        |row| Value::Member(row.has(Flags::REGISTERED).into());
    "deviceCategoryDisplayName" Kind::Text, [filterable] => |_| Value::Text("Unknown");
    "isSupervised" Kind::Boolean, [filterable orderable] => |row| Value::Boolean(row.has(Flags::SUPERVISED));
    "isEncrypted" Kind::Boolean, [filterable orderable] => |row| Value::Boolean(row.has(Flags::ENCRYPTED));
    "userPrincipalName" Kind::Text, [filterable orderable searchable] => |row| row.text(|known| &known.user_principal_name);
    "userDisplayName" Kind::Text, [] => |_| Value::Null;
    "emailAddress" Kind::Text, [] => |_| Value::Null;
    "model" Kind::Text, [filterable orderable searchable] => |row| row.text(|known| &known.model);
    "manufacturer" Kind::Text, [filterable orderable searchable] => |row| row.text(|known| &known.manufacturer);
    "serialNumber" Kind::Text, [filterable orderable searchable] => |row| row.text(|known| &known.serial_number);
    "imei" Kind::Text, [] => |_| Value::Null;
    "partnerReportedThreatState" Kind::Enum(&PARTNER), [filterable orderable] =>
        |row| Value::Member(row.device.facets.partner_threat.index() as u8);
    "exchangeAccessState" Kind::Enum(&EXCHANGE), [filterable] => |_| Value::Member(0);
    "managedDeviceName" Kind::Text, [filterable] => |row| match row.set(|set| set.managed_device_name.as_str()) {
        Value::Null => row.name(),
        name => name,
    };
    "enrollmentProfileName" Kind::Text, [] => |_| Value::Null;
    "totalStorageSpaceInBytes" Kind::Int, [] => |_| Value::Int(0);
    "freeStorageSpaceInBytes" Kind::Int, [] => |_| Value::Int(0);
    "physicalMemoryInBytes" Kind::Int, [] => |_| Value::Int(0);
    "managementCertificateExpirationDate" Kind::Date, [] => |_| Value::Date(NEVER_TICKS);
    "notes" Kind::Text, [filterable] => |row| row.set(|set| set.notes.as_str());
    // A list: see `any`.
    "roleScopeTagIds" Kind::Collection(&Kind::Text), [filterable] => |_| Value::Null;
}

/// The type of a managed device.
pub(in crate::graph) const SCHEMA: Schema = Schema {
    name: "microsoft.graph.managedDevice",
    properties: PROPERTIES,
    subtypes: &[],
};

impl<'a> DeviceRow<'a> {
    pub(in crate::graph) fn new(device: &'a Device, formatted: &'a Formatted) -> Self {
        Self {
            device,
            more: formatted,
        }
    }

    /// A text of the inventory; null if it is unknown.
    fn text(&self, of: impl Fn(&'a muster_wire::Inventory) -> &'a String) -> Value<'a> {
        let device = self.device;
        device
            .inventory
            .as_ref()
            .map_or(Value::Null, |known| text(of(known)))
    }

    /// The name; until the inventory tells it, the id, because clients expect a name.
    fn name(&self) -> Value<'a> {
        match self.text(|known| &known.device_name) {
            Value::Null => Value::Guid(self.device.record.device_id.to_bytes()),
            name => name,
        }
    }

    /// The id of the user whom the inventory names.
    fn user_id(&self) -> Value<'a> {
        let tenant = self.device.record.tenant;
        match self.text(|known| &known.user_principal_name) {
            Value::Text(name) => Value::Guid(*user_id(tenant, name).as_bytes()),
            _ => Value::Null,
        }
    }

    /// A text that operators have set; null if it is empty.
    fn set(&self, of: impl Fn(&'a DeviceProperties) -> &'a str) -> Value<'a> {
        self.more
            .set
            .as_ref()
            .map_or(Value::Null, |set| text(of(set)))
    }

    fn owner(&self) -> Owner {
        match self.more.set.as_ref().map(|set| set.owner_type) {
            Some(OwnerType::Company) => return Owner::Company,
            Some(OwnerType::Personal) => return Owner::Personal,
            Some(OwnerType::Unknown) | None => (),
        }
        let known = self.device.inventory.as_ref();
        known.map_or(Owner::Unknown, |known| known.owner)
    }

    fn has(&self, flag: Flags) -> bool {
        self.device.record.flags.contains(flag)
    }

    /// `True`, `False` or `Unknown`: a text in Graph. Only phones report it.
    fn jail_broken(&self) -> &'static str {
        match self.device.facets.platform {
            _ if self.has(Flags::JAILBROKEN) => "True",
            Platform::Ios | Platform::Android | Platform::AndroidEnterprise => "False",
            _ => "Unknown",
        }
    }

    /// The document of the device.
    pub(in crate::graph) fn document(&self) -> Json {
        let mut document = Map::with_capacity(PROPERTIES.len() + 1);
        document.insert("@odata.type".to_owned(), TYPE.into());
        for (property, value) in PROPERTIES.iter().zip(VALUES) {
            let value = match property.kind {
                Kind::Collection(_) => self.more.tags.clone(),
                kind => json(value(self), kind),
            };
            document.insert(property.name.to_owned(), value);
        }
        Json::Object(document)
    }
}

impl Row for DeviceRow<'_> {
    fn value(&self, property: usize) -> Value<'_> {
        VALUES[property](self)
    }

    fn any(&self, property: usize, test: &mut dyn FnMut(&dyn Row) -> bool) -> bool {
        let is_list = matches!(PROPERTIES[property].kind, Kind::Collection(_));
        let mut tags = self.more.tags.as_array().into_iter().flatten();
        is_list
            && tags.any(|tag| {
                tag.as_str()
                    .is_some_and(|tag| test(&Element(Value::Text(tag))))
            })
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
        0 => Value::Date(NEVER_TICKS),
        seconds => Value::Date(ticks_from_seconds(seconds.into())),
    }
}

/// `operatingSystem`. Check-ins distinguish the modes of Android and Windows Server, and Graph does not.
pub(in crate::graph) const fn system(platform: Platform) -> &'static str {
    match platform {
        Platform::Unknown => "Unknown",
        Platform::Windows => "Windows",
        Platform::WindowsServer => "Windows Server",
        Platform::MacOs => "macOS",
        Platform::Linux => "Linux",
        Platform::Ios => "iOS",
        Platform::Android | Platform::AndroidEnterprise => "Android",
        Platform::Other => "Other",
    }
}

/// A value as JSON.
pub(in crate::graph) fn json(value: Value<'_>, kind: Kind) -> Json {
    match (value, kind) {
        (Value::Boolean(value), _) => value.into(),
        (Value::Int(value), _) => value.into(),
        (Value::Text(text), _) => text.into(),
        (Value::Member(index), Kind::Enum(members)) => members.names()[usize::from(index)].into(),
        (Value::Date(NEVER_TICKS), _) => NEVER.into(),
        (Value::Date(ticks), _) => {
            let seconds = u32::try_from(ticks / ticks_from_seconds(1)).ok();
            seconds.and_then(times::seconds).into()
        }
        (Value::Guid(bytes), _) => muster_wire::DeviceId::from_bytes(bytes).to_string().into(),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use muster_engine::Compliance;
    use muster_wire::{ManagementAgent, PartnerThreatState};

    use super::*;

    /// The order of the members is that of the codes in check-ins.
    #[test]
    fn the_members_are_those_of_the_engine() {
        let names = |members: &Members, expected: Vec<&str>| {
            assert_eq!(members.names(), expected);
        };
        names(
            &COMPLIANCE,
            Compliance::ALL.iter().map(|state| state.name()).collect(),
        );
        names(
            &AGENT,
            ManagementAgent::ALL
                .iter()
                .map(|agent| agent.name())
                .collect(),
        );
        names(
            &PARTNER,
            PartnerThreatState::ALL
                .iter()
                .map(|state| state.name())
                .collect(),
        );
        names(
            &OWNER,
            Owner::ALL.iter().map(|owner| owner.name()).collect(),
        );
    }

    #[test]
    fn a_date_that_never_was_is_the_first_of_graph() {
        assert_eq!(json(date(0), Kind::Date), NEVER);
        assert_eq!(
            json(date(1_767_225_600), Kind::Date),
            "2026-01-01T00:00:00Z"
        );
    }
}
