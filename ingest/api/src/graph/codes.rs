//! Codes that sign a person in once, so that no one has to copy the secret of a token.
//!
//! A code stands for the token that made it. It is kept as a hash, in memory, for [`VALID_SECONDS`], and is taken by its
//! first use. Bounded: [`CODES_OF_TOKEN_MAX`] codes of a token and [`CODES_MAX`] in all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_control::ObjectId;
use muster_engine::TenantIndex;

use super::auth::Principal;
use super::error::GraphError;

/// How long a code is valid, in seconds.
pub(super) const VALID_SECONDS: u64 = 300;

/// Codes of a token that are not used yet.
const CODES_OF_TOKEN_MAX: usize = 16;

/// Codes of all tokens that are not used yet.
const CODES_MAX: usize = 256;

/// Random bytes of a code.
const CODE_BYTES: usize = 32;

type Hash = [u8; 32];

/// Whom a code signs in.
#[derive(Clone, Copy, Debug)]
struct Holder {
    tenant: TenantIndex,
    token: ObjectId,
    expires: u64,
}

/// The codes that are not used yet, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<BTreeMap<Hash, Holder>>);

fn hash_of(code: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, code.as_bytes()).as_ref());
    hash
}

impl Codes {
    fn valid(&self, now: u64) -> MutexGuard<'_, BTreeMap<Hash, Holder>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, holder| now < holder.expires);
        all
    }

    /// A new code for the token of a principal; `now` in seconds.
    pub(super) fn make(&self, principal: &Principal, now: u64) -> Result<String, GraphError> {
        let mut all = self.valid(now);
        let own = all.values().filter(|holder| holder.token == principal.id);
        if own.count() >= CODES_OF_TOKEN_MAX || all.len() >= CODES_MAX {
            return Err(GraphError::conflict(format!(
                "Too many codes are not used yet; they expire after {VALID_SECONDS} seconds."
            )));
        }
        let mut bytes = [0; CODE_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
        let code = URL_SAFE_NO_PAD.encode(bytes);
        let holder = Holder {
            tenant: principal.tenant,
            token: principal.id,
            expires: now + VALID_SECONDS,
        };
        all.insert(hash_of(&code), holder);
        Ok(code)
    }

    /// Takes a code: tenant and token that it signs in; `None` if it is unknown, used or expired.
    pub(super) fn take(&self, code: &str, now: u64) -> Option<(TenantIndex, ObjectId)> {
        let holder = self.valid(now).remove(&hash_of(code))?;
        Some((holder.tenant, holder.token))
    }
}
