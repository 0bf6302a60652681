//! The model: rows of JSON documents, searched from the first to the last.

use std::collections::BTreeSet;

use crate::commands::MEMBERS;
use muster_control::{
    ALL_DEVICES, BuiltInRole, Change, Command, DEFENDER, Entry, Handling, Key, ObjectId,
    Precondition, Properties, Refusal, ScopeTagId, Token,
};
use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{Connector, DeviceRules, TenantIndex, TenantPolicy, Threshold};
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
    InUse,
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
            Err(Refusal::InUse { .. }) => Self::InUse,
            Err(Refusal::Forbidden { .. } | Refusal::UnknownMembers(_)) => {
                panic!("programs on the machine may do everything")
            }
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

/// What a policy may require: name, default, the subclasses without it. Only the last is not evaluated.
pub(crate) const fn requirements() -> [(&'static str, Value, &'static str); 4] {
    [
        ("osMinimumVersion", Value::Null, ""),
        ("osMaximumVersion", Value::Null, ""),
        ("storageRequireEncryption", Value::Bool(false), "ios"),
        (NOT_EVALUATED, Value::Null, "ios"),
    ]
}

const NOT_EVALUATED: &str = "passwordMinimumLength";

/// The number of a version with at most two parts.
fn version(value: &Value) -> Option<u64> {
    let (major, minor) = value.as_str()?.split_once('.')?;
    Some(major.parse::<u64>().unwrap() << 48 | minor.parse::<u64>().unwrap() << 32)
}

/// Whether the bounds of the version leave none.
fn contradicts(document: &Properties) -> bool {
    let bound = |name: &str| document.get(name).and_then(version);
    let both = bound("osMinimumVersion").zip(bound("osMaximumVersion"));
    both.is_some_and(|(minimum, maximum)| minimum > maximum)
}

/// Whether a type of policies publishes a requirement.
fn publishes(of_type: &Value, without: &str) -> bool {
    without.is_empty() || !of_type.as_str().unwrap().contains(without)
}

/// Assignments as they are shown, for the policy with this id; or the fault.
fn assignments(id: &str, value: &Value) -> Result<Value, &'static str> {
    if *value == json!([{}]) {
        return Err("assignments[0].target");
    }
    let row = |assignment: &Value| {
        let target = &assignment["target"];
        let name = target["@odata.type"].as_str().unwrap();
        let group = match name {
            "#microsoft.graph.allDevicesAssignmentTarget" => ALL_DEVICES.to_string(),
            _ => "acacacac-9df4-4c7d-9d50-4ef0226f57a9".to_owned(),
        };
        let mode = target.get(FILTER_TYPE).cloned().unwrap_or("none".into());
        json!({ "id": format!("{id}_{group}"), "target": {
            "@odata.type": name, FILTER_ID: target[FILTER_ID], FILTER_TYPE: mode,
        }})
    };
    Ok(value.as_array().unwrap().iter().map(row).collect())
}

const FILTER_ID: &str = "deviceAndAppManagementAssignmentFilterId";
const FILTER_TYPE: &str = "deviceAndAppManagementAssignmentFilterType";

/// Why each assignment is not evaluated, if it is not.
fn unevaluated(assignments: &Value) -> Vec<Option<&'static str>> {
    let reason = |row: &Value| match row["target"]["@odata.type"].as_str() {
        Some("#microsoft.graph.allLicensedUsersAssignmentTarget") => {
            Some("assignments/allLicensedUsersAssignmentTarget")
        }
        _ if !row["target"][FILTER_ID].is_null() => {
            Some("assignments/deviceAndAppManagementAssignmentFilterId")
        }
        _ => None,
    };
    assignments.as_array().unwrap().iter().map(reason).collect()
}

/// The places of assignments that are not evaluated and that the policy does not have.
fn newly_unevaluated(assignments: &Value, current: &Value) -> Vec<String> {
    let reasons = unevaluated(assignments).into_iter().enumerate();
    let is_new = |index: &usize| !current.as_array().unwrap().contains(&assignments[index]);
    let places = reasons.filter_map(|(index, reason)| reason.map(|_| index));
    let places = places.filter(is_new);
    places
        .map(|index| format!("assignments[{index}].target"))
        .collect()
}

