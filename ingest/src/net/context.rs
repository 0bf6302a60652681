//! What the listener and every session of a server share.
//!
//! Owner: the server; each part has its own lock or none. Bounds: those of its parts, and [`LOGGED_CAUSES_MAX`] causes in
//! the log.

use std::collections::HashMap;
use std::sync::Arc;

use muster_engine::TenantIndex;

use super::registry::SessionRegistry;
use crate::clock::Clock;
use crate::config::ListenConfig;
use crate::metrics::Metrics;
use crate::phase::PhaseSwitch;
use crate::route::RouteTable;
use muster_api::OncePerCause;

/// How many distinct causes the log keeps apart.
const LOGGED_CAUSES_MAX: usize = 64;

/// What every session needs; shared.
#[derive(Debug)]
pub struct ListenerContext {
    /// The `listen` section of the configuration.
    pub config: ListenConfig,
    /// The configured tenants and their indexes; nobody else gets in.
    pub tenants: HashMap<String, TenantIndex>,
    /// Where check-ins go.
    pub routes: Arc<RouteTable>,
    /// Who is connected.
    pub registry: Arc<SessionRegistry>,
    /// What happened.
    pub metrics: Arc<Metrics>,
    /// What the server is doing.
    pub phase: PhaseSwitch,
    /// Logs a cause once a minute.
    pub log: OncePerCause<&'static str>,
    /// Where sessions take their time from.
    pub clock: Clock,
}

impl ListenerContext {
    /// The bounded log of causes that a context needs.
    pub fn new_log() -> OncePerCause<&'static str> {
        OncePerCause::new(LOGGED_CAUSES_MAX)
    }

    /// Logs a refusal by cause, at most once a minute, with the number left out.
    pub(super) fn log_cause(&self, cause: &'static str, detail: &dyn std::fmt::Display) {
        if let Some(suppressed) = self.log.permit(cause, self.clock.wall().as_millis()) {
            tracing::warn!(cause, suppressed, %detail, "refused");
        }
    }
}
