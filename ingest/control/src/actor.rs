//! Who sends a command. The identity is in the log, not only a name, so no one can take the name of another.

use crate::bytes::{EntryError, Reader, Stored};
use crate::id::ObjectId;
use crate::value::{DisplayName, IssuerUrl, UserId};

/// Who sends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A program on the machine of the server, which has no identity.
    Local,
    /// The holder of an API token.
    Token {
        /// The id of the token.
        id: ObjectId,
        /// The name of the token.
        name: DisplayName,
    },
    /// A user, with a token of an issuer of OpenID Connect.
    User {
        /// The URL of the issuer, without which the id is not unique.
        issuer: IssuerUrl,
        /// The id of the user at the issuer.
        id: UserId,
        /// The name of the user.
        name: DisplayName,
    },
}

impl Actor {
    /// The name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::Token { name, .. } | Self::User { name, .. } => name.as_str(),
        }
    }
}

impl Stored for Actor {
    fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::Local => 0_u8.put(into),
            Self::Token { id, name } => {
                1_u8.put(into);
                id.put(into);
                name.put(into);
            }
            Self::User { issuer, id, name } => {
                2_u8.put(into);
                issuer.put(into);
                id.put(into);
                name.put(into);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(match u8::take(from)? {
            0 => Self::Local,
            1 => Self::Token {
                id: Stored::take(from)?,
                name: Stored::take(from)?,
            },
            2 => Self::User {
                issuer: Stored::take(from)?,
                id: Stored::take(from)?,
                name: Stored::take(from)?,
            },
            _ => return Err(EntryError::Invalid("actor")),
        })
    }
}
