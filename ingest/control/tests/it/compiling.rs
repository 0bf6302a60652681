//! R2 rows 1 to 4, R3 and R4 by platform, connector and policies: what the shards get.

use muster_control::{Change, ControlPlane, DEFENDER, Key, compile};
use muster_engine::rules::sensor::SensorLimits;
use muster_engine::{Connector as State, PlatformRules, TenantPolicy, Threshold};
use muster_wire::Platform;
use serde_json::{Value, json};

use crate::support::*;

/// The connector of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connector {
    Absent,
    /// Present, with this platform off and all others on.
    Off,
    /// Present, with this platform on and all others off.
    On,
}

/// Each platform with a threshold: the prefix of its switches, and a subclass of its policies.
const PLATFORMS: [(Platform, &str, &str); 5] = [
    (Platform::Windows, "windows", "windows10"),
    (Platform::Ios, "ios", "ios"),
    (Platform::Android, "android", "android"),
    (Platform::AndroidEnterprise, "android", "androidWorkProfile"),
    (Platform::AndroidEnterprise, "android", "androidDeviceOwner"),
];

const LEVELS: [(&str, Threshold); 6] = [
    ("unavailable", Threshold::NotSet),
    ("notSet", Threshold::NotSet),
    ("secured", Threshold::Clear),
    ("low", Threshold::Low),
    ("medium", Threshold::Medium),
    ("high", Threshold::High),
];

fn with_connector(connector: Connector, prefix: &str) -> ControlPlane {
    let mut plane = plane();
    if connector == Connector::Absent {
        return plane;
    }
    let mut switches = json!({});
    for name in ["windows", "ios", "android"] {
        let is_on = (name == prefix) == (connector == Connector::On);
        switches[format!("{name}Enabled")] = is_on.into();
    }
    create(&mut plane, Key::Connector(DEFENDER), switches);
    plane
}

fn policy(subclass: &str, level: &str) -> Value {
    json!({
        "@odata.type": format!("#microsoft.graph.{subclass}CompliancePolicy"),
        "displayName": level,
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": level,
        "scheduledActionsForRule": block_at_once(),
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
    })
}

fn with(plane: &ControlPlane, policies: &[Value]) -> TenantPolicy {
    let mut plane = plane.clone();
    for (policy, number) in policies.iter().zip(1..) {
        create(&mut plane, Key::Policy(id(number)), policy.clone());
    }
    compile(&plane, TENANT)
}

/// Asserts whether one platform has a policy, and its threshold; and that no other has either.
#[track_caller]
fn assert_only(
    compiled: &TenantPolicy,
    platform: Platform,
    expected: (bool, Threshold),
    cell: &str,
) {
    for &each in Platform::ALL {
        let expected = if each == platform {
            expected
        } else {
            (false, Threshold::NotSet)
        };
        let rules = compiled.platform(each);
        assert_eq!(
            (rules.policy_assigned, rules.threshold),
            expected,
            "{each:?} in the cell {platform:?} {cell}"
        );
    }
}

#[test]
fn policy_and_threshold_of_every_cell() {
    for (platform, prefix, subclass) in PLATFORMS {
        for connector in [Connector::Absent, Connector::Off, Connector::On] {
            let plane = with_connector(connector, prefix);
            let cell = |policies: &str| format!("{subclass} {connector:?} {policies}");
            let none = with(&plane, &[]);
            assert_only(&none, platform, (false, Threshold::NotSet), &cell("none"));
            for (level, threshold) in LEVELS {
                let compiled = with(&plane, &[policy(subclass, level)]);
                assert_only(&compiled, platform, (true, threshold), &cell(level));
                for (other, further) in LEVELS {
                    let both = [policy(subclass, level), policy(subclass, other)];
                    let lowest = [threshold, further]
                        .into_iter()
                        .filter(|one| *one != Threshold::NotSet);
                    let lowest = lowest.min().unwrap_or(Threshold::NotSet);
                    let cell = cell(&format!("{level} and {other}"));
                    assert_only(&with(&plane, &both), platform, (true, lowest), &cell);
                }
            }
        }
    }
}

#[test]
fn the_connector_of_every_platform() {
    for (platform, prefix, _) in PLATFORMS {
        for (connector, expected) in [
            (Connector::Absent, State::NotEnabled),
            (Connector::Off, State::PlatformToggleOff),
            (Connector::On, State::Enabled),
        ] {
            let compiled = compile(&with_connector(connector, prefix), TENANT);
            let found = compiled.platform(platform).connector;
            assert_eq!(found, expected, "{platform:?} {connector:?}");
        }
    }
}

