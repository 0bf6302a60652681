//! Why a token of an issuer is refused, and how often that happened.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a token of an issuer is refused. Only log and metrics tell the causes apart; clients see one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenRefusal {
    /// It is not a JWT, is too long, or lacks what every token must have.
    Malformed,
    /// No configured issuer has issued it.
    UnknownIssuer,
    /// It is for another audience, or for more than one that is configured.
    WrongAudience,
    /// Its algorithm is not allowed, or not the one of its key.
    Algorithm,
    /// The issuer has no such key.
    UnknownKey,
    /// The keys of the issuer have never been fetched.
    KeysMissing,
    /// The signature does not match.
    Signature,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is bound to a key of its client, which a bearer token does not prove.
    Bound,
    /// The tenant of its issuer does not exist.
    UnknownTenant,
    /// None of its roles or groups is mapped to a role definition.
    NoRole,
}

impl TokenRefusal {
    /// Every cause.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::UnknownIssuer,
        Self::WrongAudience,
        Self::Algorithm,
        Self::UnknownKey,
        Self::KeysMissing,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Bound,
        Self::UnknownTenant,
        Self::NoRole,
    ];

    /// The name, for log and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknownIssuer",
            Self::WrongAudience => "wrongAudience",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknownKey",
            Self::KeysMissing => "keysMissing",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "notYetValid",
            Self::Bound => "bound",
            Self::UnknownTenant => "unknownTenant",
            Self::NoRole => "noRole",
        }
    }
}

/// What is counted about issuers and their tokens since the start.
#[derive(Debug, Default)]
pub struct IssuerCounters {
    /// Tokens accepted.
    pub accepted: AtomicU64,
    /// Key sets fetched.
    pub fetched: AtomicU64,
    /// Attempts to fetch a key set that failed.
    pub failed: AtomicU64,
    refused: [AtomicU64; TokenRefusal::ALL.len()],
}

impl IssuerCounters {
    /// Tokens refused for a cause.
    #[must_use]
    pub fn refused(&self, cause: TokenRefusal) -> u64 {
        self.refused[cause as usize].load(Ordering::Relaxed)
    }

    /// Counts a fetch; returns the number of those that failed in a row, of which there were `failures` before.
    pub(super) fn fetch_ended(&self, succeeded: bool, failures: u64) -> u64 {
        if succeeded {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            return 0;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        failures + 1
    }

    pub(super) fn refuse(&self, cause: TokenRefusal) {
        self.refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_counter() {
        for (index, cause) in TokenRefusal::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index, "{}", cause.name());
        }
    }
}