/// Scheduled actions as they are shown, for the policy with this id; `None` without a block action.
fn actions(id: &str, value: &Value) -> Option<Value> {
    let sent = value[0]["scheduledActionConfigurations"]
        .as_array()
        .unwrap();
    let mut shown = Vec::new();
    for (place, action) in (1..).zip(sent) {
        let begin = u64::from_str_radix(&id[..8], 16).unwrap() + place;
        let is_block = action["actionType"] == "Block";
        shown.push(json!({
            "id": format!("{begin:08x}{}", &id[8..]),
            "actionType": if is_block { "block" } else { "pushNotification" },
            "gracePeriodHours": if is_block { 24 } else { 0 },
            "notificationTemplateId": "00000000-0000-0000-0000-000000000000",
            "notificationMessageCCList": [],
        }));
    }
    let has_block = shown.iter().any(|action| action["actionType"] == "block");
    has_block
        .then(|| json!([{ "id": id, "ruleName": null, "scheduledActionConfigurations": shown }]))
}

/// What is stored in the document of a policy and not evaluated.
fn not_evaluated(document: &Properties) -> Vec<&'static str> {
    let mut names = Vec::new();
    if document["@odata.type"] == "#microsoft.graph.macOSCompliancePolicy" {
        if document["deviceThreatProtectionEnabled"] == true {
            names.push("deviceThreatProtectionEnabled");
        }
        let level = &document["deviceThreatProtectionRequiredSecurityLevel"];
        if level != "unavailable" && level != "notSet" {
            names.push("deviceThreatProtectionRequiredSecurityLevel");
        }
    }
    if document
        .get(NOT_EVALUATED)
        .is_some_and(|value| *value != Value::Null)
    {
        names.push(NOT_EVALUATED);
    }
    let reasons = unevaluated(&document["assignments"]).into_iter();
    let mut reasons: Vec<_> = reasons.flatten().collect();
    reasons.sort_unstable();
    names.extend(reasons);
    names
}

fn connector_properties() -> Vec<Property> {
    let mut all: Vec<Property> = [
        "androidEnabled",
        "androidDeviceBlockedOnMissingPartnerData",
        "androidMobileApplicationManagementEnabled",
        "iosEnabled",
        "iosDeviceBlockedOnMissingPartnerData",
        "iosMobileApplicationManagementEnabled",
        "windowsEnabled",
        "windowsDeviceBlockedOnMissingPartnerData",
        "windowsMobileApplicationManagementEnabled",
        "macEnabled",
        "macDeviceBlockedOnMissingPartnerData",
        "partnerUnsupportedOsVersionBlocked",
        "allowPartnerToCollectIOSApplicationMetadata",
        "allowPartnerToCollectIOSPersonalApplicationMetadata",
        "allowPartnerToCollectIosCertificateMetadata",
        "allowPartnerToCollectIosPersonalCertificateMetadata",
        "grantMobileThreatDefensePartnerRole",
        "microsoftDefenderForEndpointAttachEnabled",
    ]
    .map(|name| (name, json!(false), flag as fn(&Value) -> _))
    .to_vec();
    let days = "partnerUnresponsivenessThresholdInDays";
    all.push((days, json!(7), up_to::<365>));
    all
}

fn of_a_device() -> Vec<Property> {
    vec![
        ("managedDeviceName", json!(""), |value| match value {
            Value::Null => Some(json!("")),
            _ => value.is_string().then(|| value.clone()),
        }),
        ("managedDeviceOwnerType", json!("unknown"), |value| {
            let text = value.as_str()?;
            ["company", "personal"]
                .contains(&text)
                .then(|| value.clone())
        }),
        ("notes", json!(""), |value| match value {
            Value::Null => Some(json!("")),
            _ => value.is_string().then(|| value.clone()),
        }),
    ]
}

