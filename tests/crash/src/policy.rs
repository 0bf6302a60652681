//! Policy sets in mid-stream.
//!
//! Rules of tenants come from the configuration today, so another policy set comes with a restart: a
//! [`Policy`] is drawn for each start and written into the configuration. A server that takes policy
//! sets while it runs plugs in at [`crate::moment`]: another [`Policy`] is drawn and put in force there.
//! Devices are always created by themselves, so that every record sent is accepted, duplicate or stale.

use std::fmt::Write as _;

use muster_loadgen::random::Random;

use crate::draw::one_of;
use crate::site::TENANTS;

const PLATFORMS: [&str; 4] = ["windows", "iOS", "android", "androidEnterprise"];
const THRESHOLDS: [&str; 5] = ["clear", "low", "medium", "high", "notSet"];

/// The rules of the tenants of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Lines of TOML below the name of each tenant.
    rules: Vec<String>,
}

impl Policy {
    /// The default rules for so many tenants.
    pub fn default_for(tenants: usize) -> Self {
        Self {
            rules: vec![String::new(); tenants],
        }
    }

    /// Other rules for so many tenants.
    pub fn draw(random: &mut Random, tenants: usize) -> Self {
        let rules = (0..tenants).map(|_| rules(random)).collect();
        Self { rules }
    }

    /// The same rules, and the default ones for tenants that are new.
    #[must_use]
    pub fn with_tenants(mut self, tenants: usize) -> Self {
        self.rules.resize(tenants, String::new());
        self
    }

    /// The tables of the tenants.
    pub fn to_toml(&self) -> String {
        let tables = self.rules.iter().zip(TENANTS);
        tables
            .map(|(rules, name)| format!("[[tenants]]\nname = \"{name}\"\n{rules}"))
            .collect()
    }
}

fn rules(random: &mut Random) -> String {
    let mut text = format!("secure_by_default = {}\n", random.per_mille(500));
    for platform in PLATFORMS {
        let threshold = one_of(random, &THRESHOLDS);
        let blocked = random.per_mille(300);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "threat_threshold.{platform} = \"{threshold}\"");
        let _ = writeln!(
            text,
            "blocked_on_missing_partner_data.{platform} = {blocked}"
        );
    }
    text
}
