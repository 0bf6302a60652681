//! `[[tenants]]`: the tenants whose devices may check in, and their compliance rules.
//!
//! Threat thresholds exist for Windows, iOS, Android and Android Enterprise only (R2 row 2 of
//! docs/reference/DOMAIN.md): on other platforms a threat signal does not decide about compliance.

use std::collections::BTreeSet;

use muster_wire::TenantName;
use serde::{Serialize, Serializer};

use super::key::{Choice, Flag, Key, KeyRow, Kind, Required};
use super::reader::Section;

/// A tenant. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantConfig {
    /// The name, as in the certificates of its devices and gateways.
    #[serde(serialize_with = "as_text")]
    pub name: TenantName,
    /// Whether the first check-in of an unknown device creates the device.
    pub auto_create_devices: bool,
    /// Whether a device to which no compliance rule applies is noncompliant (R7 row 4 of
    /// docs/reference/DOMAIN.md).
    pub secure_by_default: bool,
    /// The highest threat level that is still compliant, by platform (docs/reference/DOMAIN.md, R3).
    pub threat_threshold: ByPlatform<ThreatThreshold>,
    /// Whether a device without threat data is noncompliant, by platform (docs/reference/DOMAIN.md, R3).
    pub blocked_on_missing_partner_data: ByPlatform<bool>,
}

/// One value for each platform on which a threat signal decides about compliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByPlatform<T> {
    /// Windows clients.
    pub windows: T,
    /// iOS and iPadOS.
    #[serde(rename = "iOS")]
    pub ios: T,
    /// Android managed by device administrator.
    pub android: T,
    /// Android Enterprise.
    #[serde(rename = "androidEnterprise")]
    pub android_enterprise: T,
}

/// The highest threat level that is still compliant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ThreatThreshold {
    /// No threat at all ("secured").
    Clear,
    /// Low threats.
    Low,
    /// Low and medium threats.
    Medium,
    /// Every threat: the level is only reported.
    High,
    /// The platform has no threshold; the threat level does not apply.
    NotSet,
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

const AUTO_CREATE_DEVICES: Key<Flag> = Key {
    path: "tenants.auto_create_devices",
    kind: Flag { default: true },
    meaning: "Whether the first check-in of an unknown device creates the device; otherwise it is rejected with `unknownDevice`.",
};

const SECURE_BY_DEFAULT: Key<Flag> = Key {
    path: "tenants.secure_by_default",
    kind: Flag { default: false },
    meaning: "Whether a device to which no compliance rule applies is noncompliant instead of compliant.",
};

/// Sections and keys of values by platform: the names in TOML, in the order of [`ByPlatform`].
const THREAT_THRESHOLD: [Key<Choice<ThreatThreshold>>; 4] = [
    threshold("tenants.threat_threshold.windows"),
    threshold("tenants.threat_threshold.iOS"),
    threshold("tenants.threat_threshold.android"),
    threshold("tenants.threat_threshold.androidEnterprise"),
];

const BLOCKED_ON_MISSING_PARTNER_DATA: [Key<Flag>; 4] = [
    blocked("tenants.blocked_on_missing_partner_data.windows"),
    blocked("tenants.blocked_on_missing_partner_data.iOS"),
    blocked("tenants.blocked_on_missing_partner_data.android"),
    blocked("tenants.blocked_on_missing_partner_data.androidEnterprise"),
];

const fn threshold(path: &'static str) -> Key<Choice<ThreatThreshold>> {
    Key {
        path,
        kind: Choice {
            default: ThreatThreshold::Medium,
            choices: &[
                ("clear", ThreatThreshold::Clear),
                ("low", ThreatThreshold::Low),
                ("medium", ThreatThreshold::Medium),
                ("high", ThreatThreshold::High),
                ("notSet", ThreatThreshold::NotSet),
            ],
        },
        meaning: "The highest threat level at which a device of this platform is compliant. `notSet`: the threat level does not apply.",
    }
}

const fn blocked(path: &'static str) -> Key<Flag> {
    Key {
        path,
        kind: Flag { default: false },
        meaning: "Whether a device of this platform without a threat level is noncompliant.",
    }
}

/// Appended to the list of known keys if a platform is not one of them.
const PLATFORM_HINT: &str = " (threat levels decide about compliance on these platforms only)";

impl<T> ByPlatform<T> {
    fn read<K: super::key::Defaulted<Value = T>>(
        mut section: Section<'_, '_>,
        keys: &[Key<K>; 4],
    ) -> Self {
        let [windows, ios, android, android_enterprise] = keys;
        let values = Self {
            windows: section.read(windows),
            ios: section.read(ios),
            android: section.read(android),
            android_enterprise: section.read(android_enterprise),
        };
        section.finish(PLATFORM_HINT);
        values
    }
}

impl TenantConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        let mut rows = vec![
            NAME.row(),
            AUTO_CREATE_DEVICES.row(),
            SECURE_BY_DEFAULT.row(),
        ];
        rows.extend(THREAT_THRESHOLD.iter().map(Key::row));
        rows.extend(BLOCKED_ON_MISSING_PARTNER_DATA.iter().map(Key::row));
        rows
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
        let auto_create_devices = section.read(&AUTO_CREATE_DEVICES);
        let secure_by_default = section.read(&SECURE_BY_DEFAULT);
        let threat_threshold =
            ByPlatform::read(section.section("threat_threshold"), &THREAT_THRESHOLD);
        let blocked_on_missing_partner_data = ByPlatform::read(
            section.section("blocked_on_missing_partner_data"),
            &BLOCKED_ON_MISSING_PARTNER_DATA,
        );
        section.finish("");
        Some(Self {
            name: name?,
            auto_create_devices,
            secure_by_default,
            threat_threshold,
            blocked_on_missing_partner_data,
        })
    }
}

fn as_text<S: Serializer>(name: &TenantName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
