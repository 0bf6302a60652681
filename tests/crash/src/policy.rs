//! The policies of the tenants of a server.
//!
//! A server reads policies from its configuration when it starts, so a policy change needs a restart: the loop
//! samples a [`Policy`] and writes it into the configuration. Once a server accepts policy changes while it runs,
//! [`crate::termination`] can add one before a kill. `auto_create_devices` stays on, so that every record that is
//! sent is accepted, duplicate or stale.

use std::fmt::Write as _;

use muster_testkit::random::Random;

use crate::environment::TENANTS;

const PLATFORMS: [&str; 4] = ["windows", "iOS", "android", "androidEnterprise"];
const THRESHOLDS: [&str; 5] = ["clear", "low", "medium", "high", "notSet"];

/// The policies of all tenants of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Lines of TOML in the table of each tenant.
    tenants: Vec<String>,
}

impl Policy {
    /// The default policy for this number of tenants.
    pub fn default_for(tenants: usize) -> Self {
        Self {
            tenants: vec![String::new(); tenants],
        }
    }

    /// Samples policies for this number of tenants.
    pub fn sample(random: &mut Random, tenants: usize) -> Self {
        let tenants = (0..tenants).map(|_| sample_tenant(random)).collect();
        Self { tenants }
    }

    /// The same policies, with the default one for new tenants.
    #[must_use]
    pub fn with_tenants(mut self, tenants: usize) -> Self {
        self.tenants.resize(tenants, String::new());
        self
    }

    /// The tables of the tenants.
    pub fn to_toml(&self) -> String {
        let tables = self.tenants.iter().zip(TENANTS);
        tables
            .map(|(policy, name)| format!("[[tenants]]\nname = \"{name}\"\n{policy}"))
            .collect()
    }
}

fn sample_tenant(random: &mut Random) -> String {
    let mut text = format!("secure_by_default = {}\n", random.per_mille(500));
    for platform in PLATFORMS {
        let threshold = random.choose(&THRESHOLDS);
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
