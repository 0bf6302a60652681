//! Compliance of a device: which rules reach it, and what time does to it (R4, R7).

use muster_wire::{CheckIn, Flags, ManagementAgent, Platform, Risk};
use serde_json::json;

use crate::harness::*;
use crate::scene::{DAY, MINUTE, Scene};

fn w1(risk: Risk) -> CheckIn {
    CheckIn {
        risk,
        ..healthy(device(1), 1)
    }
}

fn count(name: &str, number: u64) -> (String, u64) {
    (name.to_owned(), number)
}

/// F4: no policy at all; W1 checks in -> compliant, in `compliantWithoutPolicy`; `secureByDefault` on: noncompliant at
/// once; off again: compliant
#[test]
fn f4_without_a_policy_the_tenant_decides() {
    let mut scene = Scene::empty();
    scene.check_in(&[w1(Risk::High)]);
    let (id, none) = (device(1), ("notAssigned", None));
    scene.holds(|scene| {
        scene.is(id, "compliant", none, ("R4", "R7 row 4"));
        assert_eq!(scene.summary(), [count("compliantDeviceCount", 1)]);
        assert_eq!(scene.count("subsets", "compliantWithoutPolicy"), 1);
        assert_eq!(scene.count("subsets", "devicesWithoutCompliancePolicy"), 1);
    });
    scene.settings(json!({ "secureByDefault": true }));
    scene.holds(|scene| {
        scene.is(id, "noncompliant", none, ("R4", "R7 row 4"));
        assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);
        assert_eq!(scene.count("subsets", "compliantWithoutPolicy"), 0);
        assert_eq!(scene.count("subsets", "devicesWithoutCompliancePolicy"), 1);
    });
    scene.settings(json!({ "secureByDefault": false }));
    scene.is(id, "compliant", none, ("R4", "R7 row 4"));
}

/// F11: grace 0; High -> noncompliant at once
#[test]
fn f11_without_grace_a_device_is_noncompliant_at_once() {
    let mut scene = Scene::new();
    scene.check_in(&[w1(Risk::None)]);
    assert_eq!(scene.summary(), [count("compliantDeviceCount", 1)]);
    scene.check_in(&[w1(Risk::High)]);
    scene.holds(|scene| {
        scene.is(
            device(1),
            "noncompliant",
            ("nonCompliant", None),
            ("R3", "R7 row 6"),
        );
        assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);
    });
}

/// F14: setting error on a device never judged before -> error
#[test]
fn f14_a_setting_error_of_a_new_device_is_an_error() {
    let mut scene = Scene::new();
    let report = w1(Risk::None);
    scene.check_in(&[CheckIn {
        flags: report.flags | Flags::SETTING_ERROR,
        ..report
    }]);
    scene.holds(|scene| {
        scene.is(device(1), "error", ("error", None), ("R3", "R7 row 7"));
        assert_eq!(scene.summary(), [count("errorDeviceCount", 1)]);
    });
}

/// F16: validity 30 d, W1 silent; day 30 exactly, + 1 s -> compliant; noncompliant with setting "Is active"; check-in:
/// compliant. Validity set to 1 d: all silent for longer turn at once
#[test]
fn f16_a_silent_device_is_noncompliant_by_the_clock() {
    let mut scene = Scene::new();
    scene.check_in(&[w1(Risk::None)]);
    let (id, passes) = (device(1), ("compliant", None));
    scene.advance(30 * DAY - MINUTE);
    scene.is(id, "compliant", passes, ("R3", "R7 row 10"));
    assert_eq!(scene.summary(), [count("compliantDeviceCount", 1)]);
    scene.advance(2 * MINUTE);
    scene.holds(|scene| {
        scene.is(id, "noncompliant", passes, ("R3", "R7 row 5"));
        let why = scene.device(id)["why"][1].to_string();
        assert!(why.contains("Is active"), "{why}");
        assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);
        assert_eq!(scene.count("subsets", "validityExpired"), 1);
    });
    scene.check_in(&[w1(Risk::None)]);
    scene.holds(|scene| {
        scene.is(id, "compliant", passes, ("R3", "R7 row 10"));
        assert_eq!(scene.count("subsets", "validityExpired"), 0);
    });
    scene.advance(2 * DAY);
    scene.is(id, "compliant", passes, ("R3", "R7 row 10"));
    scene.settings(json!({ "deviceComplianceCheckinThresholdDays": 1 }));
    scene.is(id, "noncompliant", passes, ("R3", "R7 row 5"));
    assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);
}

