//! Compiles the objects of a tenant to the policy that shards evaluate by.
//!
//! A pure function of the state. Its cost grows with the policies of the tenant, at most [`crate::limits::POLICIES_MAX`].

use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{TenantIndex, TenantPolicy, Threshold};
use muster_wire::Platform;

use crate::id::DEFENDER;
use crate::object::{Assignments, CompliancePolicy, Connector, TenantSettings};
use crate::state::ControlPlane;
use crate::value::SecurityLevel;

/// The switches of a connector for one platform.
struct Switches {
    platform: Platform,
    /// Whether threat levels decide about compliance.
    is_enabled: fn(&Connector) -> bool,
    /// Whether a device without threat data is noncompliant.
    blocks_on_missing: fn(&Connector) -> bool,
}

/// The platforms on which threat levels can decide (R2 row 2).
const SWITCHES: [Switches; 4] = [
    Switches {
        platform: Platform::Windows,
        is_enabled: |connector| connector.windows_enabled,
        blocks_on_missing: |connector| connector.windows_blocked_on_missing,
    },
    Switches {
        platform: Platform::Ios,
        is_enabled: |connector| connector.ios_enabled,
        blocks_on_missing: |connector| connector.ios_blocked_on_missing,
    },
    Switches {
        platform: Platform::Android,
        is_enabled: |connector| connector.android_enabled,
        blocks_on_missing: |connector| connector.android_blocked_on_missing,
    },
    Switches {
        platform: Platform::AndroidEnterprise,
        is_enabled: |connector| connector.android_enabled,
        blocks_on_missing: |connector| connector.android_blocked_on_missing,
    },
];

/// The policy that follows from the objects of a tenant. Without a connector and policies there is no threshold.
#[must_use]
pub fn compile(plane: &ControlPlane, tenant: TenantIndex) -> TenantPolicy {
    let settings = plane.settings(tenant);
    let mut connectors = plane.connectors(tenant);
    let connector = connectors.find(|(id, ..)| *id == DEFENDER);
    let connector = connector.map(|(_, connector, _)| connector);
    let mut compiled = TenantPolicy::default();
    compiled.secure_by_default = settings.secure_by_default;
    compiled.auto_create_devices = settings.auto_create_devices;
    compiled.sensor_limits = sensor_limits(&settings);
    for Switches {
        platform,
        is_enabled,
        blocks_on_missing,
    } in SWITCHES
    {
        let policies = plane.policies(tenant).map(|(_, policy, _)| policy);
        let threshold = match connector {
            Some(connector) if is_enabled(connector) => lowest(platform, policies),
            _ => Threshold::NotSet, // R2 rows 3 and 4
        };
        compiled.set_threshold(platform, threshold);
        let blocks = connector.is_some_and(blocks_on_missing);
        compiled.set_blocked_on_missing(platform, blocks);
    }
    compiled
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

/// The threshold of a policy; `None` if it has none or nobody to apply to (R2 row 1).
fn threshold(policy: &CompliancePolicy) -> Option<Threshold> {
    let properties = &policy.properties;
    if !properties.threat_protection_enabled || properties.assignments == Assignments::Nobody {
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
