//! Creates tenants and sets their rules as an operator does: by settings, a connector and compliance policies.
//!
//! Blocking, like [`Ops`]. Needs `ops.allow_changes` in the configuration of the server.

use muster_engine::{Connector, DeviceRules, PlatformRules, TenantPolicy, Threshold};
use muster_wire::{Inventory, Platform};
use serde_json::{Value, json};

use crate::ops::{Ops, OpsError};

/// The id of the connector of Microsoft Defender for Endpoint.
pub const DEFENDER: &str = "fc780465-2017-40d4-a0c5-307022471b92";

/// The types of policies, one for each platform with a threshold.
const TYPES: [(Platform, &str); 4] = [
    (
        Platform::Windows,
        "#microsoft.graph.windows10CompliancePolicy",
    ),
    (Platform::Ios, "#microsoft.graph.iosCompliancePolicy"),
    (
        Platform::Android,
        "#microsoft.graph.androidCompliancePolicy",
    ),
    (
        Platform::AndroidEnterprise,
        "#microsoft.graph.androidWorkProfileCompliancePolicy",
    ),
];

/// Creates a tenant, unless it exists.
///
/// # Errors
/// If a request fails or is refused.
pub fn create_tenant(ops: &Ops, name: &str) -> Result<(), OpsError> {
    let (status, _) = ops.get(&format!("/tenants/{name}"))?;
    if status == 200 {
        return Ok(());
    }
    send(ops, "POST", "/tenants", &json!({ "name": name }))
}

/// Deletes a tenant, which must have no devices.
///
/// # Errors
/// If the request fails or is refused.
pub fn delete_tenant(ops: &Ops, name: &str) -> Result<(), OpsError> {
    send(ops, "DELETE", &format!("/tenants/{name}"), &Value::Null)
}

/// Threshold medium on every platform that has one.
pub fn medium() -> TenantPolicy {
    TenantPolicy::with_threshold(Threshold::Medium)
}

/// The default, except that unknown devices are rejected.
pub fn no_creation() -> TenantPolicy {
    let mut rules = TenantPolicy::default();
    rules.auto_create_devices = false;
    rules
}

/// Changes the objects of a tenant so that these rules follow: settings, the connector, and one policy per platform, of
/// which the first of its type is changed or deleted if there is one. Limits of silence are not changed. What the objects cannot
/// tell apart is the same afterwards: the connector exists if any platform has it, and both kinds of Android have one
/// toggle.
///
/// # Errors
/// If a request fails or is refused. Then some of the objects may have been changed.
pub fn put_in_force(ops: &Ops, tenant: &str, rules: &TenantPolicy) -> Result<(), OpsError> {
    let tenant = format!("/tenants/{tenant}");
    let settings = json!({
        "secureByDefault": rules.secure_by_default,
        "autoCreateDevices": rules.auto_create_devices,
    });
    send(ops, "PATCH", &format!("{tenant}/settings"), &settings)?;
    let path = format!("{tenant}/mobileThreatDefenseConnectors/{DEFENDER}");
    match connector_document(rules) {
        Some(connector) => send(ops, "PUT", &path, &connector)?,
        None if ops.get(&path)?.0 == 404 => (),
        None => send(ops, "DELETE", &path, &Value::Null)?,
    }
    let policies = format!("{tenant}/deviceCompliancePolicies");
    let existing = read(ops, &policies)?;
    for (platform, of_type) in TYPES {
        let rules = rules.platform(platform);
        let level = level(rules.threshold);
        let required = device_requirements(platform, &rules.device);
        let mut all = existing["value"].as_array().into_iter().flatten();
        let policy = all.find(|policy| policy["@odata.type"] == of_type);
        match policy.and_then(|policy| policy["id"].as_str()) {
            Some(id) if rules.policy_assigned => {
                let mut body = json!({ "deviceThreatProtectionRequiredSecurityLevel": level });
                add(&mut body, required);
                send(ops, "PATCH", &format!("{policies}/{id}"), &body)?;
            }
            Some(id) => send(ops, "DELETE", &format!("{policies}/{id}"), &Value::Null)?,
            None if rules.policy_assigned => {
                let mut body = policy_document(of_type, level);
                add(&mut body, required);
                send(ops, "POST", &policies, &body)?;
            }
            None => (),
        }
    }
    Ok(())
}

