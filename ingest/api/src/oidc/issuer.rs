//! One issuer: its settings, and its keys, which a task keeps up to date.
//!
//! The task fetches at the start, every [`REFRESH_EVERY`], and when a token names an unknown key, which is how the
//! rotation of keys is noticed; after each fetch it rests for [`REST`], so that tokens with invented keys cannot make
//! the server flood its issuer. Only a request whose key is unknown waits for a fetch. Keys are kept while the issuer
//! cannot be reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::ClientConfig;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::fetch::{FETCH_MAX, FetchError};
use super::keys::KeySet;
use super::refusal::{IssuerCounters, TokenRefusal};

/// For how long a key that the issuer has withdrawn is accepted at most.
const REFRESH_EVERY: Duration = Duration::from_secs(15 * 60);

/// After a failed fetch.
const RETRY_EVERY: Duration = Duration::from_secs(30);

/// Between two fetches.
const REST: Duration = Duration::from_secs(10);

/// An issuer of access tokens whose users may use the API.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// Its URL, as in the claim `iss`.
    pub issuer: String,
    /// What its tokens must be for: a value of the claim `aud`.
    pub audience: String,
    /// The name of the tenant of its users.
    pub tenant: String,
    /// The claim with the roles or groups of a user; dots lead into nested claims.
    pub claim: String,
    /// The claim with the name of a user.
    pub name_claim: String,
    /// The name or id of the role definition of each value of the claim.
    pub roles: BTreeMap<String, String>,
    /// Whose certificates its server may have.
    pub tls: Arc<ClientConfig>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A fetch is in progress.
    Fetching,
    /// A fetch has ended less than [`REST`] ago.
    Resting,
    /// A fetch may begin.
    Idle,
}

#[derive(Debug)]
struct Known {
    keys: Option<Arc<KeySet>>,
    phase: Phase,
}

/// An issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    known: watch::Sender<Known>,
    /// A token names an unknown key.
    wanted: Notify,
}

/// A key, by its id.
pub(super) struct Found {
    keys: Arc<KeySet>,
    id: String,
    algorithm: Algorithm,
}

impl Found {
    pub(super) fn key(&self) -> Result<&DecodingKey, TokenRefusal> {
        self.keys.find(&self.id, self.algorithm)
    }
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings) -> Self {
        Self {
            settings,
            known: watch::Sender::new(Known {
                keys: None,
                phase: Phase::Fetching,
            }),
            wanted: Notify::new(),
        }
    }

    /// Sets the keys, as a fetch would.
    #[cfg(test)]
    pub(super) fn know(&self, keys: KeySet) {
        self.known.send_modify(|known| {
            known.keys = Some(Arc::new(keys));
            known.phase = Phase::Resting;
        });
    }

    fn enter(&self, phase: Phase) {
        // Nobody waits for a phase.
        self.known.send_if_modified(|known| {
            known.phase = phase;
            false
        });
    }

    /// Keeps the keys up to date; never returns.
    pub(super) async fn keep_keys<F>(&self, fetch: impl Fn() -> F, counters: &IssuerCounters)
    where
        F: Future<Output = Result<KeySet, FetchError>>,
    {
        let issuer = self.settings.issuer.as_str();
        let mut failures = 0_u64;
        loop {
            self.enter(Phase::Fetching);
            let fetched = fetch().await;
            let pause = match &fetched {
                Ok(_) => REFRESH_EVERY,
                Err(_) => RETRY_EVERY,
            };
            match &fetched {
                Ok(_) if failures > 0 => {
                    tracing::info!(issuer, failures, "keys of the issuer fetched again");
                }
                Err(error) if failures == 0 => {
                    tracing::warn!(issuer, %error, "cannot fetch the keys of the issuer; those known stay in use");
                }
                _ => {}
            }
            failures = counters.fetch_ended(fetched.is_ok(), failures);
            self.known.send_modify(|known| {
                known.keys = fetched.ok().map(Arc::new).or(known.keys.take());
                known.phase = Phase::Resting;
            });
            sleep(REST).await;
            self.enter(Phase::Idle);
            // Elapses without a request; its result does not matter.
            let _ = timeout(pause.saturating_sub(REST), self.wanted.notified()).await;
        }
    }

    /// The key of a token. Waits for a fetch only if the key is unknown.
    pub(super) async fn key(&self, id: &str, algorithm: Algorithm) -> Result<Found, TokenRefusal> {
        let mut known = self.known.subscribe();
        let (found, phase) = {
            let known = known.borrow_and_update();
            (Self::find(&known, id, algorithm), known.phase)
        };
        let is_unknown = matches!(
            found,
            Err(TokenRefusal::UnknownKey | TokenRefusal::KeysMissing)
        );
        if !is_unknown || phase == Phase::Resting {
            return found;
        }
        if phase == Phase::Idle {
            self.wanted.notify_one();
        }
        // An error means that the fetch takes too long; the keys are then those of before.
        let _ = timeout(FETCH_MAX, known.changed()).await;
        let known = self.known.borrow();
        Self::find(&known, id, algorithm)
    }

    fn find(known: &Known, id: &str, algorithm: Algorithm) -> Result<Found, TokenRefusal> {
        let keys = known.keys.as_ref().ok_or(TokenRefusal::KeysMissing)?;
        keys.find(id, algorithm)?;
        Ok(Found {
            keys: Arc::clone(keys),
            id: id.to_owned(),
            algorithm,
        })
    }
}
