//! Compiles the objects of a tenant into the policy by which shards evaluate its devices.
//!
//! A pure function of the state. Its cost grows with the policies of the tenant, at most
//! [`crate::limits::POLICIES_MAX`].

use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{
    Connector as State, Retention, TargetedRules, TenantIndex, TenantPolicy, Threshold,
};
use muster_wire::{DeviceId, Platform};

use crate::id::{DEFENDER, ObjectId};
use crate::object::{CompliancePolicy, Connector, Subclass, TenantSettings};
use crate::state::ControlPlane;
use crate::value::SecurityLevel;

/// Seconds.
const DAY: u32 = 24 * 3600;

/// The policy that follows from the objects of a tenant. Without a connector and policies there is no threshold. A
/// tenant that does not exist gets no devices.
#[must_use]
pub fn compile(plane: &ControlPlane, tenant: TenantIndex) -> TenantPolicy {
    if !plane.has_tenant(tenant) {
        let mut none = TenantPolicy::default();
        none.auto_create_devices = false;
        return none;
    }
    let mut compiled = base(plane, tenant);
    for &platform in Platform::ALL {
        let policies = plane.policies(tenant).map(|(_, policy, _)| policy);
        let assigned = policies.filter(|policy| is_assigned_to_all(policy, platform));
        compiled.change_platform(platform, |rules| {
            for policy in assigned {
                rules.policy_assigned = true;
                rules.threshold = rules.threshold.stricter(threshold(policy));
                rules.device = rules.device.and(policy.requirements.device_rules());
            }
        });
    }
    for (_, policy, _) in plane.policies(tenant) {
        if let Some(rules) = targeted(plane, tenant, policy) {
            compiled.add_targeted(rules);
        }
    }
    compiled
}

/// The policy of a device if this compliance policy were the only one, for the state of each policy on its own; `None`
/// if it does not apply to the device (R12).
#[must_use]
pub fn policy_alone(
    plane: &ControlPlane,
    tenant: TenantIndex,
    policy: &CompliancePolicy,
    device: &DeviceId,
) -> Option<TenantPolicy> {
    let assignments = &policy.assignments;
    let of_device = plane.targets_of(tenant, device);
    let is_in = |groups: &mut dyn Iterator<Item = ObjectId>| {
        let mut targets = groups.filter_map(|group| plane.target(tenant, group));
        targets.any(|target| of_device.contains(&target))
    };
    let is_included = assignments.all_devices() || is_in(&mut assignments.included());
    if !is_included || is_in(&mut assignments.excluded()) {
        return None;
    }
    let mut alone = base(plane, tenant);
    alone.change_platform(policy.subclass.platform(), |rules| {
        rules.policy_assigned = true;
        rules.threshold = threshold(policy);
        rules.device = policy.requirements.device_rules();
    });
    Some(alone)
}

/// The policy of a tenant without compliance policies: its settings and its connector.
fn base(plane: &ControlPlane, tenant: TenantIndex) -> TenantPolicy {
    let settings = plane.settings(tenant);
    let mut compiled = TenantPolicy::default();
    compiled.secure_by_default = settings.secure_by_default;
    compiled.auto_create_devices = settings.auto_create_devices;
    compiled.sensor_limits = sensor_limits(&settings);
    compiled.validity_seconds = settings.check_in_threshold_days.get() * DAY;
    compiled.retention = Retention {
        removed_seconds: settings.removed_retention_days.get() * DAY,
        profile_seconds: settings.profile_retention_days.get() * DAY,
    };
    let mut connectors = plane.connectors(tenant);
    let connector = connectors.find(|(id, ..)| *id == DEFENDER);
    let connector = connector.map(|(_, connector, _)| connector);
    for &platform in Platform::ALL {
        compiled.change_platform(platform, |rules| {
            (rules.connector, rules.blocked_on_missing) = switches(connector, platform);
        });
    }
    compiled
}

/// What a policy requires that is assigned to groups, or from which some are excluded; `None` for others. A group that
/// is deleted has no members.
fn targeted(
    plane: &ControlPlane,
    tenant: TenantIndex,
    policy: &CompliancePolicy,
) -> Option<TargetedRules> {
    let assignments = &policy.assignments;
    let targets = |groups: &mut dyn Iterator<Item = ObjectId>| {
        let targets = groups.filter_map(|group| plane.target(tenant, group));
        let mut targets: Vec<_> = targets.collect();
        targets.sort_unstable();
        targets
    };
    let included = targets(&mut assignments.included());
    let excluded = targets(&mut assignments.excluded());
    let is_targeted = !is_for_all(policy);
    let reaches_any = assignments.all_devices() || !included.is_empty();
    (is_targeted && reaches_any).then(|| TargetedRules {
        platform: policy.subclass.platform(),
        threshold: threshold(policy),
        device: policy.requirements.device_rules(),
        all_devices: assignments.all_devices(),
        included,
        excluded,
    })
}

/// R2 rows 3 and 4: whether the connector delivers threat levels of a platform; and whether a device without one is
/// noncompliant.
fn switches(connector: Option<&Connector>, platform: Platform) -> (State, bool) {
    let Some(connector) = connector else {
        return (State::NotEnabled, false);
    };
    let (is_on, blocks_on_missing) = match platform {
        Platform::Windows => (
            connector.windows_enabled,
            connector.windows_blocked_on_missing,
        ),
        Platform::Ios => (connector.ios_enabled, connector.ios_blocked_on_missing),
        Platform::Android | Platform::AndroidEnterprise => (
            connector.android_enabled,
            connector.android_blocked_on_missing,
        ),
        _ => (false, false),
    };
    let state = if is_on {
        State::Enabled
    } else {
        State::PlatformToggleOff
    };
    (state, blocks_on_missing)
}

/// R4, R12: whether a policy applies to every device of a platform.
fn is_assigned_to_all(policy: &CompliancePolicy, platform: Platform) -> bool {
    is_for_all(policy) && policy.subclass.platform() == platform
}

fn is_for_all(policy: &CompliancePolicy) -> bool {
    let assignments = &policy.assignments;
    assignments.all_devices() && assignments.excluded().next().is_none()
}

/// R2 row 1: the threshold of a policy.
fn threshold(policy: &CompliancePolicy) -> Threshold {
    let properties = &policy.properties;
    // R2 row 2: macOS has no threat level yet.
    if !properties.threat_protection_enabled || policy.subclass == Subclass::MacOs {
        return Threshold::NotSet;
    }
    match properties.required_security_level {
        SecurityLevel::Unavailable | SecurityLevel::NotSet => Threshold::NotSet,
        SecurityLevel::Secured => Threshold::Clear,
        SecurityLevel::Low => Threshold::Low,
        SecurityLevel::Medium => Threshold::Medium,
        SecurityLevel::High => Threshold::High,
    }
}

fn sensor_limits(settings: &TenantSettings) -> SensorLimits {
    SensorLimits {
        inactive_seconds: settings.sensor_inactive_days.get() * DAY,
        no_sensor_data_seconds: settings.no_sensor_data_hours.get() * 3600,
    }
}
