//! Which tokens are accepted.

use aws_lc_rs::hmac;
use muster_engine::Timestamp;
use serde_json::{Value, json};

use super::signing::{SigningKey, encoded, message};
use super::{AUDIENCE, ISSUER, NOW, claims, claims_with, known, refusal, settings};
use crate::oidc::{Issuers, TokenRefusal};

fn with_keys(keys: &[&SigningKey]) -> Issuers {
    known(vec![settings("contoso", &[])], keys)
}

#[tokio::test]
async fn every_allowed_algorithm_is_verified_with_the_key_that_a_token_names() {
    let rsa = SigningKey::rsa("rsa", 0);
    let (p256, p384) = (SigningKey::p256("p256"), SigningKey::p384("p384"));
    let ed = SigningKey::ed25519("ed");
    let issuers = with_keys(&[&rsa, &p256, &p384, &ed]);
    for (key, algorithm) in [
        (&rsa, "RS256"),
        (&rsa, "RS384"),
        (&rsa, "RS512"),
        (&rsa, "PS256"),
        (&rsa, "PS384"),
        (&rsa, "PS512"),
        (&p256, "ES256"),
        (&p384, "ES384"),
        (&ed, "EdDSA"),
    ] {
        let token = key.token(algorithm, &claims());
        let user = issuers.user(&token, Timestamp::from_seconds(NOW)).await;
        let user = user.unwrap_or_else(|cause| panic!("{algorithm}: {}", cause.name()));
        assert_eq!(
            (user.id.as_str(), user.name.as_str()),
            ("user-1", "ada@example.test")
        );
        // One bit of each part.
        let parts: Vec<&str> = token.split('.').collect();
        let other = key.token(algorithm, &claims_with("sub", "user-2".into()));
        let other: Vec<&str> = other.split('.').collect();
        let swapped = format!("{}.{}.{}", parts[0], other[1], parts[2]);
        assert_eq!(
            refusal(&issuers, &swapped).await,
            Some(TokenRefusal::Signature),
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn a_token_signed_by_another_key_is_refused() {
    let (own, other) = (SigningKey::rsa("key", 0), SigningKey::rsa("key", 1));
    let issuers = with_keys(&[&own]);
    let token = other.token("RS256", &claims());
    assert_eq!(
        refusal(&issuers, &token).await,
        Some(TokenRefusal::Signature)
    );
    // Nor is a token that brings its own key.
    let header = json!({ "alg": "RS256", "kid": "key", "jwk": other.jwk(), "jku": "https://x.example.test" });
    let token = other.token_with(&header, &claims());
    assert_eq!(
        refusal(&issuers, &token).await,
        Some(TokenRefusal::Signature)
    );
}

#[tokio::test]
async fn no_token_chooses_how_it_is_verified() {
    let (rsa, p256) = (SigningKey::rsa("rsa", 0), SigningKey::p256("p256"));
    let issuers = with_keys(&[&rsa, &p256]);
    for name in ["none", "None", "NONE", "", "RS1", "ES512"] {
        let header = json!({ "alg": name, "kid": "rsa" });
        for signature in ["", "AAAA"] {
            let token = format!("{}.{signature}", message(&header, &claims()));
            assert_eq!(
                refusal(&issuers, &token).await,
                Some(TokenRefusal::Algorithm),
                "{name}"
            );
        }
    }
    // The public key, which everyone knows, as the secret of an HMAC.
    let hashes = [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ];
    for (name, hash) in hashes {
        for secret in rsa.public_forms() {
            let message = message(&json!({ "alg": name, "kid": "rsa" }), &claims());
            let signature = hmac::sign(&hmac::Key::new(hash, &secret), message.as_bytes());
            let token = format!("{message}.{}", encoded(signature));
            assert_eq!(
                refusal(&issuers, &token).await,
                Some(TokenRefusal::Algorithm),
                "{name}"
            );
        }
    }
    for (key, id, algorithm) in [
        (&rsa, "p256", "RS256"),
        (&p256, "rsa", "ES256"),
        (&p256, "p256", "ES384"),
    ] {
        let token = key.token_with(&json!({ "alg": algorithm, "kid": id }), &claims());
        assert_eq!(
            refusal(&issuers, &token).await,
            Some(TokenRefusal::Algorithm)
        );
    }
}

#[tokio::test]
async fn issuer_audience_and_times_must_match() {
    use TokenRefusal::*;
    let key = SigningKey::p256("key");
    let issuers = with_keys(&[&key]);
    let now = f64::from(NOW);
    for (name, value, expected) in [
        ("iss", json!("https://login.example.test"), UnknownIssuer),
        (
            "iss",
            json!("https://login.example.test/tenant/"),
            UnknownIssuer,
        ),
        ("iss", json!([ISSUER]), Malformed),
        ("iss", Value::Null, Malformed),
        ("aud", json!("api://other"), WrongAudience),
        ("aud", json!(["api://other", "API://MUSTER"]), WrongAudience),
        ("aud", json!([]), WrongAudience),
        ("aud", Value::Null, WrongAudience),
        ("exp", json!(now - 30.0), Expired),
        ("exp", json!(0), Expired),
        ("exp", json!("later"), Malformed),
        ("exp", Value::Null, Malformed),
        ("nbf", json!(now + 31.0), NotYetValid),
        ("nbf", json!("now"), Malformed),
        ("sub", Value::Null, Malformed),
        ("sub", json!(""), Malformed),
        ("sub", json!("x".repeat(256)), Malformed),
        ("cnf", json!({ "jkt": "abc" }), Bound),
    ] {
        let token = key.token("ES256", &claims_with(name, value.clone()));
        assert_eq!(
            refusal(&issuers, &token).await,
            Some(expected),
            "{name}: {value}"
        );
        let counted = issuers.counters().refused(expected);
        assert!(counted > 0, "{}", expected.name());
    }
    for (name, value) in [
        ("aud", json!(["api://other", AUDIENCE])),
        ("exp", json!(now - 29.0)),
        ("exp", json!(now + 0.5)),
        ("nbf", json!(now + 29.0)),
        ("nbf", Value::Null),
    ] {
        let token = key.token("ES256", &claims_with(name, value.clone()));
        assert_eq!(refusal(&issuers, &token).await, None, "{name}: {value}");
    }
}

#[tokio::test]
async fn what_is_not_an_access_token_is_refused() {
    let key = SigningKey::p256("key");
    let issuers = with_keys(&[&key]);
    let good = key.token("ES256", &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let nested = "[".repeat(6_000);
    let mut malformed = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "abc".to_owned(),
        "ey.ey.ey".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "not base64!"),
        format!("{}.{}.{}", parts[0], encoded("[]"), parts[2]),
        format!("{}.{}.{}", parts[0], encoded(&nested), parts[2]),
        format!("{}.{}.{}", encoded(&nested), parts[1], parts[2]),
        format!("{}.{}.{}", encoded([0xff, 0xfe]), parts[1], parts[2]),
        // Five parts: an encrypted token.
        "a.b.c.d.e".to_owned(),
        key.token("ES256", &claims_with("padding", "x".repeat(17_000).into())),
        "a".repeat(60_000),
    ];
    for header in [
        json!({ "kid": "key" }),
        json!({ "alg": 7, "kid": "key" }),
        json!({ "alg": "ES256", "kid": "key", "typ": "logout+jwt" }),
        json!({ "alg": "ES256", "kid": "key", "typ": "dpop+jwt" }),
        json!({ "alg": "ES256", "kid": "key", "typ": 1 }),
        json!({ "alg": "ES256", "kid": "key", "crit": ["exp"], "exp": 1 }),
        json!({ "alg": "ES256", "kid": "key", "b64": false, "crit": ["b64"] }),
    ] {
        malformed.push(key.token_with(&header, &claims()));
    }
    for token in &malformed {
        let shown: String = token.chars().take(80).collect();
        let found = refusal(&issuers, token).await;
        assert_eq!(found, Some(TokenRefusal::Malformed), "{shown}");
    }
    for header in [
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES256", "kid": 1 }),
    ] {
        let token = key.token_with(&header, &claims());
        let found = refusal(&issuers, &token).await;
        assert_eq!(found, Some(TokenRefusal::UnknownKey), "{header}");
    }
    for typ in ["JWT", "at+JWT", "application/at+jwt"] {
        let header = json!({ "alg": "ES256", "kid": "key", "typ": typ });
        assert_eq!(
            refusal(&issuers, &key.token_with(&header, &claims())).await,
            None
        );
    }
}

#[tokio::test]
async fn audiences_of_one_issuer_lead_to_different_tenants() {
    let key = SigningKey::p256("key");
    let mut other = settings("fabrikam", &[]);
    other.audience = "api://fabrikam".to_owned();
    let issuers = known(vec![settings("contoso", &[]), other], &[&key]);
    let at = Timestamp::from_seconds(NOW);
    for (audience, tenant) in [(AUDIENCE, "contoso"), ("api://fabrikam", "fabrikam")] {
        let token = key.token("ES256", &claims_with("aud", audience.into()));
        let user = issuers.user(&token, at).await.unwrap();
        assert_eq!(user.settings.tenant, tenant);
    }
    let both = claims_with("aud", json!([AUDIENCE, "api://fabrikam"]));
    assert_eq!(
        refusal(&issuers, &key.token("ES256", &both)).await,
        Some(TokenRefusal::WrongAudience)
    );
}

#[tokio::test]
async fn names_and_roles_come_from_the_configured_claims() {
    let key = SigningKey::p256("key");
    let mut nested = settings("contoso", &[]);
    nested.claim = "realm_access.roles".to_owned();
    nested.name_claim = "nickname".to_owned();
    let issuers = known(vec![nested], &[&key]);
    let at = Timestamp::from_seconds(NOW);
    let cases = [
        (
            json!({ "nickname": "Ada", "upn": "ada@x" }),
            "Ada",
            json!({ "realm_access": { "roles": ["a", 1, "b"] } }),
            vec!["a", "b"],
        ),
        (
            json!({ "nickname": "", "upn": "ada@x" }),
            "ada@x",
            json!({ "realm_access.roles": "a" }),
            vec!["a"],
        ),
        (
            json!({ "email": "ada@y" }),
            "ada@y",
            json!({ "realm_access": "a" }),
            vec![],
        ),
        (json!({}), "user-1", json!({ "roles": ["a"] }), vec![]),
    ];
    for (names, name, roles, values) in cases {
        let mut claims = claims_with("preferred_username", Value::Null);
        let all = claims.as_object_mut().unwrap();
        all.remove("roles");
        all.extend(names.as_object().unwrap().clone());
        all.extend(roles.as_object().unwrap().clone());
        let token = key.token("ES256", &claims);
        let user = issuers.user(&token, at).await.unwrap();
        assert_eq!(user.name.as_str(), name);
        assert_eq!(user.values, values);
    }
}
