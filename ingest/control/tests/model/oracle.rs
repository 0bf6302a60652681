//! The model: rows of JSON documents, searched from the first to the last.

use std::collections::BTreeSet;

use crate::commands::MEMBERS;
use muster_control::{
    ALL_DEVICES, Change, Command, DEFENDER, Entry, Key, ObjectId, Precondition, Properties,
    Refusal, Token,
};
use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{Connector, TenantIndex, TenantPolicy, Threshold};
use muster_wire::{DeviceId, Platform};
use serde_json::{Value, json};

/// The outcome of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(u32),
    Invalid(BTreeSet<(String, &'static str)>),
    Unknown,
    UnknownTenant,
    Exists,
    Stale(Option<u32>),
    BuiltIn,
    Limit,
    Unchanged,
    Unchangeable,
}

impl Outcome {
    pub(crate) fn of(decided: &Result<Entry, Refusal>) -> Self {
        match decided {
            Ok(entry) => Self::Done(entry.revision.0),
            Err(Refusal::Invalid(faults)) => {
                let faults = faults.listed().iter();
                Self::Invalid(
                    faults
                        .map(|fault| (fault.target.clone(), fault.kind.name()))
                        .collect(),
                )
            }
            Err(Refusal::Unknown { .. }) => Self::Unknown,
            Err(Refusal::UnknownTenant) => Self::UnknownTenant,
            Err(Refusal::Exists { .. }) => Self::Exists,
            Err(Refusal::Stale { current }) => Self::Stale(current.map(|etag| etag.revision().0)),
            Err(Refusal::BuiltIn { .. }) => Self::BuiltIn,
            Err(Refusal::Limit { .. }) => Self::Limit,
            Err(Refusal::Unchanged) => Self::Unchanged,
            Err(Refusal::Unchangeable { .. }) => Self::Unchangeable,
        }
    }
}

#[derive(Debug)]
struct Row {
    tenant: TenantIndex,
    key: Key,
    document: Properties,
    revision: u32,
    members: BTreeSet<DeviceId>,
    /// Of a token.
    secret: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    rows: Vec<Row>,
    /// Number of tenants ever created.
    created: u16,
    /// Every change: tenant, key, revision.
    changes: Vec<(TenantIndex, Key, u32)>,
}

/// A property: its name, its default, and its value in the one form that is shown, if it is allowed.
type Property = (&'static str, Value, fn(&Value) -> Option<Value>);

fn flag(value: &Value) -> Option<Value> {
    matches!(value, Value::Bool(_)).then(|| value.clone())
}

fn up_to<const MAX: u64>(value: &Value) -> Option<Value> {
    (1..=MAX).contains(&value.as_u64()?).then(|| value.clone())
}

fn name(value: &Value) -> Option<Value> {
    (1..=256)
        .contains(&value.as_str()?.chars().count())
        .then(|| value.clone())
}

fn description(value: &Value) -> Option<Value> {
    match value {
        Value::Null => Some(json!("")),
        Value::String(text) if text.chars().count() <= 1024 => Some(value.clone()),
        _ => None,
    }
}

fn level(value: &Value) -> Option<Value> {
    let text = value.as_str()?.to_lowercase();
    let known = ["unavailable", "secured", "low", "medium", "high"].contains(&text.as_str());
    match text.as_str() {
        "notset" => Some(json!("notSet")),
        _ => known.then(|| text.into()),
    }
}

fn assignments(value: &Value) -> Option<Value> {
    (*value == json!([]) || value[0].get("target").is_some()).then(|| value.clone())
}

fn properties(key: Key) -> Vec<Property> {
    match key {
        Key::Settings => vec![
            ("secureByDefault", json!(false), flag),
            (
                "deviceComplianceCheckinThresholdDays",
                json!(30),
                up_to::<120>,
            ),
            ("autoCreateDevices", json!(true), flag),
            ("sensorInactiveDays", json!(7), up_to::<180>),
            ("noSensorDataHours", json!(48), up_to::<720>),
            ("removedRetentionDays", json!(30), up_to::<3650>),
            ("profileRetentionDays", json!(180), up_to::<3650>),
        ],
        Key::Connector(_) => vec![
            ("androidEnabled", json!(false), flag),
            (
                "androidDeviceBlockedOnMissingPartnerData",
                json!(false),
                flag,
            ),
            ("iosEnabled", json!(false), flag),
            ("iosDeviceBlockedOnMissingPartnerData", json!(false), flag),
            ("windowsEnabled", json!(false), flag),
            (
                "windowsDeviceBlockedOnMissingPartnerData",
                json!(false),
                flag,
            ),
            (
                "partnerUnresponsivenessThresholdInDays",
                json!(7),
                up_to::<365>,
            ),
        ],
        Key::Policy(_) => vec![
            ("displayName", Value::Null, name),
            ("description", json!(""), description),
            ("deviceThreatProtectionEnabled", json!(false), flag),
            (
                "deviceThreatProtectionRequiredSecurityLevel",
                json!("unavailable"),
                level,
            ),
            ("assignments", json!([]), assignments),
        ],
        Key::Group(_) => vec![
            ("displayName", Value::Null, name),
            ("description", json!(""), description),
            ("mailEnabled", json!(false), |value| {
                (*value == json!(false)).then(|| value.clone())
            }),
            ("mailNickname", Value::Null, |value| {
                let text = value.as_str()?;
                (!text.contains(' ')).then(|| value.clone())
            }),
            ("securityEnabled", json!(true), |value| {
                (*value == json!(true)).then(|| value.clone())
            }),
            ("groupTypes", json!([]), |value| Some(value.clone())),
            ("membershipRule", Value::Null, |value| Some(value.clone())),
        ],
        Key::Device(_) | Key::Token(_) => Vec::new(),
        Key::Tenant => vec![
            ("name", Value::Null, |value| {
                (value != "T").then(|| value.clone())
            }),
            ("displayName", Value::Null, name),
        ],
    }
}

/// The document of an object before its first change.
fn initial(key: Key) -> Properties {
    let type_name = match key {
        Key::Settings => "deviceManagementSettings",
        Key::Connector(_) => "mobileThreatDefenseConnector",
        Key::Policy(_) => "",
        Key::Group(_) => "group",
        Key::Device(_) => "managedDevice",
        Key::Tenant => "tenant",
        Key::Token(_) => "token",
    };
    let mut document = Properties::new();
    document.insert(
        "@odata.type".into(),
        format!("#microsoft.graph.{type_name}").into(),
    );
    if let Some(id) = key.id() {
        document.insert("id".into(), id.to_string().into());
    }
    if matches!(key, Key::Policy(_)) {
        document.insert("version".into(), 1.into());
    }
    for (name, default, _) in properties(key) {
        document.insert(name.into(), default);
    }
    document
}

impl Oracle {
    fn row(&self, tenant: TenantIndex, key: Key) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.tenant == tenant && row.key == key)
    }

    /// The document of an object and the revision of its last change.
    pub(crate) fn document(&self, tenant: TenantIndex, key: Key) -> Option<(Properties, u32)> {
        self.row(tenant, Key::Tenant)?;
        if let Some(row) = self.row(tenant, key) {
            return Some((self.rows[row].document.clone(), self.rows[row].revision));
        }
        if key == Key::Settings {
            return Some((initial(key), 0));
        }
        let mut all = initial(key);
        all.insert("displayName".into(), "All devices".into());
        all.insert("mailNickname".into(), "all-devices".into());
        (key == Key::Group(ALL_DEVICES)).then_some((all, 0))
    }

    /// The index and name of each tenant.
    pub(crate) fn tenants(&self) -> Vec<(TenantIndex, String)> {
        let rows = self.rows.iter().filter(|row| row.key == Key::Tenant);
        let mut tenants: Vec<_> = rows
            .map(|row| {
                (
                    row.tenant,
                    row.document["name"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        tenants.sort();
        tenants
    }

    /// Creates, changes or deletes a tenant.
    fn change_tenant(&mut self, command: &Command) -> Outcome {
        let revision = self.changes.len() as u32 + 1;
        let creates = matches!(command.change, Change::Create { .. });
        let tenant = if creates {
            TenantIndex(self.created)
        } else {
            command.tenant
        };
        let current = self.document(tenant, Key::Tenant);
        let revision_now = current.as_ref().map(|(_, revision)| *revision);
        if is_stale(command.expected, revision_now) {
            return Outcome::Stale(revision_now);
        }
        let properties = match &command.change {
            Change::Create { properties, .. } | Change::Update { properties, .. } => properties,
            _ => {
                self.rows.retain(|row| row.tenant != tenant);
                self.changes.push((tenant, Key::Tenant, revision));
                return Outcome::Done(revision);
            }
        };
        let mut document = match merged(Key::Tenant, current.as_ref(), true, properties) {
            Ok(document) => document,
            Err(faults) => return Outcome::Invalid(faults),
        };
        if document["displayName"].is_null() {
            document["displayName"] = document["name"].clone();
        }
        let is_taken =
            |row: &Row| row.key == Key::Tenant && row.document["name"] == document["name"];
        match current {
            None if self.rows.iter().any(is_taken) => return Outcome::Exists,
            Some((current, _)) if current == document => return Outcome::Unchanged,
            _ => (),
        }
        self.created += u16::from(creates);
        self.write(tenant, Key::Tenant, document, revision)
    }

    pub(crate) fn members(&self, tenant: TenantIndex, group: ObjectId) -> Vec<DeviceId> {
        let row = self.row(tenant, Key::Group(group));
        row.map_or_else(Vec::new, |row| {
            self.rows[row].members.iter().copied().collect()
        })
    }

    pub(crate) fn history(&self, tenant: TenantIndex, key: Key) -> Vec<u32> {
        let of_it = self
            .changes
            .iter()
            .rev()
            .filter(|change| (change.0, change.1) == (tenant, key));
        of_it.map(|change| change.2).collect()
    }

    pub(crate) fn carry_out(&mut self, command: &Command) -> Outcome {
        let key = command.change.key();
        let tenant = command.tenant;
        let creates = matches!(command.change, Change::Create { .. }) && key == Key::Tenant;
        if !creates && self.row(tenant, Key::Tenant).is_none() {
            return Outcome::UnknownTenant;
        }
        if key == Key::Tenant {
            return self.change_tenant(command);
        }
        let current = self.document(tenant, key);
        if matches!(key, Key::Device(_)) {
            return self.act(command);
        }
        let deletes = matches!(command.change, Change::Delete { .. });
        if key == Key::Group(ALL_DEVICES) || key == Key::Settings && deletes {
            return Outcome::BuiltIn;
        }
        if let Change::Issue { token, .. } = &command.change {
            return self.issue(command, token, current);
        }
        if current.is_some() && matches!(command.change, Change::Create { .. }) {
            return Outcome::Exists;
        }
        if matches!(key, Key::Token(_)) && !deletes {
            return Outcome::Unchangeable;
        }
        let makes = matches!(
            command.change,
            Change::Create { .. } | Change::Replace { .. }
        );
        if current.is_none() && !makes {
            return Outcome::Unknown;
        }
        let revision_now = current.as_ref().map(|(_, revision)| *revision);
        if is_stale(command.expected, revision_now) {
            return Outcome::Stale(revision_now);
        }
        let revision = self.changes.len() as u32 + 1;
        let document = match &command.change {
            Change::Delete { .. } => return self.delete(tenant, key),
            Change::AddMembers { members, .. } => {
                return self.change_members(command, members, true, "members", BTreeSet::new());
            }
            Change::RemoveMembers { members, .. } => {
                return self.change_members(command, members, false, "members", BTreeSet::new());
            }
            Change::Device { .. } | Change::Issue { .. } => unreachable!("handled above"),
            Change::Create { properties, .. } | Change::Replace { properties, .. } => {
                merged(key, current.as_ref(), false, properties)
            }
            Change::Update { properties, .. }
                if matches!(key, Key::Group(_)) && properties.contains_key(MEMBERS) =>
            {
                return self.bind_members(command, properties);
            }
            Change::Update { properties, .. } => merged(key, current.as_ref(), true, properties),
        };
        let document = match document {
            Ok(document) => document,
            Err(faults) => return Outcome::Invalid(faults),
        };
        let same = |one: &Properties, other: &Properties| {
            let mut names = properties(key).into_iter().map(|(name, ..)| name);
            names.all(|name| one[name] == other[name])
        };
        if current.is_some_and(|(current, _)| same(&current, &document)) {
            return Outcome::Unchanged;
        }
        self.write(tenant, key, document, revision)
    }

    fn delete(&mut self, tenant: TenantIndex, key: Key) -> Outcome {
        let revision = self.changes.len() as u32 + 1;
        self.rows
            .retain(|row| (row.tenant, row.key) != (tenant, key));
        self.changes.push((tenant, key, revision));
        Outcome::Done(revision)
    }

    /// Makes a token, unless its id or its secret is taken, by whatever tenant.
    fn issue(
        &mut self,
        command: &Command,
        token: &Token,
        current: Option<(Properties, u32)>,
    ) -> Outcome {
        let key = command.change.key();
        let secret = json!(format!("{:?}", token.created_at));
        let is_taken = |row: &Row| matches!(row.key, Key::Token(_)) && row.secret == secret;
        if current.is_some() {
            return Outcome::Exists;
        }
        if is_stale(command.expected, None) {
            return Outcome::Stale(None);
        }
        if self.rows.iter().any(is_taken) {
            return Outcome::Exists;
        }
        let mut document = initial(key);
        document.insert("displayName".into(), token.display_name.as_str().into());
        document.insert("role".into(), token.role.name().into());
        let revision = self.changes.len() as u32 + 1;
        let outcome = self.write(command.tenant, key, document, revision);
        self.rows.last_mut().unwrap().secret = secret;
        outcome
    }

    /// A device is no object: all that can be done is to record an action.
    fn act(&mut self, command: &Command) -> Outcome {
        let revision = self.changes.len() as u32 + 1;
        if !matches!(command.change, Change::Device { .. }) {
            return Outcome::Unknown;
        }
        if command.expected != Precondition::Nothing {
            return Outcome::Stale(None);
        }
        let key = command.change.key();
        self.changes.push((command.tenant, key, revision));
        Outcome::Done(revision)
    }

    fn write(
        &mut self,
        tenant: TenantIndex,
        key: Key,
        document: Properties,
        revision: u32,
    ) -> Outcome {
        match self.row(tenant, key) {
            Some(row) => {
                self.rows[row].document = document;
                self.rows[row].revision = revision;
            }
            None => self.rows.push(Row {
                tenant,
                key,
                document,
                revision,
                members: BTreeSet::new(),
                secret: Value::Null,
            }),
        }
        self.changes.push((tenant, key, revision));
        Outcome::Done(revision)
    }

    /// A document that adds members: the last 36 characters of each URL are an id.
    fn bind_members(&mut self, command: &Command, sent: &Properties) -> Outcome {
        let mut faults = unknown_names(sent, &[MEMBERS]);
        let list = sent[MEMBERS].as_array().unwrap();
        // A place without an id has one that no device has and that is not repeated.
        let mut members = Vec::new();
        for (index, url) in list.iter().enumerate() {
            let url = url.as_str().unwrap();
            let id = url.len().checked_sub(36).map(|begin| &url[begin..]);
            members.push(match id {
                Some(id) => id.parse().unwrap(),
                None => {
                    faults.insert((format!("{MEMBERS}[{index}]"), "invalid"));
                    DeviceId::from_bytes([0xf0 + index as u8; 16])
                }
            });
        }
        self.change_members(command, &members, true, MEMBERS, faults)
    }

    fn change_members(
        &mut self,
        command: &Command,
        members: &[DeviceId],
        adds: bool,
        property: &str,
        mut faults: BTreeSet<(String, &'static str)>,
    ) -> Outcome {
        let key = command.change.key();
        let row = self.row(command.tenant, key).expect("it exists");
        if members.is_empty() {
            faults.insert((property.to_owned(), "invalid"));
        }
        for (index, member) in members.iter().enumerate() {
            let again = members[..index].contains(member);
            let is_member = self.rows[row].members.contains(member);
            if again || is_member == adds || member.is_zero() {
                faults.insert((format!("{property}[{index}]"), "invalid"));
            }
        }
        if !faults.is_empty() {
            return Outcome::Invalid(faults);
        }
        for member in members {
            let all = &mut self.rows[row].members;
            if adds {
                all.insert(*member);
            } else {
                all.remove(member);
            }
        }
        let revision = self.changes.len() as u32 + 1;
        self.rows[row].revision = revision;
        self.changes.push((command.tenant, key, revision));
        Outcome::Done(revision)
    }

    /// The policy of a tenant: each row of R2 and R3 for each platform.
    pub(crate) fn compiled(&self, tenant: TenantIndex) -> TenantPolicy {
        let Some((settings, _)) = self.document(tenant, Key::Settings) else {
            let mut none = TenantPolicy::default();
            none.auto_create_devices = false;
            return none;
        };
        let connector = self.document(tenant, Key::Connector(DEFENDER));
        let mut compiled = of_settings(&settings);
        let platforms: [(Platform, &str, &[&str]); 4] = [
            (Platform::Windows, "windows", &["windows10"]),
            (Platform::Ios, "ios", &["ios"]),
            (Platform::Android, "android", &["android"]),
            (
                Platform::AndroidEnterprise,
                "android",
                &["androidWorkProfile", "androidDeviceOwner"],
            ),
        ];
        for (platform, prefix, subclasses) in platforms {
            let switch = |suffix: &str| {
                let name = format!("{prefix}{suffix}");
                connector
                    .as_ref()
                    .is_some_and(|(connector, _)| connector[&name] == true)
            };
            let (mut assigned, mut thresholds) = (false, Vec::new());
            for row in self.rows.iter().filter(|row| row.tenant == tenant) {
                let is_of = |name: &&str| {
                    row.document["@odata.type"]
                        == format!("#microsoft.graph.{name}CompliancePolicy")
                };
                if !matches!(row.key, Key::Policy(_)) || !subclasses.iter().any(is_of) {
                    continue;
                }
                if row.document["assignments"] == json!([]) {
                    continue;
                }
                assigned = true;
                if row.document["deviceThreatProtectionEnabled"] == true {
                    let level = &row.document["deviceThreatProtectionRequiredSecurityLevel"];
                    thresholds.push(level.as_str().unwrap().to_owned());
                }
            }
            let levels = [
                ("secured", Threshold::Clear),
                ("low", Threshold::Low),
                ("medium", Threshold::Medium),
                ("high", Threshold::High),
            ];
            let lowest = levels
                .iter()
                .find(|(name, _)| thresholds.iter().any(|level| level == name));
            let threshold = lowest.map_or(Threshold::NotSet, |(_, level)| *level);
            compiled.change_platform(platform, |rules| {
                rules.policy_assigned = assigned;
                rules.threshold = threshold;
                rules.connector = match (&connector, switch("Enabled")) {
                    (None, _) => Connector::NotEnabled,
                    (Some(_), false) => Connector::PlatformToggleOff,
                    (Some(_), true) => Connector::Enabled,
                };
                rules.blocked_on_missing = switch("DeviceBlockedOnMissingPartnerData");
            });
        }
        compiled
    }
}

fn of_settings(settings: &Properties) -> TenantPolicy {
    let mut compiled = TenantPolicy::default();
    compiled.secure_by_default = settings["secureByDefault"] == true;
    compiled.auto_create_devices = settings["autoCreateDevices"] == true;
    let number = |name: &str| settings[name].as_u64().unwrap() as u32;
    compiled.sensor_limits = SensorLimits {
        inactive_seconds: number("sensorInactiveDays") * 86_400,
        no_sensor_data_seconds: number("noSensorDataHours") * 3_600,
    };
    compiled.validity_seconds = number("deviceComplianceCheckinThresholdDays") * 86_400;
    compiled.retention.removed_seconds = number("removedRetentionDays") * 86_400;
    compiled.retention.profile_seconds = number("profileRetentionDays") * 86_400;
    compiled
}

/// Whether an object with this revision, or no object, does not meet the precondition.
fn is_stale(expected: Precondition, revision: Option<u32>) -> bool {
    match expected {
        Precondition::Nothing => false,
        Precondition::Exists => revision.is_none(),
        Precondition::Is(etag) => revision != Some(etag.revision().0),
    }
}

/// The document with these properties, or their faults.
fn merged(
    key: Key,
    current: Option<&(Properties, u32)>,
    keeps: bool,
    sent: &Properties,
) -> Result<Properties, BTreeSet<(String, &'static str)>> {
    let mut faults = BTreeSet::new();
    let mut fault = |target: &str, kind| {
        faults.insert((target.to_owned(), kind));
    };
    let mut document = initial(key);
    let has = current.map(|(document, _)| document);
    if let (true, Some(has)) = (keeps, has) {
        document = has.clone();
    }
    if let Key::Policy(_) = key {
        if let Some(has) = has {
            document["version"] = (has["version"].as_u64().unwrap() + 1).into();
            document["@odata.type"] = has["@odata.type"].clone();
        }
        match (sent.get("@odata.type").and_then(Value::as_str), has) {
            (None, None) => fault("@odata.type", "missing"),
            (Some(name), None) if name.contains("macOS") => fault("@odata.type", "invalid"),
            (Some(name), None) => {
                let name = format!("#{}", name.trim_start_matches('#'));
                document["@odata.type"] = name.into();
            }
            (Some(name), Some(has)) => {
                let has = has["@odata.type"].as_str().unwrap();
                if has.trim_start_matches('#') != name.trim_start_matches('#') {
                    fault("@odata.type", "unchangeable");
                }
            }
            (None, Some(_)) => (),
        }
    }
    if matches!(key, Key::Connector(id) if id != DEFENDER) {
        fault("id", "invalid");
    }
    if let (Key::Tenant, Some(has)) = (key, has) {
        let sent = sent.get("name");
        if sent.is_some_and(|name| *name != "T" && *name != has["name"]) {
            fault("name", "unchangeable");
        }
    }
    for (name, _, allowed) in properties(key) {
        match sent.get(name) {
            None if required(key, name) && (has.is_none() || !keeps) => fault(name, "missing"),
            None => (),
            Some(value) => match allowed(value) {
                Some(value) => document[name] = value,
                None => fault(name, "invalid"),
            },
        }
    }
    let known: Vec<_> = properties(key).into_iter().map(|(name, ..)| name).collect();
    faults.extend(unknown_names(sent, &known));
    if faults.is_empty() {
        Ok(document)
    } else {
        Err(faults)
    }
}

/// The properties that a new object must have.
fn required(key: Key, name: &str) -> bool {
    match key {
        Key::Group(_) => [
            "displayName",
            "mailEnabled",
            "mailNickname",
            "securityEnabled",
        ]
        .contains(&name),
        Key::Tenant => name == "name",
        _ => name == "displayName",
    }
}

/// The faults of names that are neither known nor ignored.
fn unknown_names(sent: &Properties, known: &[&str]) -> BTreeSet<(String, &'static str)> {
    let ignored = ["id", "lastModifiedDateTime", "members@odata.context"];
    sent.keys()
        .filter(|name| !ignored.contains(&name.as_str()) && !known.contains(&name.as_str()))
        .filter(|name| *name != "@odata.type")
        .map(|name| (name.clone(), "unknownProperty"))
        .collect()
}
