//! The states of the policies that apply to a device, and of their settings.
//!
//! Each policy is decided on its own by the rules of the engine, as if it were the only one (R2 to R4).

use muster_control::{Action, CompliancePolicy, ObjectId, policy_alone};
use muster_engine::{Setting, TenantPolicy, Threshold, decide};
use muster_wire::{Flags, Inventory};
use serde_json::{Value, json};

use super::call::Call;
use crate::backend::Device;

/// R4: of several settings, the state that comes first here is that of the policy.
const ROLL_UP: &[&str] = &["error", "conflict", "nonCompliant", "compliant"];

/// The state of one policy for a device.
struct PolicyState {
    id: ObjectId,
    policy: CompliancePolicy,
    settings: Vec<SettingState>,
}

/// The state of one setting of a policy.
struct SettingState {
    setting: Setting,
    status: &'static str,
    reason: Option<&'static str>,
    current: String,
}

impl PolicyState {
    /// R4: the state of the policy.
    fn status(&self) -> &'static str {
        let has = |status: &&&'static str| {
            let mut all = self.settings.iter();
            all.any(|setting| setting.status == **status)
        };
        ROLL_UP.iter().find(has).copied().unwrap_or("notApplicable")
    }
}

/// The policies that apply to a device and that the principal sees, with their states.
fn states(call: &Call, device: &Device) -> Vec<PolicyState> {
    let control = call.control();
    let tenant = call.tenant();
    let mut states = Vec::new();
    let tags = call.principal.rights.tags(Action::ReadDevices);
    for (id, policy, _) in control.policies(tenant) {
        let is_seen = tags.has_any(policy.properties.scope_tags.iter());
        if policy.subclass.platform() != device.facets.platform || !is_seen {
            continue;
        }
        let Some(rules) = policy_alone(&control, tenant, policy, &device.record.device_id) else {
            continue;
        };
        states.push(PolicyState {
            id,
            policy: policy.clone(),
            settings: settings(call, device, &rules),
        });
    }
    states
}

/// The settings that a policy configures; the threat level if it configures none.
fn settings(call: &Call, device: &Device, rules: &TenantPolicy) -> Vec<SettingState> {
    let now = call.api.backend.clock().time.as_seconds();
    let decisions = decide(&device.record, &device.cold, &device.facets, rules, now);
    let (flags, version) = (device.record.flags, device.cold.os_version());
    let platform = rules.platform(device.facets.platform);
    let of_device = Setting::ALL.iter().filter_map(|&setting| {
        let state = platform.device.state(setting, flags, version)?;
        let current = match setting {
            Setting::ThreatLevel => return None,
            Setting::OsMinimum | Setting::OsMaximum => version_text(version),
            Setting::Jailbroken => flags.contains(Flags::JAILBROKEN).to_string(),
            Setting::Encryption => flags.contains(Flags::ENCRYPTED).to_string(),
        };
        Some(SettingState {
            setting,
            status: state.name(),
            reason: None,
            current,
        })
    });
    let mut settings: Vec<_> = of_device.collect();
    let threat = decisions.threat_setting.state;
    if settings.is_empty() || platform.threshold != Threshold::NotSet {
        let threat = SettingState {
            setting: Setting::ThreatLevel,
            status: threat.status(),
            reason: threat.reason(),
            current: device.facets.risk.name().to_owned(),
        };
        settings.insert(0, threat);
    }
    settings
}

fn version_text(version: u64) -> String {
    match version {
        0 => "unknown".to_owned(),
        version => Inventory::unpack_version(version)
            .map(|part| part.to_string())
            .join("."),
    }
}

/// `deviceCompliancePolicyStates` of a device.
pub(super) fn of_policies(call: &Call, device: &Device) -> Vec<Value> {
    let shown = |state: PolicyState| {
        json!({
            "id": state.id.to_string(),
            "displayName": state.policy.properties.display_name.as_str(),
            "version": state.policy.version,
            "platformType": platform_type(&state.policy),
            "state": state.status(),
            "settingCount": state.settings.len(),
        })
    };
    states(call, device).into_iter().map(shown).collect()
}

/// `settingStates` of the policy with this id; `None` if it does not apply to the device.
pub(super) fn of_settings(call: &Call, device: &Device, id: &str) -> Option<Vec<Value>> {
    let policy = states(call, device)
        .into_iter()
        .find(|state| state.id.to_string().eq_ignore_ascii_case(id))?;
    let type_name = capitalized(policy.policy.subclass.name());
    let user = device
        .inventory
        .as_ref()
        .map(|known| known.user_principal_name.as_str());
    let shown = |state: &SettingState| {
        let name = capitalized(state.setting.name());
        json!({
            "setting": format!("{type_name}.{name}"),
            "settingName": name,
            "state": state.status,
            // [OWN] Why a setting does not decide.
            "reason": state.reason,
            "errorCode": 0,
            "errorDescription": null,
            "currentValue": state.current,
            "userId": null,
            "userPrincipalName": user,
            "sources": [{
                "id": policy.id.to_string(),
                "displayName": policy.policy.properties.display_name.as_str(),
                "sourceType": "deviceCompliancePolicy",
            }],
        })
    };
    Some(policy.settings.iter().map(shown).collect())
}

fn capitalized(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_ascii_uppercase())
}

/// `policyPlatformType` of a policy.
fn platform_type(policy: &CompliancePolicy) -> &'static str {
    use muster_control::Subclass;
    match policy.subclass {
        Subclass::Windows10 => "windows10AndLater",
        Subclass::Ios => "iOS",
        Subclass::MacOs => "macOS",
        Subclass::Android => "android",
        Subclass::AndroidWorkProfile | Subclass::AndroidDeviceOwner => "androidForWork",
    }
}
