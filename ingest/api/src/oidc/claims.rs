//! What a token says: unverified, to find its issuer and key; then verified.
//!
//! The crate `jsonwebtoken` verifies signature, issuer and audience. The times are compared here, because they are
//! compared with the service time, by which the tokens of Muster expire too. Pure. Bounded by [`TOKEN_BYTES_MAX`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use muster_engine::Timestamp;
use serde_json::{Map, Value};

use super::refusal::TokenRefusal;

/// Bytes of a token; those of Entra ID with 200 groups have about 9 KB.
pub(super) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// By how much the clocks of issuer and server may differ, in seconds.
const LEEWAY_SECONDS: f64 = 30.0;

/// The types of access tokens. Others, such as logout tokens, are signed with the same keys and prove nothing.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Verified claims.
pub(super) type Claims = Map<String, Value>;

/// What a token says about its issuer and its key. Not verified.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: String,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
}

impl Head {
    pub(super) fn read(token: &str) -> Result<Self, TokenRefusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefusal::Malformed);
        }
        let parts: Vec<&str> = token.splitn(4, '.').collect();
        let [header, payload, _] = parts.as_slice() else {
            return Err(TokenRefusal::Malformed);
        };
        let (header, payload) = (object(header)?, object(payload)?);
        let algorithm = text(&header, "alg").ok_or(TokenRefusal::Malformed)?;
        let is_access_token = match header.get("typ") {
            None => true,
            Some(name) => name
                .as_str()
                .is_some_and(|name| TYPES.contains(&name.to_ascii_lowercase().as_str())),
        };
        if !is_access_token {
            return Err(TokenRefusal::Malformed);
        }
        Ok(Self {
            // Fails for `none`; the algorithms of HMAC are those of no key.
            algorithm: algorithm.parse().map_err(|_| TokenRefusal::Algorithm)?,
            key_id: text(&header, "kid").ok_or(TokenRefusal::UnknownKey)?,
            issuer: text(&payload, "iss").ok_or(TokenRefusal::Malformed)?,
            audiences: texts(payload.get("aud")),
        })
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| TokenRefusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenRefusal::Malformed)
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// A text, or a list of texts.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => {
            let all = all.iter().filter_map(Value::as_str);
            all.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The claims of a token, whose signature, issuer, audience and times are verified.
pub(super) fn verified(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    (issuer, audience): (&str, &str),
    now: Timestamp,
) -> Result<Claims, TokenRefusal> {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    let claims = decode::<Claims>(token, key, &validation);
    let claims = claims.map_err(|error| refusal_of(error.kind()))?.claims;
    let now = now.as_millis() as f64 / 1_000.0;
    let expires = seconds(&claims, "exp")?.ok_or(TokenRefusal::Malformed)?;
    if now >= expires + LEEWAY_SECONDS {
        return Err(TokenRefusal::Expired);
    }
    if seconds(&claims, "nbf")?.is_some_and(|from| now + LEEWAY_SECONDS < from) {
        return Err(TokenRefusal::NotYetValid);
    }
    if claims.contains_key("cnf") {
        return Err(TokenRefusal::Bound);
    }
    Ok(claims)
}

/// A claim with a time, in seconds since the epoch; fractions are allowed.
fn seconds(claims: &Claims, name: &str) -> Result<Option<f64>, TokenRefusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    value.as_f64().map(Some).ok_or(TokenRefusal::Malformed)
}

fn refusal_of(error: &ErrorKind) -> TokenRefusal {
    match error {
        ErrorKind::InvalidSignature => TokenRefusal::Signature,
        ErrorKind::InvalidIssuer => TokenRefusal::UnknownIssuer,
        ErrorKind::InvalidAudience => TokenRefusal::WrongAudience,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::UnsupportedAlgorithm
        | ErrorKind::InvalidKeyFormat => TokenRefusal::Algorithm,
        _ => TokenRefusal::Malformed,
    }
}
