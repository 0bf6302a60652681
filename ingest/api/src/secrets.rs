//! Secrets of API tokens, and the tokens that are made with them.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_control::limits::SHOWN_NAME_MAX;
use muster_control::{ControlPlane, DisplayName, Properties, SecretHash, Token, whole_number};
use muster_engine::{TenantIndex, Timestamp};
use serde_json::Value;

/// The prefix of every secret, by which scanners for leaked secrets recognize one.
pub(crate) const PREFIX: &str = "muster_";

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Length of a secret.
pub(crate) const SECRET_CHARS: usize = PREFIX.len() + SECRET_BYTES.div_ceil(3) * 4 - 1;

/// A new secret.
#[must_use]
pub fn new_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash of a secret.
#[must_use]
pub(crate) fn hash_of(secret: &str) -> SecretHash {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    SecretHash::from_bytes(bytes)
}

/// Days that a token is valid without `validDays`.
pub const VALID_DAYS_DEFAULT: u64 = 90;

/// Days that a token may be valid.
pub const VALID_DAYS_MAX: u64 = 3_650;

const ROLE: &str = "role: the name or id of a role definition, or none";

const DAY_MS: u64 = 24 * 3600 * 1_000;

/// What someone wants of a new token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name or id of the role definition for the whole tenant; empty if the token has only those that role
    /// assignments give it.
    pub role: &'a str,
    /// How many days it is valid.
    pub valid_days: u64,
}

impl<'a> TokenRequest<'a> {
    /// The request in a document.
    ///
    /// # Errors
    /// It has another property.
    pub(crate) fn read(document: &'a Properties) -> Result<Self, String> {
        let known = ["displayName", "role", "validDays"];
        let is_known = |name: &str| known.contains(&name) || name.contains('@');
        if let Some(name) = document.keys().find(|name| !is_known(name)) {
            let shown: String = name.chars().take(SHOWN_NAME_MAX).collect();
            return Err(format!("a token has no property {shown}"));
        }
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let role = document.get("role").filter(|role| !role.is_null());
        if role.is_some_and(|role| !role.is_string()) {
            return Err(ROLE.to_owned());
        }
        Ok(Self {
            name: text("displayName").unwrap_or_default(),
            role: text("role").unwrap_or_default(),
            valid_days: match document.get("validDays") {
                None => VALID_DAYS_DEFAULT,
                // 0 is refused below.
                Some(days) => whole_number(days).unwrap_or_default().into(),
            },
        })
    }

    /// The token with this secret, made now.
    ///
    /// # Errors
    /// The name, the role or the number of days is not allowed.
    pub fn token(
        &self,
        control: &ControlPlane,
        tenant: TenantIndex,
        secret: &str,
        now: Timestamp,
    ) -> Result<Token, String> {
        let display_name =
            DisplayName::new(self.name).ok_or("displayName: a text of 1 to 256 characters")?;
        let role = match self.role {
            "" => None,
            role => Some(control.role_named(tenant, role).ok_or(ROLE)?),
        };
        if !(1..=VALID_DAYS_MAX).contains(&self.valid_days) {
            return Err(format!(
                "validDays: a whole number from 1 to {VALID_DAYS_MAX}"
            ));
        }
        let expires = now.as_millis() + self.valid_days * DAY_MS;
        Ok(Token {
            display_name,
            hash: hash_of(secret),
            role,
            created_at: now,
            expires_at: Timestamp::from_millis(expires),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_length_and_is_never_the_same() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!((one.len(), other.len()), (SECRET_CHARS, SECRET_CHARS));
        assert!(one.starts_with(PREFIX));
        assert_ne!(one, other);
        assert_ne!(hash_of(&one), hash_of(&other));
    }
}
