//! The states of the policies that apply to a device, and of their settings.
//!
//! Each policy is decided on its own by the rules of the engine, as if it were the only one (R2, R3).

use muster_control::{CompliancePolicy, ObjectId, policy_alone};
use muster_engine::decide;
use serde_json::{Value, json};

use super::call::Call;
use crate::backend::Device;

/// The state of one policy for a device.
struct PolicyState {
    id: ObjectId,
    policy: CompliancePolicy,
    status: &'static str,
    reason: Option<&'static str>,
}

/// The policies that apply to a device, with their states.
fn states(call: &Call, device: &Device) -> Vec<PolicyState> {
    let control = call.control();
    let tenant = call.tenant();
    let now = call.api.backend.clock().time.as_seconds();
    let mut states = Vec::new();
    for (id, policy, _) in control.policies(tenant) {
        if policy.subclass.platform() != device.facets.platform {
            continue;
        }
        let Some(rules) = policy_alone(&control, tenant, policy, &device.record.device_id) else {
            continue;
        };
        let decisions = decide(&device.record, &device.facets, &rules, now);
        let setting = decisions.threat_setting.state;
        states.push(PolicyState {
            id,
            policy: policy.clone(),
            status: setting.status(),
            reason: setting.reason(),
        });
    }
    states
}

/// `deviceCompliancePolicyStates` of a device.
pub(super) fn of_policies(call: &Call, device: &Device) -> Vec<Value> {
    let shown = |state: PolicyState| {
        json!({
            "id": state.id.to_string(),
            "displayName": state.policy.properties.display_name.as_str(),
            "version": state.policy.version,
            "platformType": platform_type(&state.policy),
            "state": state.status,
            "settingCount": 1,
        })
    };
    states(call, device).into_iter().map(shown).collect()
}

/// `settingStates` of the policy with this id; `None` if it does not apply to the device.
pub(super) fn of_settings(call: &Call, device: &Device, id: &str) -> Option<Vec<Value>> {
    let state = states(call, device)
        .into_iter()
        .find(|state| state.id.to_string().eq_ignore_ascii_case(id))?;
    let name = "DeviceThreatProtectionRequiredSecurityLevel";
    let type_name = state.policy.subclass.name();
    let (first, rest) = type_name.split_at(1);
    Some(vec![json!({
        "setting": format!("{}{rest}.{name}", first.to_ascii_uppercase()),
        "settingName": name,
        "state": state.status,
        // [OWN] Why a setting does not decide.
        "reason": state.reason,
        "errorCode": 0,
        "errorDescription": null,
        "currentValue": device.facets.risk.name(),
        "userId": null,
        "userPrincipalName": device.inventory.as_ref().map(|known| known.user_principal_name.as_str()),
        "sources": [{
            "id": state.id.to_string(),
            "displayName": state.policy.properties.display_name.as_str(),
            "sourceType": "deviceCompliancePolicy",
        }],
    })])
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
