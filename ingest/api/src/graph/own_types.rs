//! The JSON Schemas of documents that are neither rows of a list nor objects of the control plane.
//!
//! Names of members come from the code that writes the documents, where it has a list of them. Pure.

use muster_control::DocumentType;
use muster_engine::Counts;
use serde_json::{Map, Value, json};

use super::devices::row::SCHEMA as DEVICE;
use super::exports;
use super::summaries::DIMENSIONS;
use crate::documents::CATEGORIES;
use crate::odata::PAGE_MAX;
use crate::secrets::{VALID_DAYS_DEFAULT, VALID_DAYS_MAX};

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn nullable() -> Value {
    json!({ "type": ["string", "null"] })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// An object that always has these properties.
fn object(properties: Value) -> Value {
    let required: Vec<_> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Numbers with these names.
fn numbers<'a>(names: impl IntoIterator<Item = &'a str>) -> Map<String, Value> {
    let names = names.into_iter();
    names.map(|name| (name.to_owned(), number())).collect()
}

/// A group of counts.
fn group(name: &str) -> Map<String, Value> {
    let groups = Counts::default().groups();
    let found = groups.into_iter().find(|(group, _)| *group == name);
    numbers(
        found
            .into_iter()
            .flat_map(|(_, members)| members)
            .map(|(name, _)| name),
    )
}

/// A summary of counts, which has an id in Graph.
fn summary(groups: &[&str]) -> Value {
    let mut properties = Map::new();
    properties.insert("id".to_owned(), text());
    for name in groups {
        properties.extend(group(name));
    }
    object(properties.into())
}

/// `deviceCompliancePolicyAssignment`.
pub(super) fn assignment() -> Value {
    let mut schema = DocumentType::assignments();
    let mut target = schema["properties"]["assignments"]["items"]["properties"]["target"].take();
    // The document is written in one way.
    for each in target["oneOf"].as_array_mut().into_iter().flatten() {
        let name = each["properties"]["@odata.type"]["enum"][0].take();
        each["properties"]["@odata.type"] = json!({ "const": name });
    }
    object(json!({ "id": text(), "target": target }))
}

/// A row of a delta query: a device, or that it is gone.
pub(super) fn device_change() -> Value {
    let device = json!({ "$ref": format!("#/components/schemas/{}", DEVICE.short_name()) });
    let removed = object(json!({ "id": uuid(), "@removed": object(json!({ "reason": text() })) }));
    json!({ "anyOf": [device, removed] })
}

/// `deviceCompliancePolicyState`.
pub(super) fn policy_state() -> Value {
    object(json!({
        "id": uuid(),
        "displayName": text(),
        "version": number(),
        "platformType": text(),
        "state": text(),
        "settingCount": number(),
    }))
}

/// `deviceCompliancePolicySettingState`.
pub(super) fn setting_state() -> Value {
    let source = object(json!({ "id": uuid(), "displayName": text(), "sourceType": text() }));
    object(json!({
        "setting": text(),
        "settingName": text(),
        "state": text(),
        "reason": nullable(),
        "errorCode": { "type": "integer" },
        "errorDescription": nullable(),
        "currentValue": text(),
        "userId": nullable(),
        "userPrincipalName": nullable(),
        "sources": { "type": "array", "items": source },
    }))
}

/// Why a device has its states.
pub(super) fn why() -> Value {
    object(json!({ "id": uuid(), "why": { "type": "array", "items": text() } }))
}

/// `managedDeviceOverview`.
pub(super) fn overview() -> Value {
    let systems = numbers([
        "androidCount",
        "iosCount",
        "macOSCount",
        "windowsCount",
        "windowsMobileCount",
        "unknownCount",
        "configMgrDeviceCount",
        "androidDedicatedCount",
        "androidDeviceAdminCount",
        "androidFullyManagedCount",
        "androidWorkProfileCount",
        "androidCorporateWorkProfileCount",
        "linuxCount",
    ]);
    let access = numbers([
        "allowedDeviceCount",
        "blockedDeviceCount",
        "quarantinedDeviceCount",
        "unknownDeviceCount",
        "unavailableDeviceCount",
    ]);
    object(json!({
        "id": text(),
        "enrolledDeviceCount": number(),
        "mdmEnrolledCount": number(),
        "dualEnrolledDeviceCount": number(),
        "deviceOperatingSystemSummary": object(systems.into()),
        "deviceExchangeAccessStateSummary": object(access.into()),
    }))
}

/// `deviceCompliancePolicyDeviceStateSummary`.
pub(super) fn compliance() -> Value {
    summary(&["deviceCompliancePolicyDeviceStateSummary", "subsets"])
}

/// `advancedThreatProtectionOnboardingStateSummary`.
pub(super) fn onboarding() -> Value {
    summary(&["advancedThreatProtectionOnboardingStateSummary"])
}

/// Every count; with `by` the rows of a cross table.
pub(super) fn counts() -> Value {
    let counts = Counts::default();
    let mut all = numbers(counts.totals().map(|(name, _)| name));
    for (name, _) in counts.groups() {
        all.insert(name.to_owned(), object(group(name).into()));
    }
    let dimensions = DIMENSIONS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), text()));
    let mut row: Map<String, Value> = dimensions.collect();
    row.insert("count".to_owned(), number());
    let row = json!({ "type": "object", "properties": row, "required": ["count"] });
    let rows = object(json!({ "value": { "type": "array", "items": row } }));
    json!({ "anyOf": [object(all.into()), rows] })
}