#[test]
fn a_policy_that_is_not_enabled_sets_no_threshold_and_one_that_is_not_assigned_does_not_apply() {
    let plane = with_connector(Connector::On, "ios");
    for (property, value, is_assigned) in [
        ("assignments", json!([]), false),
        ("deviceThreatProtectionEnabled", json!(false), true),
    ] {
        let mut without = policy("ios", "secured");
        without[property] = value;
        let alone = with(&plane, &[without.clone()]);
        let expected = (is_assigned, Threshold::NotSet);
        assert_only(&alone, Platform::Ios, expected, property);
        let both = with(&plane, &[without, policy("ios", "medium")]);
        assert_only(&both, Platform::Ios, (true, Threshold::Medium), property);
    }
}

#[test]
fn the_modes_of_android_enterprise_share_the_lowest_threshold() {
    let plane = with_connector(Connector::On, "android");
    let policies = [
        policy("androidWorkProfile", "high"),
        policy("androidDeviceOwner", "low"),
        policy("android", "medium"),
    ];
    let compiled = with(&plane, &policies);
    let threshold = |platform| compiled.platform(platform).threshold;
    assert_eq!(threshold(Platform::AndroidEnterprise), Threshold::Low);
    assert_eq!(threshold(Platform::Android), Threshold::Medium);
}

#[test]
fn missing_data_blocks_as_the_connector_says() {
    for (platform, prefix, _) in PLATFORMS {
        let mut plane = plane();
        let blocks_on = |plane: &ControlPlane, platform| {
            let PlatformRules {
                blocked_on_missing, ..
            } = *compile(plane, TENANT).platform(platform);
            blocked_on_missing
        };
        let blocks = |plane: &ControlPlane| blocks_on(plane, platform);
        assert!(!blocks(&plane), "without a connector");
        let name = format!("{prefix}DeviceBlockedOnMissingPartnerData");
        create(&mut plane, Key::Connector(DEFENDER), json!({ &name: true }));
        assert!(blocks(&plane), "{platform:?}");
        let others = Platform::ALL.iter().filter(|other| {
            let is_android =
                |platform| matches!(platform, Platform::Android | Platform::AndroidEnterprise);
            **other != platform && !(is_android(**other) && is_android(platform))
        });
        for other in others {
            assert!(!blocks_on(&plane, *other), "{platform:?} {other:?}");
        }
        update(&mut plane, Key::Connector(DEFENDER), json!({ name: false }));
        assert!(!blocks(&plane), "{platform:?}");
    }
}

#[test]
fn settings_compile_to_the_switches_and_limits_of_the_engine() {
    let mut plane = plane();
    let initial = compile(&plane, TENANT);
    assert!(!initial.secure_by_default && initial.auto_create_devices);
    assert_eq!(initial.sensor_limits, SensorLimits::default());
    let json = json!({
        "secureByDefault": true,
        "autoCreateDevices": false,
        "sensorInactiveDays": 3,
        "noSensorDataHours": 5,
        "deviceComplianceCheckinThresholdDays": 2,
        "removedRetentionDays": 1,
        "profileRetentionDays": 3,
    });
    update(&mut plane, Key::Settings, json);
    let compiled = compile(&plane, TENANT);
    assert!(compiled.secure_by_default && !compiled.auto_create_devices);
    let limits = SensorLimits {
        inactive_seconds: 259_200,
        no_sensor_data_seconds: 18_000,
    };
    assert_eq!(compiled.sensor_limits, limits);
    assert_eq!(
        (initial.validity_seconds, compiled.validity_seconds),
        (2_592_000, 172_800)
    );
    let kept = |policy: &TenantPolicy| {
        let kept = policy.retention;
        (kept.removed_seconds, kept.profile_seconds)
    };
    assert_eq!(kept(&initial), (30 * 86_400, 180 * 86_400));
    assert_eq!(kept(&compiled), (86_400, 259_200));
    let other = create(&mut plane, Key::Tenant, json!({ "name": "fabrikam" }));
    assert_eq!(compile(&plane, other.tenant), initial, "of another tenant");
    let delete = Change::Delete { key: Key::Tenant };
    carry_out(&mut plane, &command(delete)).unwrap();
    let none = compile(&plane, TENANT);
    assert!(
        !none.auto_create_devices,
        "a deleted tenant gets no devices"
    );
    assert!(!none.secure_by_default);
}