fn of_a_user() -> Vec<Property> {
    let nullable: fn(&Value) -> _ = |value| match value {
        value if *value == json!("") => Some(Value::Null),
        value => (value.is_null() || value.is_string()).then(|| value.clone()),
    };
    let mut all: Vec<Property> = vec![
        ("displayName", Value::Null, name),
        ("userPrincipalName", Value::Null, |value| {
            value.as_str()?.contains('@').then(|| value.clone())
        }),
        ("accountEnabled", json!(true), flag),
    ];
    for name in [
        "mailNickname",
        "mail",
        "givenName",
        "surname",
        "jobTitle",
        "department",
    ] {
        all.push((name, Value::Null, nullable));
    }
    all
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
            ("isScheduledActionEnabled", json!(true), flag),
            ("enhancedJailBreak", json!(false), flag),
            ("autoCreateDevices", json!(true), flag),
            ("sensorInactiveDays", json!(7), up_to::<180>),
            ("noSensorDataHours", json!(48), up_to::<720>),
            ("removedRetentionDays", json!(30), up_to::<3650>),
            ("profileRetentionDays", json!(180), up_to::<3650>),
        ],
        Key::Connector(_) => connector_properties(),
        Key::Policy(_) => vec![
            ("displayName", Value::Null, name),
            ("description", json!(""), description),
            ("roleScopeTagIds", json!(["0"]), |value| Some(value.clone())),
            ("deviceThreatProtectionEnabled", json!(false), flag),
            (
                "deviceThreatProtectionRequiredSecurityLevel",
                json!("unavailable"),
                level,
            ),
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
            ("groupTypes", json!([]), |value| {
                (*value != json!(["Unified"])).then(|| value.clone())
            }),
            ("membershipRule", Value::Null, |value| {
                (value != "(").then(|| value.clone())
            }),
            (
                "membershipRuleProcessingState",
                Value::Null,
                |value| match value.as_str() {
                    Some("off") => None,
                    Some(_) => Some(json!("On")),
                    None => Some(Value::Null),
                },
            ),
        ],
        Key::Device(_) => of_a_device(),
        Key::Token(_) => Vec::new(),
        Key::User(_) => of_a_user(),
        Key::Filter(_) | Key::ScopeTag(_) | Key::RoleDefinition(_) | Key::RoleAssignment(_) => {
            access_properties(key)
        }
        Key::Tenant => vec![
            ("name", Value::Null, |value| {
                (value != "T").then(|| value.clone())
            }),
            ("displayName", Value::Null, name),
        ],
    }
}

/// Of filters, scope tags and roles.
fn access_properties(key: Key) -> Vec<Property> {
    let mut all: Vec<Property> = vec![
        ("displayName", Value::Null, name),
        ("description", json!(""), description),
    ];
    let platform: fn(&Value) -> _ = |value| match value.as_str() {
        Some("tv") => None,
        Some("ios") => Some(json!("iOS")),
        _ => Some(value.clone()),
    };
    let further: Vec<Property> = match key {
        Key::Filter(_) => vec![
            ("platform", json!("windows10AndLater"), platform),
            ("rule", Value::Null, |value| {
                (value != "a").then(|| value.clone())
            }),
            ("roleScopeTags", json!(["0"]), tags),
            (
                "assignmentFilterManagementType",
                json!("devices"),
                |value| Some(value.clone()),
            ),
        ],
        Key::RoleDefinition(_) => vec![
            ("rolePermissions", no_permissions(), |value| {
                (!value.to_string().contains("\"Read\"")).then(|| value.clone())
            }),
            ("roleScopeTagIds", json!(["0"]), tags),
        ],
        Key::RoleAssignment(_) => vec![
            ("members", json!([]), |value| {
                (*value != json!(["x"])).then(|| value.clone())
            }),
            ("scopeType", json!("resourceScope"), |value| {
                (value != "some").then(|| value.clone())
            }),
            ("resourceScopes", json!([]), |value| Some(value.clone())),
        ],
        _ => Vec::new(),
    };
    all.extend(further);
    all
}

fn no_permissions() -> Value {
    json!([{ "resourceActions": [{ "allowedResourceActions": [], "notAllowedResourceActions": [] }] }])
}

fn tags(value: &Value) -> Option<Value> {
    match value {
        value if *value == json!([]) => Some(json!(["0"])),
        value => (*value != json!([0])).then(|| value.clone()),
    }
}

/// The elements of a property that is a list, or is missing.
fn list(document: Option<&Properties>, name: &str) -> Vec<Value> {
    let list = document.and_then(|document| document.get(name)?.as_array());
    list.cloned().unwrap_or_default()
}

/// The property with the scope tags of an object, and the target of its faults.
const fn tag_properties(key: Key) -> &'static [(&'static str, &'static str)] {
    match key {
        Key::Policy(_) | Key::RoleDefinition(_) => &[("roleScopeTagIds", "roleScopeTagIds")],
        Key::Filter(_) => &[("roleScopeTags", "roleScopeTags")],
        Key::RoleAssignment(_) => &[("roleScopeTags", "roleScopeTags@odata.bind")],
        _ => &[],
    }
}

