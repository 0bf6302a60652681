//! Tokens and key sets of issuers: good ones, and every way in which they can be wrong.

pub(crate) mod signing;

mod keys;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use muster_engine::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use self::signing::SigningKey;
use super::fetch::FetchError;
use super::keys::KeySet;
use super::{IssuerSettings, Issuers, TokenRefusal};

/// The service time of the tests.
pub(crate) const NOW: u32 = 1_767_225_600;

pub(crate) const ISSUER: &str = "https://login.example.test/tenant";
pub(crate) const AUDIENCE: &str = "api://muster";

/// A TLS configuration that trusts nobody.
pub(super) fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Arc::new(config)
}

/// An issuer for the users of a tenant.
pub(crate) fn settings(tenant: &str, roles: &[(&str, &str)]) -> IssuerSettings {
    let pair = |(value, role): &(&str, &str)| ((*value).to_owned(), (*role).to_owned());
    IssuerSettings {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        tenant: tenant.to_owned(),
        claim: "roles".to_owned(),
        name_claim: "preferred_username".to_owned(),
        roles: roles.iter().map(pair).collect::<BTreeMap<_, _>>(),
        tls: tls(),
    }
}

/// The claims of a user, valid now.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        "preferred_username": "ada@example.test", "roles": ["Muster.Admin"],
    })
}

/// The claims with one of them changed; null removes it.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    match value {
        Value::Null => drop(object.remove(name)),
        value => drop(object.insert(name.to_owned(), value)),
    }
    claims
}

/// A JWK set of these keys.
pub(super) fn key_set(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
}

/// Issuers whose keys are known, and stay so without a task.
pub(crate) fn known(all: Vec<IssuerSettings>, keys: &[&SigningKey]) -> Issuers {
    let issuers = Issuers::new(all);
    let document = key_set(keys).to_string();
    for issuer in &issuers.all {
        issuer.know(KeySet::read(document.as_bytes()).unwrap());
    }
    issuers
}

/// What an issuer publishes: a JWK set, or nothing while it cannot be reached.
#[derive(Debug, Default)]
struct Published {
    document: Mutex<Option<Value>>,
    fetches: AtomicUsize,
}

impl Published {
    fn set(&self, document: Option<Value>) {
        *self.document.lock().unwrap() = document;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }
}

/// Issuers with a task that fetches what one of them publishes.
fn published(first: Option<Value>) -> (Arc<Issuers>, Arc<Published>) {
    let issuers = Arc::new(Issuers::new(vec![settings("contoso", &[])]));
    let published = Arc::new(Published::default());
    published.set(first);
    let (kept, source) = (Arc::clone(&issuers), Arc::clone(&published));
    tokio::spawn(async move {
        let fetch = || async {
            source.fetches.fetch_add(1, Ordering::Relaxed);
            // As long as a fetch takes, so that requests wait for it.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let document = source.document.lock();
            let document = document.unwrap_or_else(PoisonError::into_inner).clone();
            let document = document.ok_or(FetchError::Deadline)?;
            Ok(KeySet::read(document.to_string().as_bytes()).unwrap())
        };
        kept.all[0].keep_keys(fetch, &kept.counters).await;
    });
    (issuers, published)
}

/// Why a token is refused; `None` if it is not.
async fn refusal(issuers: &Issuers, token: &str) -> Option<TokenRefusal> {
    issuers
        .user(token, Timestamp::from_seconds(NOW))
        .await
        .err()
}
