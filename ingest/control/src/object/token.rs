//! An API token: a secret that stands for a service principal of a tenant. \[OWN\]
//!
//! The secret is shown once, when the token is made; only its SHA-256 is kept. The secret has 256 random bits, so its
//! hash needs no salt and no slow function. Never changed: a token is made and deleted.

use muster_engine::Timestamp;
use serde_json::json;

use crate::bytes::{EntryError, Reader, Stored};
use crate::document::Properties;
use crate::id::{NO_OBJECT, ObjectId};
use crate::value::{DisplayName, Value};

/// The SHA-256 of the secret of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Of no use to anyone who does not have it, and of no use in a log.
impl std::fmt::Debug for SecretHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SecretHash(..)")
    }
}

/// An API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub display_name: DisplayName,
    /// The SHA-256 of its secret.
    pub hash: SecretHash,
    /// The role definition that says what its holder may do in the whole tenant; `None` if only role assignments do.
    pub role: Option<ObjectId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

impl Token {
    /// Whether it is accepted at this time.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Adds what operators see, without the hash and without the times, which the API formats.
    pub(super) fn show(&self, into: &mut Properties) {
        into.insert("displayName".to_owned(), self.display_name.show());
        into.insert(
            "roleDefinitionId".to_owned(),
            json!(self.role.map(|role| role.to_string())),
        );
    }
}

impl Stored for Token {
    fn put(&self, into: &mut Vec<u8>) {
        self.display_name.put(into);
        into.extend_from_slice(&self.hash.0);
        // No object has the id zero.
        self.role.unwrap_or(NO_OBJECT).put(into);
        self.created_at.put(into);
        self.expires_at.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            display_name: Stored::take(from)?,
            hash: SecretHash(from.array()?),
            role: Some(ObjectId::take(from)?).filter(|role| *role != NO_OBJECT),
            created_at: Stored::take(from)?,
            expires_at: Stored::take(from)?,
        })
    }
}