/// F23: ConfigMgr-only device, co-managed device -> configManager; evaluated under Intune
#[test]
fn f23_configuration_manager_alone_decides_itself() {
    let mut scene = Scene::new();
    let managed = |number, management_agent| CheckIn {
        management_agent,
        risk: Risk::High,
        ..healthy(device(number), 1)
    };
    scene.check_in(&[
        managed(1, ManagementAgent::ConfigurationManagerClient),
        managed(2, ManagementAgent::ConfigurationManagerClientMdm),
    ]);
    scene.holds(|scene| {
        scene.is(
            device(1),
            "configManager",
            ("notAssigned", None),
            ("R4", "R7 row 2"),
        );
        scene.is(
            device(2),
            "noncompliant",
            ("nonCompliant", None),
            ("R3", "R7 row 6"),
        );
        let expected = [
            count("nonCompliantDeviceCount", 1),
            count("configManagerCount", 1),
        ];
        assert_eq!(scene.summary(), expected);
        assert_eq!(scene.count("edr_onboarded_by_managed_by", "configMgr"), 1);
        assert_eq!(scene.count("edr_onboarded_by_managed_by", "intune"), 1);
    });
}

/// F24: MDE-managed unenrolled device; enrols -> unknown, in none of the nine; then in one, exactly once, with no
/// moment in two or none
#[test]
fn f24_a_device_is_counted_once_it_is_enrolled() {
    let mut scene = Scene::new();
    scene.check_in(&[CheckIn {
        management_agent: ManagementAgent::MsSense,
        ..w1(Risk::High)
    }]);
    let id = device(1);
    scene.holds(|scene| {
        scene.is(id, "unknown", ("notAssigned", None), ("R4", "R7 row 1"));
        assert_eq!(scene.summary(), []);
        assert_eq!(scene.count("subsets", "notEnrolled"), 1);
        assert_eq!(scene.count("windows_onboarding_buckets", "mdeManaged"), 1);
    });
    scene.check_in(&[w1(Risk::High)]);
    scene.holds(|scene| {
        scene.is(
            id,
            "noncompliant",
            ("nonCompliant", None),
            ("R3", "R7 row 6"),
        );
        assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);
        assert_eq!(scene.count("subsets", "notEnrolled"), 0);
        assert_eq!(scene.count("windows_onboarding_buckets", "mdeManaged"), 0);
        assert_eq!(
            scene.count("windows_onboarding_buckets", "onboardedByPolicy"),
            1
        );
    });
}

/// F25: Linux and macOS devices, only Windows policies; `secureByDefault` on -> Linux: complianceState unknown, bucket
/// notApplicable; macOS: R7 row 4. A macOS threat threshold without macEnabled: 400
#[test]
fn f25_what_has_no_policies_is_not_evaluated() {
    let mut scene = Scene::new();
    let of = |number, platform| CheckIn {
        platform,
        risk: Risk::High,
        ..healthy(device(number), 1)
    };
    scene.check_in(&[of(1, Platform::Linux), of(2, Platform::MacOs)]);
    let linux = ("notApplicable", Some("platformNotSupported"));
    let none = ("notAssigned", None);
    scene.holds(|scene| {
        scene.is(device(1), "unknown", linux, ("R2 row 2", "R7 row 3"));
        scene.is(device(2), "compliant", none, ("R4", "R7 row 4"));
    });
    scene.settings(json!({ "secureByDefault": true }));
    scene.holds(|scene| {
        scene.is(device(1), "unknown", linux, ("R2 row 2", "R7 row 3"));
        scene.is(device(2), "noncompliant", none, ("R4", "R7 row 4"));
        let expected = [
            count("nonCompliantDeviceCount", 1),
            count("notApplicableDeviceCount", 1),
        ];
        assert_eq!(scene.summary(), expected);
    });
    assert!(scene.refuses_policy("macOS", "medium"));
}
