//! The public keys of an issuer, from its JWK set.
//!
//! A key has the algorithms that it may verify, which follow from its type and curve, and from its `alg` if it has one.
//! The algorithm that a token names is compared with them, so a token cannot make the server use a public key as the
//! secret of an HMAC. Bounded by [`KEYS_MAX`] and [`KEY_ID_BYTES_MAX`]; keys for other purposes are skipped.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

use super::refusal::TokenRefusal;

/// Keys of an issuer. Entra ID publishes about ten.
pub(super) const KEYS_MAX: usize = 64;

/// Bytes of the id of a key.
pub(super) const KEY_ID_BYTES_MAX: usize = 256;

/// Bytes of an RSA modulus: 2,048 to 8,192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Why a JWK set is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    /// It is not a JSON object with a list `keys`.
    #[error("it is not a JWK set")]
    Malformed,
    /// It has more keys than [`KEYS_MAX`].
    #[error("it has {0} keys; at most {KEYS_MAX} are allowed")]
    TooMany(usize),
    /// None of its keys verifies signatures with an allowed algorithm.
    #[error("none of its keys has an id and verifies signatures with an allowed algorithm")]
    NoneUsable,
}

#[derive(Debug)]
struct VerificationKey {
    id: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<VerificationKey>);

impl KeySet {
    /// The usable keys of a JWK set.
    pub(super) fn read(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Value =
            serde_json::from_slice(document).map_err(|_| KeySetError::Malformed)?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetError::Malformed)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany(keys.len()));
        }
        let usable: Vec<_> = keys.iter().filter_map(usable).collect();
        if usable.is_empty() {
            return Err(KeySetError::NoneUsable);
        }
        Ok(Self(usable))
    }

    /// The key with this id, if it may verify this algorithm.
    pub(super) fn find(
        &self,
        id: &str,
        algorithm: Algorithm,
    ) -> Result<&DecodingKey, TokenRefusal> {
        let mut with_id = self.0.iter().filter(|key| key.id == id).peekable();
        if with_id.peek().is_none() {
            return Err(TokenRefusal::UnknownKey);
        }
        let found = with_id.find(|key| key.algorithms.contains(&algorithm));
        found.map(|key| &key.key).ok_or(TokenRefusal::Algorithm)
    }
}

/// A key of the set, if it verifies signatures with an allowed algorithm.
fn usable(key: &Value) -> Option<VerificationKey> {
    let key: Jwk = serde_json::from_value(key.clone()).ok()?;
    let common = &key.common;
    let is_for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let id = common.key_id.clone()?;
    let mut algorithms = algorithms_of(&key.algorithm).to_vec();
    if let Some(only) = common.key_algorithm {
        let only = Algorithm::try_from(only).ok()?;
        algorithms.retain(|algorithm| *algorithm == only);
    }
    if !is_for_signatures || algorithms.is_empty() || id.len() > KEY_ID_BYTES_MAX {
        return None;
    }
    let key = DecodingKey::from_jwk(&key).ok()?;
    let has_strength = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => MODULUS_BYTES.contains(&n.len()),
        DecodingKeyKind::SecretOrDer(_) => true,
    };
    has_strength.then_some(VerificationKey {
        id,
        algorithms,
        key,
    })
}

/// The algorithms that a key may verify; none for symmetric keys and unknown types.
fn algorithms_of(key: &AlgorithmParameters) -> &'static [Algorithm] {
    match key {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        _ => &[],
    }
}
