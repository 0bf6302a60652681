//! The rules of the tenants of a server.
//!
//! The loop samples them and puts them in force over HTTP, as an operator does. `autoCreateDevices` stays on, so that
//! every record that is sent is accepted, duplicate or stale.

use muster_engine::{TenantPolicy, Threshold};
use muster_testkit::random::Random;
use muster_wire::Platform;

/// Samples the rules of a tenant.
pub fn sample(random: &mut Random) -> TenantPolicy {
    let mut rules = TenantPolicy::default();
    rules.secure_by_default = random.per_mille(500);
    for &platform in Platform::ALL {
        rules.set_threshold(platform, random.choose(Threshold::ALL));
        rules.set_blocked_on_missing(platform, random.per_mille(300));
    }
    rules
}
