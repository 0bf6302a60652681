//! Threat levels: whether a setting applies, and whether a device has a level (R2, R3).

use muster_wire::{CheckIn, ManagementAgent, Onboarding, Platform, Risk};
use serde_json::json;

use crate::harness::*;
use crate::scene::Scene;

fn w1(risk: Risk) -> CheckIn {
    CheckIn {
        risk,
        ..healthy(device(1), 1)
    }
}

fn count(name: &str, number: u64) -> (String, u64) {
    (name.to_owned(), number)
}

/// F3: W1 High, threshold Medium, noncompliant; `windowsEnabled` off -> setting notApplicable with reason toggle; W1
/// compliant; with `secureByDefault` on still **not** noncompliant by "no policy"
#[test]
fn f3_a_toggle_that_is_off_fails_no_device() {
    let mut scene = Scene::new();
    scene.check_in(&[w1(Risk::High)]);
    let id = device(1);
    scene.is(
        id,
        "noncompliant",
        ("nonCompliant", None),
        ("R3", "R7 row 6"),
    );
    assert_eq!(scene.summary(), [count("nonCompliantDeviceCount", 1)]);

    scene.change_connector(json!({ "windowsEnabled": false }));
    let setting = ("notApplicable", Some("platformToggleOff"));
    scene.is(id, "compliant", setting, ("R2 row 4", "R7 row 10"));
    scene.settings(json!({ "secureByDefault": true }));
    scene.holds(|scene| {
        scene.is(id, "compliant", setting, ("R2 row 4", "R7 row 10"));
        assert_eq!(scene.summary(), [count("compliantDeviceCount", 1)]);
        assert_eq!(scene.count("subsets", "compliantWithoutPolicy"), 0);
    });
}

/// F5: W1 onboarded, no risk ever -> compliant, in `compliantWithoutData`; `windowsDeviceBlockedOnMissingPartnerData`
/// on: noncompliant, reason missing; a risk Low arrives: compliant (threshold Medium)
#[test]
fn f5_missing_data_is_allowed_until_the_tenant_blocks_it() {
    let mut scene = Scene::new();
    scene.check_in(&[w1(Risk::NotReported)]);
    let id = device(1);
    let allowed = ("compliant", Some("missingDataAllowed"));
    scene.holds(|scene| {
        scene.is(id, "compliant", allowed, ("R2 row 7", "R7 row 10"));
        assert_eq!(scene.count("subsets", "compliantWithoutData"), 1);
    });
    scene.change_connector(json!({ "windowsDeviceBlockedOnMissingPartnerData": true }));
    let blocked = ("nonCompliant", Some("missingPartnerData"));
    scene.holds(|scene| {
        scene.is(id, "noncompliant", blocked, ("R2 row 7", "R7 row 6"));
        assert_eq!(scene.count("subsets", "compliantWithoutData"), 0);
    });
    scene.check_in(&[w1(Risk::Low)]);
    scene.is(id, "compliant", ("compliant", None), ("R3", "R7 row 10"));
}

/// F39: W1 not onboarded, risk High; onboards -> Missing before; noncompliant after
#[test]
fn f39_a_risk_counts_once_the_device_is_onboarded() {
    let mut scene = Scene::new();
    scene.check_in(&[CheckIn {
        onboarding: Onboarding::NotOnboarded,
        ..w1(Risk::High)
    }]);
    let id = device(1);
    let missing = ("compliant", Some("missingDataAllowed"));
    scene.holds(|scene| {
        scene.is(id, "compliant", missing, ("R2 row 7", "R7 row 10"));
        assert_eq!(scene.count("windows_onboarding", "notOnboarded"), 1);
    });
    scene.check_in(&[w1(Risk::High)]);
    scene.holds(|scene| {
        scene.is(
            id,
            "noncompliant",
            ("nonCompliant", None),
            ("R3", "R7 row 6"),
        );
        assert_eq!(scene.count("windows_onboarding", "onboarded"), 1);
        assert_eq!(scene.count("edr_onboarding", "onboarded"), 1);
    });
}

/// F40: Android device administrator, Android Enterprise, iOS/iPadOS, Windows x four thresholds; Linux -> each judged;
/// Linux policy refused
#[test]
fn f40_every_platform_with_a_threshold_is_judged_by_it() {
    let mut scene = Scene::empty();
    scene.connector(json!({ "windowsEnabled": true, "iosEnabled": true, "androidEnabled": true }));
    let platforms = [
        (Platform::Android, "android"),
        (Platform::AndroidEnterprise, "androidWorkProfile"),
        (Platform::Ios, "ios"),
        (Platform::Windows, "windows10"),
    ];
    let risks = [Risk::None, Risk::Low, Risk::Medium, Risk::High];
    let number = |platform: usize, risk: usize| device((10 * platform + risk) as u64);
    let mut fleet = Vec::new();
    for (platform, (of_platform, _)) in platforms.into_iter().enumerate() {
        for (index, risk) in risks.into_iter().enumerate() {
            fleet.push(CheckIn {
                platform: of_platform,
                management_agent: ManagementAgent::Mdm,
                risk,
                ..healthy(number(platform, index), 1)
            });
        }
    }
    scene.check_in(&fleet);
    let policies = platforms.map(|(_, subclass)| scene.create_policy(subclass, "notSet"));
    for (threshold, level) in ["secured", "low", "medium", "high"].into_iter().enumerate() {
        for policy in &policies {
            let body = json!({ "deviceThreatProtectionRequiredSecurityLevel": level });
            scene.change("PATCH", policy, &body);
        }
        for platform in 0..platforms.len() {
            for risk in 0..risks.len() {
                let (compliance, setting, row) = if risk <= threshold {
                    ("compliant", "compliant", "R7 row 10")
                } else {
                    ("noncompliant", "nonCompliant", "R7 row 6")
                };
                scene.is(
                    number(platform, risk),
                    compliance,
                    (setting, None),
                    ("R3", row),
                );
            }
        }
        let compliant = 4 * (threshold as u64 + 1);
        assert_eq!(scene.count("compliance", "compliant"), compliant);
    }
    assert!(scene.refuses_policy("linux", "medium"));
    scene.holds(|scene| assert_eq!(scene.summary(), [count("compliantDeviceCount", 16)]));
}
