//! `$skiptoken` and `$deltatoken`: what the next request needs to continue, in a form that only this server can make.
//!
//! Owner: the task of the request. A token is authenticated, not secret: base64url of version, purpose, expiry, tenant, a
//! hash of the other options, the payload, and their HMAC-SHA256. It reads no clock and keeps no state, so tokens cost
//! no memory and survive a restart with the same key. At most [`TOKEN_BYTES_MAX`]; a longer text is refused unread.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a token: a URL with one stays below the limits of clients and proxies.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Bytes of a payload.
pub const PAYLOAD_BYTES_MAX: usize = 3000;

const VERSION: u8 = 1;

/// Bytes before the payload.
const HEAD_BYTES: usize = 1 + 1 + 8 + 4 + 16;

/// Bytes of the HMAC.
const TAG_BYTES: usize = 32;

/// The key of the tokens of a server.
#[derive(Debug)]
pub struct TokenKey(hmac::Key);

/// What a token is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenScope {
    /// What it continues.
    pub purpose: Purpose,
    /// The index of the tenant.
    pub tenant: u32,
    /// The hash of the other options and the path.
    pub options: [u8; 16],
}

/// What a token continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The pages of a list.
    Page = 0,
    /// The rounds of a delta query.
    Delta = 1,
    /// The download of a file.
    Download = 2,
    /// The session of a person in a browser.
    Session = 3,
    /// The forms of a session.
    Form = 4,
}

/// Why a token cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// This server has not made it for this request (400).
    #[error("The token is not one that this request was given.")]
    Invalid,
    /// It is too old (410); the client must start again.
    #[error("The token has expired: repeat the request without it.")]
    Expired,
    /// The payload is too long for a URL (400).
    #[error("The request cannot be continued, because the values to sort by are too long.")]
    TooLong,
}

impl TokenKey {
    /// A key from 32 secret random bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Makes a token that is valid up to `expires`, in seconds since 1970.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn seal(
        &self,
        scope: &TokenScope,
        expires: u64,
        payload: &[u8],
    ) -> Result<String, TokenError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + TAG_BYTES);
        bytes.extend([VERSION, scope.purpose as u8]);
        bytes.extend(expires.to_le_bytes());
        bytes.extend(scope.tenant.to_le_bytes());
        bytes.extend(scope.options);
        bytes.extend(payload);
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend(tag.as_ref());
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The payload of a token that was made for this scope. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// `Invalid` or `Expired`.
    pub fn open(&self, scope: &TokenScope, now: u64, token: &str) -> Result<Vec<u8>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token);
        let mut bytes = bytes.map_err(|_| TokenError::Invalid)?;
        let signed = bytes
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(TokenError::Invalid)?;
        let (text, tag) = bytes.split_at(signed);
        hmac::verify(&self.0, text, tag).map_err(|_| TokenError::Invalid)?;
        let head: &[u8; HEAD_BYTES] = text.first_chunk().ok_or(TokenError::Invalid)?;
        let expires = u64::from_le_bytes(part(head, 2));
        let is_valid = head[0] == VERSION
            && head[1] == scope.purpose as u8
            && u32::from_le_bytes(part(head, 10)) == scope.tenant
            && part(head, 14) == scope.options;
        if !is_valid {
            return Err(TokenError::Invalid);
        }
        if now > expires {
            return Err(TokenError::Expired);
        }
        bytes.truncate(signed);
        bytes.drain(..HEAD_BYTES);
        Ok(bytes)
    }
}

/// Some bytes of the head.
fn part<const COUNT: usize>(head: &[u8; HEAD_BYTES], at: usize) -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    bytes.copy_from_slice(&head[at..at + COUNT]);
    bytes
}
