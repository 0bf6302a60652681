//! `[[tenants]]`: the tenants whose devices may check in. Their rules are objects, which operators change while the
//! server runs.

use std::collections::BTreeSet;

use muster_wire::TenantName;
use serde::{Serialize, Serializer};

use super::key::{Key, KeyRow, Kind, Required};
use super::reader::Section;

/// A tenant. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantConfig {
    /// The name, as in the certificates of its devices and gateways.
    #[serde(serialize_with = "as_text")]
    pub name: TenantName,
}

const NAME: Key<Required<TenantName>> = Key {
    path: "tenants.name",
    kind: Required {
        allowed: "1 to 63 characters a-z, 0-9 and \"-\", not starting or ending with \"-\"; unique",
        parse: |text| {
            text.parse()
                .map_err(|_| format!("\"{text}\" is not a valid tenant name"))
        },
    },
    meaning: "Name of the tenant, as in its certificates: `muster://<name>/...`. Certificates of other tenants are refused with `unknownTenant`.",
};

/// Settings that once were keys and are now properties of objects, each with the request that changes it.
const MOVED: [(&str, &str); 4] = [
    (
        "auto_create_devices",
        "set autoCreateDevices with PATCH /tenants/{tenant}/settings",
    ),
    (
        "secure_by_default",
        "set secureByDefault with PATCH /tenants/{tenant}/settings",
    ),
    (
        "threat_threshold",
        "create a compliance policy with POST /tenants/{tenant}/deviceCompliancePolicies",
    ),
    (
        "blocked_on_missing_partner_data",
        "change the connector with PATCH /tenants/{tenant}/mobileThreatDefenseConnectors/{id}",
    ),
];

impl TenantConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![NAME.row()]
    }

    /// Reads the list of tenants from the outermost section. Requires at least one tenant and unique names.
    pub(super) fn read_all(document: &mut Section<'_, '_>) -> Vec<Self> {
        let mut tenants = Vec::new();
        let mut names = BTreeSet::new();
        let any = document.sections("tenants", |section| {
            tenants.extend(Self::read(section, &mut names));
        });
        if !any {
            let message = format!(
                "at least one [[tenants]] with a name is required; allowed: {}",
                NAME.kind.allowed()
            );
            document.note("tenants", message);
        }
        tenants
    }

    fn read(mut section: Section<'_, '_>, names: &mut BTreeSet<String>) -> Option<Self> {
        let name = section.read_required(&NAME);
        if let Some(name) = &name
            && !names.insert(name.to_string())
        {
            section.note(
                NAME.name(),
                format!("\"{name}\" is already the name of another tenant"),
            );
        }
        for (moved, instead) in MOVED {
            let message = format!(
                "unknown key; {instead} on the operations endpoint (docs/reference/API.md)"
            );
            section.refuse(moved, message);
        }
        section.finish();
        Some(Self { name: name? })
    }
}

fn as_text<S: Serializer>(name: &TenantName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
