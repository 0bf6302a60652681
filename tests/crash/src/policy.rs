//! The rules of the tenants of a server.
//!
//! The loop samples them and puts them in force over HTTP, as an operator does. `autoCreateDevices` stays on, so that
//! every record that is sent is accepted, duplicate or stale.

use muster_engine::{Connector, DeviceRules, PlatformRules, TenantPolicy, Threshold};
use muster_testkit::objects::{has_encryption, has_jailbreak};
use muster_testkit::random::Random;
use muster_wire::{Inventory, Platform};

/// Samples the rules of a tenant: what its objects can express.
pub fn sample(random: &mut Random) -> TenantPolicy {
    let mut rules = TenantPolicy::default();
    rules.secure_by_default = random.per_mille(500);
    let has_connector = random.per_mille(900);
    let android = sample_connector(random, has_connector);
    for &platform in Platform::ALL {
        let of_platform = PlatformRules {
            policy_assigned: random.per_mille(800),
            threshold: random.choose(Threshold::ALL),
            connector: match platform {
                Platform::Android | Platform::AndroidEnterprise => android,
                _ => sample_connector(random, has_connector),
            },
            blocked_on_missing: random.per_mille(300),
            device: sample_device_rules(random, platform),
        };
        rules.change_platform(platform, |rules| *rules = of_platform);
    }
    rules
}

/// Versions below and above those of the fleet. A policy cannot have bounds that contradict each other.
fn sample_device_rules(random: &mut Random, platform: Platform) -> DeviceRules {
    let none = DeviceRules::default();
    let bound = |random: &mut Random, major: u16, none| {
        if random.per_mille(200) {
            Inventory::pack_version([major, 0, 0, 0])
        } else {
            none
        }
    };
    DeviceRules {
        os_minimum: bound(random, 12, none.os_minimum),
        os_maximum: bound(random, 14, none.os_maximum),
        blocks_jailbroken: has_jailbreak(platform) && random.per_mille(200),
        requires_encryption: has_encryption(platform) && random.per_mille(200),
    }
}

fn sample_connector(random: &mut Random, has_connector: bool) -> Connector {
    match (has_connector, random.per_mille(800)) {
        (false, _) => Connector::NotEnabled,
        (true, false) => Connector::PlatformToggleOff,
        (true, true) => Connector::Enabled,
    }
}
