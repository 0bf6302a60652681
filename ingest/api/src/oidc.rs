//! Access tokens of OpenID Connect: from a bearer token that someone else has issued to a user.
//!
//! Owner: the API runtime; a task for each issuer keeps its keys (`issuer.rs`). Nothing but signatures by the keys of a
//! configured issuer is trusted; a token is verified for every request and never kept. Bounded: [`ISSUERS_MAX`] issuers,
//! the size of a token (`claims.rs`), of a document and the time of a fetch (`fetch.rs`), keys (`keys.rs`). It does not
//! sign anyone in to the console, knows no opaque tokens, and asks the issuer nothing about a token.

mod claims;
mod fetch;
mod issuer;
mod keys;
mod refusal;
mod user;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_engine::Timestamp;
use tokio::task::JoinSet;

pub use self::fetch::check_issuer;
pub use self::issuer::IssuerSettings;
pub use self::refusal::{IssuerCounters, TokenRefusal};
pub(crate) use self::user::User;

use self::claims::{Head, verified};
use self::issuer::Issuer;
use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Issuers of a configuration. Each has a task and at most 64 keys.
pub const ISSUERS_MAX: usize = 16;

/// Causes that the log distinguishes: issuer and refusal.
const LOGGED_CAUSES_MAX: usize = ISSUERS_MAX * TokenRefusal::ALL.len();

/// The configured issuers.
#[derive(Debug)]
pub struct Issuers {
    all: Vec<Issuer>,
    counters: Arc<IssuerCounters>,
    log: OncePerCause<(Option<String>, TokenRefusal)>,
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Issuers {
    /// Issuers whose keys are not known yet.
    #[must_use]
    pub fn new(settings: Vec<IssuerSettings>) -> Self {
        Self {
            all: settings.into_iter().map(Issuer::new).collect(),
            counters: Arc::default(),
            log: OncePerCause::new(LOGGED_CAUSES_MAX),
        }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> Arc<IssuerCounters> {
        Arc::clone(&self.counters)
    }

    /// Keeps the keys of all issuers up to date, in a task for each; ends only if there is none.
    pub async fn keep_keys(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        for index in 0..self.all.len() {
            let issuers = Arc::clone(&self);
            tasks.spawn(async move {
                let Issuer { settings, .. } = &issuers.all[index];
                let fetch = || fetch::keys_of(&settings.issuer, &settings.tls);
                issuers.all[index].keep_keys(fetch, &issuers.counters).await;
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// The user to whom a token was issued, if it is valid.
    pub(crate) async fn user(&self, token: &str, now: Timestamp) -> Result<User<'_>, TokenRefusal> {
        let head = Head::read(token).map_err(|cause| self.refuse(None, cause))?;
        let issuer = self.issuer_of(&head);
        let issuer = issuer.map_err(|cause| self.refuse(None, cause))?;
        let settings = &issuer.settings;
        let verifying = async {
            let found = issuer.key(&head.key_id, head.algorithm).await?;
            let expected = (settings.issuer.as_str(), settings.audience.as_str());
            verified(token, found.key()?, head.algorithm, expected, now)
        };
        let claims = verifying.await;
        let user = claims.and_then(|claims| User::read(settings, &claims));
        user.map_err(|cause| self.refuse(Some(&settings.issuer), cause))
    }

    /// The issuer that a token names, with an audience for which it is.
    fn issuer_of(&self, head: &Head) -> Result<&Issuer, TokenRefusal> {
        let own = self.all.iter();
        let own = own.filter(|issuer| issuer.settings.issuer == head.issuer);
        let mut own = own.peekable();
        own.peek().ok_or(TokenRefusal::UnknownIssuer)?;
        let mut wanted = own.filter(|issuer| head.audiences.contains(&issuer.settings.audience));
        match (wanted.next(), wanted.next()) {
            (Some(issuer), None) => Ok(issuer),
            // Two tenants: the token does not say which one.
            _ => Err(TokenRefusal::WrongAudience),
        }
    }

    /// Counts an accepted token.
    pub(crate) fn accept(&self) {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal and logs it, once a minute for each issuer and cause.
    pub(crate) fn refuse(&self, issuer: Option<&str>, cause: TokenRefusal) -> TokenRefusal {
        self.counters.refuse(cause);
        let key = (issuer.map(str::to_owned), cause);
        if let Some(suppressed) = self.log.permit(key, monotonic_ms()) {
            let (issuer, cause) = (issuer.unwrap_or("unknown"), cause.name());
            tracing::info!(issuer, cause, suppressed, "token of an issuer refused");
        }
        cause
    }
}
