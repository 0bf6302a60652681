//! Compiles the objects of a tenant into the policy by which shards evaluate its devices.
//!
//! A pure function of the state. Its cost grows with the policies of the tenant, at most
//! [`crate::limits::POLICIES_MAX`].

use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{TenantIndex, TenantPolicy, Threshold};
use muster_wire::Platform;

use crate::id::DEFENDER;
use crate::object::{Assignments, CompliancePolicy, Connector, TenantSettings};
use crate::state::ControlPlane;
use crate::value::SecurityLevel;

/// The policy that follows from the objects of a tenant. Without a connector and policies there is no threshold.
#[must_use]
pub fn compile(plane: &ControlPlane, tenant: TenantIndex) -> TenantPolicy {
    let settings = plane.settings(tenant);
    let mut compiled = TenantPolicy::default();
    compiled.secure_by_default = settings.secure_by_default;
    compiled.auto_create_devices = settings.auto_create_devices;
    compiled.sensor_limits = sensor_limits(&settings);
    let mut connectors = plane.connectors(tenant);
    let Some((_, connector, _)) = connectors.find(|(id, ..)| *id == DEFENDER) else {
        return compiled; // R2 row 3
    };
    for &platform in Platform::ALL {
        let Some((is_enabled, blocks_on_missing)) = switches(connector, platform) else {
            continue;
        };
        compiled.set_blocked_on_missing(platform, blocks_on_missing);
        // R2 row 4
        if is_enabled {
            let policies = plane.policies(tenant).map(|(_, policy, _)| policy);
            compiled.set_threshold(platform, lowest(platform, policies));
        }
    }
    compiled
}

/// Whether threat levels decide about the compliance of devices of a platform, and whether one without threat data is
/// noncompliant; `None` if they cannot decide on this platform (R2 row 2).
const fn switches(connector: &Connector, platform: Platform) -> Option<(bool, bool)> {
    match platform {
        Platform::Windows => Some((
            connector.windows_enabled,
            connector.windows_blocked_on_missing,
        )),
        Platform::Ios => Some((connector.ios_enabled, connector.ios_blocked_on_missing)),
        Platform::Android | Platform::AndroidEnterprise => Some((
            connector.android_enabled,
            connector.android_blocked_on_missing,
        )),
        _ => None,
    }
}

/// R3: the lowest threshold of the policies that are assigned to devices of a platform applies.
fn lowest<'a>(
    platform: Platform,
    policies: impl Iterator<Item = &'a CompliancePolicy>,
) -> Threshold {
    policies
        .filter(|policy| policy.subclass.platform() == platform)
        .filter_map(threshold)
        .min()
        .unwrap_or(Threshold::NotSet)
}

/// The threshold of a policy; `None` if it has none or applies to no device (R2 row 1).
fn threshold(policy: &CompliancePolicy) -> Option<Threshold> {
    let properties = &policy.properties;
    if !properties.threat_protection_enabled || properties.assignments == Assignments::None {
        return None;
    }
    match properties.required_security_level {
        SecurityLevel::Unavailable | SecurityLevel::NotSet => None,
        SecurityLevel::Secured => Some(Threshold::Clear),
        SecurityLevel::Low => Some(Threshold::Low),
        SecurityLevel::Medium => Some(Threshold::Medium),
        SecurityLevel::High => Some(Threshold::High),
    }
}

fn sensor_limits(settings: &TenantSettings) -> SensorLimits {
    SensorLimits {
        inactive_seconds: settings.sensor_inactive_days.get() * 24 * 3600,
        no_sensor_data_seconds: settings.no_sensor_data_hours.get() * 3600,
    }
}
