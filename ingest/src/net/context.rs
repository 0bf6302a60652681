//! State shared by the listener and all sessions of a server.
//!
//! Owner: the server; each field has its own lock or none. Bounds: those of the fields, and [`LOGGED_CAUSES_MAX`]
//! causes in the log.

use std::sync::Arc;

use super::registry::SessionRegistry;
use super::tenants::ServedTenants;
use crate::clock::Clock;
use crate::config::ListenConfig;
use crate::metrics::Metrics;
use crate::phase::PhaseSwitch;
use crate::route::RouteTable;
use muster_api::OncePerCause;

/// How many distinct causes the log rate-limits separately.
const LOGGED_CAUSES_MAX: usize = 64;

/// Shared by the listener and every session.
#[derive(Debug)]
pub struct ListenerContext {
    /// The `listen` section of the configuration.
    pub config: ListenConfig,
    /// The tenants that exist; certificates of others are refused.
    pub tenants: Arc<ServedTenants>,
    /// Inboxes of the shard threads.
    pub routes: Arc<RouteTable>,
    /// Open sessions.
    pub registry: Arc<SessionRegistry>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// The phase of the server.
    pub phase: PhaseSwitch,
    /// Rate limiter of the log: one line a minute for each cause.
    pub log: OncePerCause<&'static str>,
    /// The clock that sessions read.
    pub clock: Clock,
}

impl ListenerContext {
    /// Creates the log rate limiter of a context.
    pub fn new_log() -> OncePerCause<&'static str> {
        OncePerCause::new(LOGGED_CAUSES_MAX)
    }

    /// The time of [`Self::log`]: the monotonic clock, so that a clock that is set back silences no cause.
    pub fn log_time_ms(&self) -> u64 {
        self.clock.stamp().0 / 1_000_000
    }

    /// Logs a refusal by cause, at most once a minute, with the number of suppressed lines.
    pub(super) fn log_cause(&self, cause: &'static str, detail: &dyn std::fmt::Display) {
        if let Some(suppressed) = self.log.permit(cause, self.log_time_ms()) {
            tracing::warn!(cause, suppressed, %detail, "refused a connection, a session or a record");
        }
    }
}