/// The references of a role assignment: the definition and the tags.
fn read_bindings(keeps: bool, sent: &Properties, document: &mut Properties, faults: &mut Faults) {
    let mut fault = |target: &str, kind| {
        faults.insert((target.to_owned(), kind));
    };
    let name = "roleDefinition@odata.bind";
    match sent.get(name).and_then(Value::as_str) {
        None if !keeps => fault(name, "missing"),
        None => (),
        Some(url) if url.contains("'x'") => fault(name, "invalid"),
        Some(url) => {
            let url = url.trim_end_matches("')");
            document["roleDefinition"] = url[url.len() - 36..].into();
        }
    }
    let name = "roleScopeTags@odata.bind";
    match sent.get(name) {
        None => (),
        Some(list) if list.to_string().contains("'x'") => fault(name, "invalid"),
        Some(list) if *list == json!([]) => document["roleScopeTags"] = json!(["0"]),
        Some(_) => document["roleScopeTags"] = json!(["1"]),
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
        Key::Filter(_) => "deviceAndAppManagementAssignmentFilter",
        Key::ScopeTag(_) => "roleScopeTag",
        Key::RoleDefinition(_) => "deviceAndAppManagementRoleDefinition",
        Key::RoleAssignment(_) => "deviceAndAppManagementRoleAssignment",
        Key::User(_) => "user",
    };
    let mut document = Properties::new();
    document.insert(
        "@odata.type".into(),
        format!("#microsoft.graph.{type_name}").into(),
    );
    if let Some(id) = key.id_text() {
        document.insert("id".into(), id.into());
    }
    if matches!(key, Key::ScopeTag(_) | Key::RoleDefinition(_)) {
        document.insert("isBuiltIn".into(), false.into());
    }
    if matches!(key, Key::RoleDefinition(_)) {
        document.insert("isBuiltInRoleDefinition".into(), false.into());
    }
    if matches!(key, Key::RoleAssignment(_)) {
        document.insert("roleDefinition".into(), Value::Null);
        document.insert("roleScopeTags".into(), json!(["0"]));
    }
    if matches!(key, Key::Policy(_)) {
        document.insert("version".into(), 1.into());
    }
    for (name, default, _) in properties(key) {
        document.insert(name.into(), default);
    }
    if matches!(key, Key::Policy(_)) {
        document.insert("assignments".into(), json!([]));
        document.insert("scheduledActionsForRule".into(), json!([]));
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
        if key == Key::Settings || matches!(key, Key::Device(_)) {
            return Some((initial(key), 0));
        }
        let mut all = initial(key);
        if key == Key::ScopeTag(ScopeTagId(0)) {
            all.insert("displayName".into(), "Default".into());
            all.insert("isBuiltIn".into(), true.into());
            return Some((all, 0));
        }
        all.insert("displayName".into(), "All devices".into());
        all.insert("mailNickname".into(), "all-devices".into());
        (key == Key::Group(ALL_DEVICES)).then_some((all, 0))
    }

    /// The document with what is not evaluated.
    pub(crate) fn shown(&self, tenant: TenantIndex, key: Key) -> Option<(Properties, u32)> {
        let (mut document, revision) = self.document(tenant, key)?;
        if matches!(key, Key::Policy(_)) {
            let names = not_evaluated(&document);
            if !names.is_empty() {
                document.insert("musterNotEvaluated".into(), names.into());
            }
        }
        Some((document, revision))
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
        let mut document = match merged(command, current.as_ref(), true, properties) {
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
        if matches!(command.change, Change::Access(_)) {
            return self.act(command);
        }
        if key == Key::Tenant {
            return self.change_tenant(command);
        }
        let current = self.document(tenant, key);
        if matches!(command.change, Change::Device { .. }) {
            return self.act(command);
        }
        let deletes = matches!(command.change, Change::Delete { .. });
        let is_fixed = [Key::Group(ALL_DEVICES), Key::ScopeTag(ScopeTagId(0))].contains(&key);
        let is_always_there = key == Key::Settings || matches!(key, Key::Device(_));
        if is_fixed || is_always_there && deletes {
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
        if let (Key::ScopeTag(id), None) = (key, &current) {
            let ever = self.changes.iter().filter_map(|change| match change {
                (of, Key::ScopeTag(id), _) if *of == tenant => Some(id.0),
                _ => None,
            });
            if id.0 != ever.max().unwrap_or(0) + 1 {
                return Outcome::Exists;
            }
        }
        let revision_now = current.as_ref().map(|(_, revision)| *revision);
        if is_stale(command.expected, revision_now) {
            return Outcome::Stale(revision_now);
        }
        self.carry_out_on(command, current)
    }

    /// A command that nothing refuses before its document is read.
    fn carry_out_on(&mut self, command: &Command, current: Option<(Properties, u32)>) -> Outcome {
        let (tenant, key) = (command.tenant, command.change.key());
        let revision = self.changes.len() as u32 + 1;
        let document = match &command.change {
            Change::Delete { .. } => return self.delete(tenant, key),
            Change::AddMembers { members, .. } => {
                return self.change_members(command, members, true, "members", BTreeSet::new());
            }
            Change::RemoveMembers { members, .. } => {
                return self.change_members(command, members, false, "members", BTreeSet::new());
            }
            Change::Assign { properties, .. } => {
                return self.change_part(command, "assignments", properties);
            }
            Change::ScheduleActions { properties, .. } => {
                return self.change_part(
                    command,
                    "deviceComplianceScheduledActionForRules",
                    properties,
                );
            }
            Change::Device { .. } | Change::Issue { .. } | Change::Access(_) => {
                unreachable!("handled above")
            }
            Change::AssignTag { .. }
            | Change::AddPrincipal { .. }
            | Change::RemovePrincipal { .. } => unreachable!("no command of this model"),
            Change::Create { properties, .. } | Change::Replace { properties, .. } => {
                merged(command, current.as_ref(), false, properties)
            }
            Change::Update { properties, .. }
                if matches!(key, Key::Group(_)) && properties.contains_key(MEMBERS) =>
            {
                return self.bind_members(command, properties);
            }
            Change::Update { properties, .. } => {
                merged(command, current.as_ref(), true, properties)
            }
        };
        let document = match document {
            Ok(document) => document,
            Err(faults) => return Outcome::Invalid(faults),
        };
        let faults = self.missing_references(command, current.as_ref(), &document);
        if !faults.is_empty() {
            return Outcome::Invalid(faults);
        }
        let same = |one: &Properties, other: &Properties| {
            let ignored = ["version", "lastModifiedDateTime"];
            let mut names = other
                .keys()
                .filter(|name| !ignored.contains(&name.as_str()));
            names.all(|name| one.get(name) == other.get(name))
        };
        if current.is_some_and(|(current, _)| same(&current, &document)) {
            return Outcome::Unchanged;
        }
        self.write(tenant, key, document, revision)
    }

    /// A command that replaces a part of a policy.
    fn change_part(&mut self, command: &Command, name: &str, sent: &Properties) -> Outcome {
        let key = command.change.key();
        let (current, _) = self.document(command.tenant, key).unwrap();
        let mut document = current.clone();
        document["version"] = (current["version"].as_u64().unwrap() + 1).into();
        let mut faults = BTreeSet::new();
        let id = key.id().unwrap().to_string();
        if sent.contains_key("unknown") {
            faults.insert(("unknown".to_owned(), "unknownProperty"));
        }
        let is_lenient = command.handling == Handling::Lenient;
        match sent.get(name) {
            None => {
                faults.insert((name.to_owned(), "missing"));
            }
            Some(value) if name == "assignments" => match assignments(&id, value) {
                Ok(value) => {
                    let new = newly_unevaluated(&value, &current[name]).into_iter();
                    let new = new.filter(|_| !is_lenient);
                    faults.extend(new.map(|target| (target, "invalid")));
                    document[name] = value;
                }
                Err(target) => {
                    faults.insert((target.to_owned(), "invalid"));
                }
            },
            Some(value) => match actions(&id, value) {
                Some(value) => document["scheduledActionsForRule"] = value,
                None => {
                    let target = format!("{name}[0].scheduledActionConfigurations");
                    faults.insert((target, "invalid"));
                }
            },
        }
        if !faults.is_empty() {
            return Outcome::Invalid(faults);
        }
        let parts = ["assignments", "scheduledActionsForRule"];
        if parts.iter().all(|part| document[*part] == current[*part]) {
            return Outcome::Unchanged;
        }
        let faults = self.missing_references(command, Some(&(current, 0)), &document);
        if !faults.is_empty() {
            return Outcome::Invalid(faults);
        }
        let revision = self.changes.len() as u32 + 1;
        self.write(command.tenant, key, document, revision)
    }

    /// The faults of what a document newly refers to and what does not exist.
    fn missing_references(
        &self,
        command: &Command,
        current: Option<&(Properties, u32)>,
        document: &Properties,
    ) -> BTreeSet<(String, &'static str)> {
        let mut faults = BTreeSet::new();
        let (tenant, key) = (command.tenant, command.change.key());
        let before = current.map(|(document, _)| document);
        if matches!(key, Key::Policy(_)) {
            self.missing_of_policy(tenant, before, document, &mut faults);
        }
        for (property, target) in tag_properties(key) {
            let had = list(before, property);
            for tag in list(Some(document), property) {
                let number = tag.as_str().unwrap().parse().unwrap();
                let exists = self
                    .document(tenant, Key::ScopeTag(ScopeTagId(number)))
                    .is_some();
                if !had.contains(&tag) && !exists {
                    faults.insert(((*target).to_owned(), "invalid"));
                }
            }
        }
        if matches!(key, Key::RoleAssignment(_)) {
            self.missing_of_role(tenant, before, document, &mut faults);
        }
        if let Key::Group(group) = key {
            let has_members = !self.members(tenant, group).is_empty();
            if document["groupTypes"] != json!([]) && has_members {
                faults.insert(("groupTypes".to_owned(), "invalid"));
            }
        }
        faults
    }

    /// The same for a role assignment: groups and definition.
    fn missing_of_role(
        &self,
        tenant: TenantIndex,
        before: Option<&Properties>,
        document: &Properties,
        faults: &mut Faults,
    ) {
        for property in ["members", "resourceScopes"] {
            let had = list(before, property);
            for group in list(Some(document), property) {
                let id: ObjectId = group.as_str().unwrap().parse().unwrap();
                let exists = match id {
                    ALL_DEVICES => property == "resourceScopes",
                    id => self.row(tenant, Key::Group(id)).is_some(),
                };
                if !had.contains(&group) && !exists {
                    faults.insert((property.to_owned(), "invalid"));
                }
            }
        }
        let definition = &document["roleDefinition"];
        let had = before.is_some_and(|before| before["roleDefinition"] == *definition);
        let id = definition.as_str().unwrap();
        let exists = id.starts_with("c56d")
            || self
                .row(tenant, Key::RoleDefinition(id.parse().unwrap()))
                .is_some();
        if !had && !exists {
            faults.insert(("roleDefinition@odata.bind".to_owned(), "invalid"));
        }
    }

    /// The same for a policy: its filter, and the connector for a threat level of macOS.
    fn missing_of_policy(
        &self,
        tenant: TenantIndex,
        before: Option<&Properties>,
        document: &Properties,
        faults: &mut Faults,
    ) {
        let marked = before.map(not_evaluated).unwrap_or_default();
        let connector = self.document(tenant, Key::Connector(DEFENDER));
        let has_mac = connector.is_some_and(|(connector, _)| connector["macEnabled"] == true);
        for name in not_evaluated(document) {
            if name.starts_with("deviceThreat") && !marked.contains(&name) && !has_mac {
                faults.insert((name.to_owned(), "invalid"));
            }
        }
        let is_filtered =
            |document: &Properties| document["assignments"].to_string().contains("\"include\"");
        if is_filtered(document) && !before.is_some_and(is_filtered) {
            let filter = self.document(tenant, Key::Filter(ObjectId::from_bytes([1; 16])));
            let platform = filter.map(|(filter, _)| filter["platform"].clone());
            let of_type = document["@odata.type"].as_str().unwrap();
            let expected = match of_type.trim_start_matches("#microsoft.graph.") {
                "windows10CompliancePolicy" => "windows10AndLater",
                "iosCompliancePolicy" => "iOS",
                _ => "no filter has it",
            };
            if platform.is_none_or(|platform| platform != expected) {
                faults.insert(("assignments".to_owned(), "invalid"));
            }
        }
    }

    fn delete(&mut self, tenant: TenantIndex, key: Key) -> Outcome {
        let id = key.id_text().unwrap_or_default();
        let uses = |row: &Row| match key {
            Key::Filter(_) => {
                let assignments = row.document.get("assignments");
                let expected = format!("\"{FILTER_ID}\":\"{id}");
                assignments.is_some_and(|list| list.to_string().contains(&expected))
            }
            Key::RoleDefinition(_) => ["roleDefinition", "roleDefinitionId"]
                .iter()
                .any(|name| row.document.get(*name) == Some(&json!(id))),
            Key::ScopeTag(_) => tag_properties(row.key)
                .iter()
                .any(|(name, _)| row.document[*name].as_array().unwrap().contains(&json!(id))),
            _ => false,
        };
        if self
            .rows
            .iter()
            .any(|row| row.tenant == tenant && uses(row))
        {
            return Outcome::InUse;
        }
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
        if let Some(role) = token.role
            && role != BuiltInRole::ReadOnlyOperator.id()
            && self
                .row(command.tenant, Key::RoleDefinition(role))
                .is_none()
        {
            return Outcome::Unknown;
        }
        if self.rows.iter().any(is_taken) {
            return Outcome::Exists;
        }
        let mut document = initial(key);
        document.insert("displayName".into(), token.display_name.as_str().into());
        let role = json!(token.role.map(|role| role.to_string()));
        document.insert("roleDefinitionId".into(), role);
        let revision = self.changes.len() as u32 + 1;
        let outcome = self.write(command.tenant, key, document, revision);
        self.rows.last_mut().unwrap().secret = secret;
        outcome
    }

    /// An action on a device and an access change no object.
    fn act(&mut self, command: &Command) -> Outcome {
        let revision = self.changes.len() as u32 + 1;
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
        if members.is_empty() || self.rows[row].document["groupTypes"] != json!([]) {
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
        let platforms: [(Platform, &str, &[&str]); 5] = [
            (Platform::MacOs, "mac", &["macOS"]),
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
            let mut device = DeviceRules::default();
            for row in self.rows.iter().filter(|row| row.tenant == tenant) {
                let is_of = |name: &&str| {
                    row.document["@odata.type"]
                        == format!("#microsoft.graph.{name}CompliancePolicy")
                };
                if !matches!(row.key, Key::Policy(_)) || !subclasses.iter().any(is_of) {
                    continue;
                }
                if !unevaluated(&row.document["assignments"]).contains(&None) {
                    continue;
                }
                assigned = true;
                require(&mut device, &row.document);
                let is_mac = platform == Platform::MacOs;
                if row.document["deviceThreatProtectionEnabled"] == true && !is_mac {
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
                rules.device = device;
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

/// What a policy requires of the device itself, besides what others require.
fn require(device: &mut DeviceRules, document: &Properties) {
    let minimum = document.get("osMinimumVersion").and_then(version);
    let maximum = document.get("osMaximumVersion").and_then(version);
    device.os_minimum = device.os_minimum.max(minimum.unwrap_or(0));
    device.os_maximum = device.os_maximum.min(maximum.unwrap_or(u64::MAX));
    let encryption = document.get("storageRequireEncryption");
    device.requires_encryption |= encryption == Some(&Value::Bool(true));
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
    command: &Command,
    current: Option<&(Properties, u32)>,
    keeps: bool,
    sent: &Properties,
) -> Result<Properties, BTreeSet<(String, &'static str)>> {
    let key = command.change.key();
    let mut faults = BTreeSet::new();
    let mut document = initial(key);
    let has = current.map(|(document, _)| document);
    if let (true, Some(has)) = (keeps, has) {
        document = has.clone();
    }
    let mut known: Vec<_> = properties(key).into_iter().map(|(name, ..)| name).collect();
    let mut knows_type = true;
    if let Key::Policy(_) = key {
        if let Some(has) = has {
            document["version"] = (has["version"].as_u64().unwrap() + 1).into();
            document["@odata.type"] = has["@odata.type"].clone();
        }
        knows_type = read_type(has, sent, &mut document, &mut faults);
        known.extend(["assignments", "scheduledActionsForRule"]);
    }
    let mut fault = |target: &str, kind| {
        faults.insert((target.to_owned(), kind));
    };
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
    check_consistency(key, has, sent, &document, &mut faults);
    if let Key::User(_) = key {
        known.push("passwordProfile");
    }
    if let Key::RoleAssignment(_) = key {
        known.extend(["roleDefinition@odata.bind", "roleScopeTags@odata.bind"]);
        read_bindings(keeps && has.is_some(), sent, &mut document, &mut faults);
    }
    if let Key::Policy(_) = key {
        read_parts(
            command,
            has.filter(|_| keeps),
            sent,
            &mut document,
            &mut faults,
            has,
        );
        if knows_type {
            known.extend(read_requirements(
                command,
                has,
                sent,
                &mut document,
                &mut faults,
            ));
        }
    }
    if knows_type {
        faults.extend(unknown_names(sent, &known));
    }
    if faults.is_empty() {
        Ok(document)
    } else {
        Err(faults)
    }
}

type Faults = BTreeSet<(String, &'static str)>;

/// What one property allows depends on another, or on the value before.
fn check_consistency(
    key: Key,
    has: Option<&Properties>,
    sent: &Properties,
    document: &Properties,
    faults: &mut Faults,
) {
    if matches!(key, Key::Connector(id) if id != DEFENDER) {
        faults.insert(("id".to_owned(), "invalid"));
    }
    if let (Key::Tenant, Some(has)) = (key, has) {
        let sent = sent.get("name");
        if sent.is_some_and(|name| *name != "T" && *name != has["name"]) {
            faults.insert(("name".to_owned(), "unchangeable"));
        }
    }
    if let (Key::Filter(_), Some(has)) = (key, has)
        && has["platform"] != document["platform"]
    {
        faults.insert(("platform".to_owned(), "unchangeable"));
    }
    if let (Key::User(_), Some(has)) = (key, has) {
        let name = |of: &Properties| of["userPrincipalName"].to_string().to_lowercase();
        if name(has) != name(document) {
            faults.insert(("userPrincipalName".to_owned(), "unchangeable"));
        }
    }
    if let Key::Group(_) = key {
        let is_dynamic = document["groupTypes"] != json!([]);
        if document["membershipRule"].is_null() == is_dynamic {
            faults.insert(("membershipRule".to_owned(), "invalid"));
        }
        if !document["membershipRuleProcessingState"].is_null() && !is_dynamic {
            faults.insert(("membershipRuleProcessingState".to_owned(), "invalid"));
        }
    }
}

/// Whether the type of a policy is known.
fn read_type(
    has: Option<&Properties>,
    sent: &Properties,
    document: &mut Properties,
    faults: &mut Faults,
) -> bool {
    let mut fault = |kind| {
        faults.insert(("@odata.type".to_owned(), kind));
    };
    match (sent.get("@odata.type").and_then(Value::as_str), has) {
        (None, None) => fault("missing"),
        (Some(name), None) if name.contains("noSuch") => fault("invalid"),
        (Some(name), None) => {
            let name = format!("#{}", name.trim_start_matches('#'));
            document["@odata.type"] = name.into();
            return true;
        }
        (Some(name), Some(has)) => {
            let has = has["@odata.type"].as_str().unwrap();
            if has.trim_start_matches('#') != name.trim_start_matches('#') {
                fault("unchangeable");
            }
            return true;
        }
        (None, Some(_)) => return true,
    }
    false
}

/// Actions and assignments: of a new policy, or of one that has them and keeps them.
fn read_parts(
    command: &Command,
    kept: Option<&Properties>,
    sent: &Properties,
    document: &mut Properties,
    faults: &mut Faults,
    has: Option<&Properties>,
) {
    let id = command.change.key().id().unwrap().to_string();
    let is_lenient = command.handling == Handling::Lenient;
    let mut fault = |target: &str, kind| {
        faults.insert((target.to_owned(), kind));
    };
    let (name, sent_actions) = (
        "scheduledActionsForRule",
        sent.get("scheduledActionsForRule"),
    );
    match (kept, sent_actions) {
        (Some(_), Some(_)) => fault(name, "unchangeable"),
        (Some(_), None) => (),
        (None, None) => fault(name, "missing"),
        (None, Some(value)) => match actions(&id, value) {
            Some(value) => document[name] = value,
            None => fault(
                "scheduledActionsForRule[0].scheduledActionConfigurations",
                "invalid",
            ),
        },
    }
    let Some(value) = sent.get("assignments") else {
        return;
    };
    let value = assignments(&id, value);
    match (kept, value) {
        (Some(kept), Ok(value)) if value == json!([]) || value == kept["assignments"] => (),
        (Some(_), _) => fault("assignments", "unchangeable"),
        (None, Err(target)) => fault(target, "invalid"),
        (None, Ok(value)) => {
            let none = json!([]);
            let had = has.map_or(&none, |has| &has["assignments"]);
            let new = newly_unevaluated(&value, had).into_iter();
            let new = new.filter(|_| !is_lenient);
            new.for_each(|target| fault(&target, "invalid"));
            document["assignments"] = value;
        }
    }
}

/// What a policy requires; gives the names that its type publishes. What is not evaluated is a fault if it is new.
fn read_requirements(
    command: &Command,
    has: Option<&Properties>,
    sent: &Properties,
    document: &mut Properties,
    faults: &mut Faults,
) -> Vec<&'static str> {
    let before = has.map(not_evaluated).unwrap_or_default();
    let of_type = document["@odata.type"].clone();
    let mut known = Vec::new();
    for (name, default, without) in requirements() {
        if !publishes(&of_type, without) {
            continue;
        }
        known.push(name);
        let value = sent.get(name);
        let old = document.get(name).cloned().unwrap_or(default);
        let new = value.filter(|value| **value != "14,2").cloned();
        if value.is_some() && new.is_none() {
            faults.insert((name.to_owned(), "invalid"));
        }
        document.insert(name.into(), new.unwrap_or(old));
    }
    if contradicts(document) {
        faults.insert(("osMinimumVersion".to_owned(), "invalid"));
    }
    if command.handling == Handling::Strict {
        for name in not_evaluated(document) {
            if !before.contains(&name) && !name.starts_with("assignments") {
                faults.insert((name.to_owned(), "invalid"));
            }
        }
    }
    known
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
        Key::Filter(_) => ["displayName", "platform", "rule"].contains(&name),
        Key::RoleAssignment(_) => ["displayName", "members"].contains(&name),
        Key::User(_) => ["displayName", "userPrincipalName"].contains(&name),
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
