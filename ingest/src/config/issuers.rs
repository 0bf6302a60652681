//! `[[api.issuers]]`: the issuers of OpenID Connect whose users may use the operators' API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use muster_api::{ISSUERS_MAX, check_issuer};
use muster_wire::TenantName;
use serde::Serialize;
use toml::de::DeValue;

use super::file_path;
use super::key::{Key, KeyRow, Kind, Optional, Required, Text, wrong_type};
use super::reader::Section;

/// An issuer of access tokens. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuerConfig {
    /// Its URL.
    pub issuer: String,
    /// What its tokens must be for.
    pub audience: String,
    /// The tenant of its users.
    pub tenant: String,
    /// The authorities that its server may have a certificate of; those of the system if unset.
    pub ca: Option<PathBuf>,
    /// The claim with the roles or groups of a user.
    pub claim: String,
    /// The claim with the name of a user.
    pub name_claim: String,
    /// The role definition of each value of the claim.
    pub roles: BTreeMap<String, String>,
}

/// Values of a claim that are mapped.
const ROLES_MAX: usize = 256;

/// Characters of an audience, a claim, one of its values, or the name of a role definition.
const TEXT_CHARS_MAX: usize = 256;

const ISSUER: Key<Required<String>> = Key {
    path: "api.issuers.issuer",
    kind: Required {
        allowed: "an https URL of at most 512 characters; http only with a loopback address",
        parse: issuer_url,
    },
    meaning: "URL of an issuer of OpenID Connect, exactly as in the claim `iss` of its tokens. Its keys are fetched through `/.well-known/openid-configuration` below it. At most 16 issuers; several may have the same URL and different audiences.",
};

const AUDIENCE: Key<Required<String>> = Key {
    path: "api.issuers.audience",
    kind: Required {
        allowed: "1 to 256 characters",
        parse: short_text,
    },
    meaning: "What a token must be for: a value of its claim `aud`. Use one that only Muster has, because tokens for it open this API.",
};

const TENANT: Key<Required<String>> = Key {
    path: "api.issuers.tenant",
    kind: Required {
        allowed: "the name of a tenant",
        parse: tenant_name,
    },
    meaning: "The tenant of the users of this issuer, the only one that they see. It may be created later.",
};

const CA: Key<Optional<PathBuf>> = Key {
    path: "api.issuers.ca",
    kind: Optional {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The authorities whose certificates the server of the issuer may have, in PEM. If unset, those that the system trusts. Read once at start.",
};

const CLAIM: Key<Text<String>> = Key {
    path: "api.issuers.claim",
    kind: Text {
        default: || "roles".to_owned(),
        allowed: "1 to 256 characters",
        parse: short_text,
    },
    meaning: "The claim with the roles or groups of a user: a text or a list of texts, like `roles` or `groups`. Dots lead into nested claims: `realm_access.roles`.",
};

const NAME_CLAIM: Key<Text<String>> = Key {
    path: "api.issuers.name_claim",
    kind: Text {
        default: || "preferred_username".to_owned(),
        allowed: "1 to 256 characters",
        parse: short_text,
    },
    meaning: "The claim with the name of a user, for audit events; if a token lacks it, `upn`, `email` or `sub`. It decides nothing.",
};

const ROLES: Key<Names> = Key {
    path: "api.issuers.roles",
    kind: Names {
        max: ROLES_MAX,
        allowed: "1 to 256 pairs of texts of 1 to 256 characters",
        parse: short_text,
    },
    meaning: "The name or id of a role definition for each value of the claim that has one, like `{ \"Muster.Admin\" = \"Administrator\" }`. A user may do what any of their role definitions allows; a user without one is refused with 403.",
};

/// A required table of texts by name.
#[derive(Debug)]
struct Names {
    max: usize,
    allowed: &'static str,
    /// Parses a name or a text.
    parse: fn(&str) -> Result<String, String>,
}

impl Kind for Names {
    type Value = BTreeMap<String, String>;

    fn name(&self) -> &'static str {
        "table"
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn default_text(&self) -> Option<String> {
        None
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String> {
        let table = value
            .as_table()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        if !(1..=self.max).contains(&table.len()) {
            return Err(format!("it has {} pairs", table.len()));
        }
        let pair = |name: &str, value: &DeValue<'_>| {
            let text = value.as_str().ok_or_else(|| wrong_type("string", value))?;
            Ok(((self.parse)(name)?, (self.parse)(text)?))
        };
        let pairs = table.iter();
        pairs
            .map(|(name, value)| {
                let name = name.get_ref();
                pair(name, value.get_ref()).map_err(|error: String| format!("{name:?}: {error}"))
            })
            .collect()
    }
}

fn issuer_url(text: &str) -> Result<String, String> {
    check_issuer(text)?;
    Ok(text.to_owned())
}

fn tenant_name(text: &str) -> Result<String, String> {
    let name = text.parse::<TenantName>();
    name.map(|name| name.to_string())
        .map_err(|error| error.to_string())
}

fn short_text(text: &str) -> Result<String, String> {
    let fits = (1..=TEXT_CHARS_MAX).contains(&text.chars().count());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "it is empty or too long".to_owned())
}

impl IssuerConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            ISSUER.row(),
            AUDIENCE.row(),
            TENANT.row(),
            CA.row(),
            CLAIM.row(),
            NAME_CLAIM.row(),
            ROLES.row(),
        ]
    }

    fn read(mut section: Section<'_, '_>) -> Self {
        let base = section.base_directory();
        // A missing value is reported, and the configuration then not returned.
        let config = Self {
            issuer: section.read_required(&ISSUER).unwrap_or_default(),
            audience: section.read_required(&AUDIENCE).unwrap_or_default(),
            tenant: section.read_required(&TENANT).unwrap_or_default(),
            ca: section.read(&CA).map(|path| base.join(path)),
            claim: section.read(&CLAIM),
            name_claim: section.read(&NAME_CLAIM),
            roles: section.read_required(&ROLES).unwrap_or_default(),
        };
        section.finish();
        config
    }

    /// Reads `[[api.issuers]]`.
    pub(super) fn read_all(section: &mut Section<'_, '_>) -> Vec<Self> {
        let all = section.sections("issuers", Self::read);
        if all.len() > ISSUERS_MAX {
            let message = format!("{} issuers; at most {ISSUERS_MAX} are allowed", all.len());
            section.note("issuers", message);
        }
        let mut seen = BTreeSet::new();
        for config in &all {
            if !seen.insert((&config.issuer, &config.audience)) {
                let message = format!(
                    "{} has the audience {} twice: a token would not say for which tenant it is",
                    config.issuer, config.audience
                );
                section.note("issuers", message);
            }
        }
        all
    }
}
