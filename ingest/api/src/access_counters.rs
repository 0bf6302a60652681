//! Counts what the API refuses, and the accesses that the audit log has no record of.
//!
//! Shared by all threads. Bounded: causes are a closed set. Nothing here grows with what a client sends.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum RefusedCause {
    /// It has no token, or not one header with one.
    TokenMissing,
    /// No token has this secret: it never existed, or was revoked.
    TokenUnknown,
    /// The token has expired, or its role does not exist.
    TokenExpired,
    /// Someone tried to sign in to the console with a token or code that is not valid.
    SignIn,
    /// The principal may not do this.
    Forbidden,
}

impl RefusedCause {
    /// Every member.
    pub const ALL: [Self; 5] = [
        Self::TokenMissing,
        Self::TokenUnknown,
        Self::TokenExpired,
        Self::SignIn,
        Self::Forbidden,
    ];

    /// The label in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenMissing => "tokenMissing",
            Self::TokenUnknown => "tokenUnknown",
            Self::TokenExpired => "tokenExpired",
            Self::SignIn => "signIn",
            Self::Forbidden => "forbidden",
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub struct AccessCounters {
    refused: [AtomicU64; RefusedCause::ALL.len()],
    unrecorded: AtomicU64,
}

impl AccessCounters {
    /// Counts a request that is refused.
    pub(crate) fn refuse(&self, cause: RefusedCause) {
        self.refused[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts accesses that no record of the audit log stands for.
    pub(crate) fn miss(&self, count: u64) {
        self.unrecorded.fetch_add(count, Ordering::Relaxed);
    }

    /// Requests refused for this cause.
    #[must_use]
    pub fn refused(&self, cause: RefusedCause) -> u64 {
        self.refused[cause as usize].load(Ordering::Relaxed)
    }

    /// Accesses that no record of the audit log stands for.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }
}