/// What a policy of a platform requires of the device itself: the properties that its type has.
pub fn device_requirements(platform: Platform, rules: &DeviceRules) -> Value {
    let none = DeviceRules::default();
    let version = |version: u64, none: u64| {
        let parts = Inventory::unpack_version(version).map(|part| part.to_string());
        (version != none).then(|| parts.join("."))
    };
    let mut required = json!({
        "osMinimumVersion": version(rules.os_minimum, none.os_minimum),
        "osMaximumVersion": version(rules.os_maximum, none.os_maximum),
    });
    if has_jailbreak(platform) {
        required["securityBlockJailbrokenDevices"] = rules.blocks_jailbroken.into();
    }
    if has_encryption(platform) {
        required["storageRequireEncryption"] = rules.requires_encryption.into();
    }
    required
}

/// Whether policies of a platform can block jailbroken devices.
pub const fn has_jailbreak(platform: Platform) -> bool {
    !matches!(platform, Platform::Windows | Platform::MacOs)
}

/// Whether policies of a platform can require encryption.
pub const fn has_encryption(platform: Platform) -> bool {
    !matches!(platform, Platform::Ios)
}

fn add(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}

/// The connector of these rules; `None` if no platform has one.
fn connector_document(rules: &TenantPolicy) -> Option<Value> {
    let any = |platforms: &[Platform], is: fn(&PlatformRules) -> bool| {
        platforms
            .iter()
            .any(|platform| is(rules.platform(*platform)))
    };
    if !any(Platform::ALL, |rules| {
        rules.connector != Connector::NotEnabled
    }) {
        return None;
    }
    let enabled = |rules: &PlatformRules| rules.connector == Connector::Enabled;
    let blocks = |rules: &PlatformRules| rules.blocked_on_missing;
    let android = [Platform::Android, Platform::AndroidEnterprise];
    Some(json!({
        "windowsEnabled": any(&[Platform::Windows], enabled),
        "windowsDeviceBlockedOnMissingPartnerData": any(&[Platform::Windows], blocks),
        "iosEnabled": any(&[Platform::Ios], enabled),
        "iosDeviceBlockedOnMissingPartnerData": any(&[Platform::Ios], blocks),
        "androidEnabled": any(&android, enabled),
        "androidDeviceBlockedOnMissingPartnerData": any(&android, blocks),
    }))
}

/// A policy that requires a level of all devices.
pub fn policy_document(of_type: &str, level: &str) -> Value {
    json!({
        "@odata.type": of_type,
        "displayName": "Threat level",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": level,
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
    })
}

const fn level(threshold: Threshold) -> &'static str {
    match threshold {
        Threshold::NotSet => "notSet",
        Threshold::Clear => "secured",
        Threshold::Low => "low",
        Threshold::Medium => "medium",
        Threshold::High => "high",
    }
}

fn send(ops: &Ops, method: &str, path: &str, body: &Value) -> Result<(), OpsError> {
    let changed = ops.change(method, path, None, &body.to_string())?;
    succeeded(ops, path, changed.status, &changed.text)
}

fn read(ops: &Ops, path: &str) -> Result<Value, OpsError> {
    let (status, text) = ops.get(path)?;
    succeeded(ops, path, status, &text)?;
    serde_json::from_str(&text).map_err(|error| OpsError::NotUnderstood {
        url: format!("{}{path}", ops.base()),
        problem: error.to_string(),
    })
}

fn succeeded(ops: &Ops, path: &str, status: u16, text: &str) -> Result<(), OpsError> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    Err(OpsError::Refused {
        url: format!("{}{path}", ops.base()),
        status,
        text: text.chars().take(200).collect(),
    })
}