/// The category of an audit event.
pub(super) fn category() -> Value {
    json!({ "type": "string", "enum": CATEGORIES })
}

/// The result of a verification of the audit log.
pub(super) fn audit_verification() -> Value {
    object(json!({
        "verified": { "type": "boolean" },
        "entries": number(),
        "head": text(),
        "problem": nullable(),
    }))
}

/// What an interactive report is asked for.
pub(super) fn report_parameters() -> Value {
    let names = json!({ "type": ["array", "null"], "items": text() });
    let number = |max: Option<u64>| {
        let mut number = json!({ "type": ["integer", "null"], "minimum": 0 });
        if let Some(max) = max {
            number["minimum"] = 1.into();
            number["maximum"] = max.into();
        }
        number
    };
    json!({
        "type": "object",
        "properties": {
            "select": names,
            "filter": nullable(),
            "search": nullable(),
            "groupBy": { "type": ["array", "null"], "maxItems": 0 },
            "orderBy": names,
            "skip": number(None),
            "top": number(Some(PAGE_MAX as u64)),
        },
    })
}

/// What creates an export job.
pub(super) fn export_job() -> Value {
    let report = |(name, columns): (&str, Vec<&str>)| {
        let select =
            json!({ "type": ["array", "null"], "items": { "type": "string", "enum": columns } });
        json!({ "properties": { "reportName": { "const": name }, "select": select } })
    };
    json!({
        "type": "object",
        "properties": {
            "reportName": { "type": "string" },
            "filter": {
                "type": ["string", "null"],
                "description": "A $filter over the columns of the report; empty or null for all devices.",
            },
            "format": { "enum": ["csv", "json", "", null] },
            "localizationType": {
                "enum": ["localizedValuesAsAdditionalColumn", "replaceLocalizableValues", "", null],
            },
        },
        "required": ["reportName"],
        "oneOf": exports::columns().map(report).collect::<Vec<_>>(),
    })
}

/// `deviceManagementSettings`.
pub(super) fn settings() -> Value {
    object(DocumentType::Settings.properties().into())
}

/// `deviceManagement`.
pub(super) fn parent() -> Value {
    object(json!({ "id": text(), "settings": settings() }))
}

/// What changes the settings.
pub(super) fn parent_update() -> Value {
    json!({
        "type": "object",
        "properties": { "id": {}, "settings": DocumentType::Settings.changed() },
        "patternProperties": { "@": {} },
        "required": ["settings"],
        "additionalProperties": false,
    })
}

/// What makes an API token.
pub(super) fn token_create() -> Value {
    let days = json!({
        "type": "integer", "minimum": 1, "maximum": VALID_DAYS_MAX, "default": VALID_DAYS_DEFAULT,
    });
    json!({
        "type": "object",
        "properties": {
            "displayName": { "type": "string", "minLength": 1, "maxLength": 256 },
            "role": { "type": "string", "description": "The name or id of a role definition." },
            "validDays": days,
        },
        "patternProperties": { "@": {} },
        "required": ["displayName", "role"],
        "additionalProperties": false,
    })
}

/// A new API token.
pub(super) fn token_with_secret() -> Value {
    object(json!({
        "id": uuid(),
        "displayName": text(),
        "role": text(),
        "roleDefinitionId": uuid(),
        "createdDateTime": time(),
        "expirationDateTime": time(),
        "secret": text(),
    }))
}

/// A link that signs in once.
pub(super) fn sign_in_code() -> Value {
    let url = json!({ "type": "string", "format": "uri" });
    object(json!({ "url": url, "expirationDateTime": time() }))
}

fn batch_id() -> Value {
    json!({ "anyOf": [
        { "type": "string", "minLength": 1, "maxLength": 128 },
        { "type": "integer", "minimum": i64::MIN, "maximum": u64::MAX },
    ] })
}

/// The requests of a batch.
pub(super) fn batch_requests() -> Value {
    let request = json!({
        "type": "object",
        "properties": {
            "id": batch_id(),
            "method": { "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
            "url": { "type": "string", "description": "Relative, with or without the version." },
            "headers": { "description": "Names with values; anything else is ignored." },
            "body": { "description": "A JSON document." },
            "dependsOn": { "type": ["array", "null"], "items": batch_id() },
        },
        "required": ["id", "method", "url"],
    });
    let requests = json!({ "type": "array", "items": request, "minItems": 1, "maxItems": 20 });
    json!({ "type": "object", "properties": { "requests": requests }, "required": ["requests"] })
}

/// The responses of a batch.
pub(super) fn batch_responses() -> Value {
    let response = json!({
        "type": "object",
        "properties": {
            "id": text(),
            "status": { "type": "integer", "minimum": 200, "maximum": 599 },
            "headers": { "type": "object", "additionalProperties": text() },
            "body": {},
        },
        "required": ["id", "status", "headers"],
    });
    object(json!({ "responses": { "type": "array", "items": response } }))
}
