//! Key sets: what is used of them, and when they are fetched.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::signing::SigningKey;
use super::{claims, key_set, published, refusal};
use crate::oidc::TokenRefusal;
use crate::oidc::keys::{KEYS_MAX, KeySet, KeySetError};

/// Longer than an issuer's task rests.
const RESTED: Duration = Duration::from_secs(11);

fn read(document: &Value) -> Result<KeySet, KeySetError> {
    KeySet::read(document.to_string().as_bytes())
}

fn with(key: &SigningKey, name: &str, value: Value) -> Value {
    let mut key = key.jwk();
    key[name] = value;
    key
}

#[test]
fn keys_for_other_purposes_are_skipped() {
    use jsonwebtoken::Algorithm::{PS256, RS256};
    let rsa = SigningKey::rsa("rsa", 0);
    let unusable = [
        json!({ "kty": "oct", "kid": "rsa", "k": "c2VjcmV0" }),
        json!({ "kty": "oct", "kid": "rsa", "k": "c2VjcmV0", "alg": "HS256" }),
        json!({ "kty": "new", "kid": "rsa" }),
        json!({ "kty": "EC", "kid": "rsa", "crv": "secp256k1", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "kid": "rsa", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "rsa", "n": "!", "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "rsa" }),
        with(&rsa, "use", "enc".into()),
        with(&rsa, "key_ops", json!(["wrapKey"])),
        with(&rsa, "alg", "RSA-OAEP".into()),
        with(&rsa, "alg", "HS256".into()),
        with(&rsa, "alg", "ES256".into()),
        with(&rsa, "kid", Value::Null),
        with(&rsa, "kid", "x".repeat(257).into()),
        json!(7),
        Value::Null,
    ];
    for key in &unusable {
        let found = read(&json!({ "keys": [key] }));
        assert!(matches!(found, Err(KeySetError::NoneUsable)), "{key}");
    }
    let mut all = unusable.to_vec();
    all.push(with(&rsa, "alg", "RS256".into()));
    let keys = read(&json!({ "keys": all })).unwrap();
    assert!(keys.find("rsa", RS256).is_ok());
    assert_eq!(
        keys.find("rsa", PS256).err(),
        Some(TokenRefusal::Algorithm),
        "the key says what it is for"
    );
    assert_eq!(
        keys.find("other", RS256).err(),
        Some(TokenRefusal::UnknownKey)
    );
}

#[test]
fn a_key_set_has_a_limit() {
    let key = SigningKey::p256("key").jwk();
    let of = |count: usize| read(&json!({ "keys": vec![key.clone(); count] }));
    assert!(of(KEYS_MAX).is_ok());
    assert!(matches!(of(KEYS_MAX + 1), Err(KeySetError::TooMany(_))));
    for document in [json!([]), json!({}), json!({ "keys": 1 }), Value::Null] {
        assert!(matches!(read(&document), Err(KeySetError::Malformed)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_fetched_and_a_withdrawn_one_forgotten() {
    let (old, new) = (SigningKey::p256("old"), SigningKey::p256("new"));
    let (with_old, with_new) = (old.token("ES256", &claims()), new.token("ES256", &claims()));
    let (issuers, source) = published(Some(key_set(&[&old])));
    assert_eq!(
        refusal(&issuers, &with_old).await,
        None,
        "it waits for the first fetch"
    );
    source.set(Some(key_set(&[&new])));
    sleep(RESTED).await;
    assert_eq!(refusal(&issuers, &with_old).await, None);
    assert_eq!(source.fetches(), 1, "a known key needs no fetch");
    assert_eq!(refusal(&issuers, &with_new).await, None);
    assert_eq!(source.fetches(), 2);
    assert_eq!(
        refusal(&issuers, &with_old).await,
        Some(TokenRefusal::UnknownKey)
    );
    // Both at the same time, as issuers rotate them, and without any token that asks for it.
    source.set(Some(key_set(&[&old, &new])));
    sleep(Duration::from_secs(16 * 60)).await;
    assert_eq!(source.fetches(), 3);
    assert_eq!(refusal(&issuers, &with_old).await, None);
    assert_eq!(refusal(&issuers, &with_new).await, None);
}

#[tokio::test(start_paused = true)]
async fn invented_keys_cause_one_fetch_in_ten_seconds_and_delay_no_other_request() {
    let (own, invented) = (SigningKey::p256("own"), SigningKey::p256("invented"));
    let good = own.token("ES256", &claims());
    let bad = invented.token("ES256", &claims());
    let (issuers, source) = published(Some(key_set(&[&own])));
    assert_eq!(refusal(&issuers, &good).await, None);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(100) {
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let (issuers, bad) = (issuers.clone(), bad.clone());
            tasks.spawn(async move { refusal(&issuers, &bad).await });
        }
        let at = Instant::now();
        assert_eq!(refusal(&issuers, &good).await, None);
        assert_eq!(at.elapsed(), Duration::ZERO, "its key is known");
        for found in tasks.join_all().await {
            assert_eq!(found, Some(TokenRefusal::UnknownKey));
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!((5..=11).contains(&source.fetches()), "{}", source.fetches());
}

#[tokio::test(start_paused = true)]
async fn keys_are_kept_while_the_issuer_is_down() {
    let key = SigningKey::p256("key");
    let token = key.token("ES256", &claims());
    let (issuers, source) = published(None);
    assert_eq!(
        refusal(&issuers, &token).await,
        Some(TokenRefusal::KeysMissing)
    );
    source.set(Some(key_set(&[&key])));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(
        refusal(&issuers, &token).await,
        None,
        "it is tried again by itself"
    );
    source.set(None);
    sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(refusal(&issuers, &token).await, None);
    assert!(source.fetches() > 1_000, "it is tried all the time");
    let unknown = SigningKey::p256("new").token("ES256", &claims());
    assert_eq!(
        refusal(&issuers, &unknown).await,
        Some(TokenRefusal::UnknownKey)
    );
}
