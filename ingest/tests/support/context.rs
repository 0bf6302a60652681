//! The state that sessions share, for tests of sessions without the rest of a server.
//!
//! One tenant, `contoso`; the test provides the configuration, inboxes and counters.

use std::sync::Arc;

use muster_engine::TenantIndex;
use muster_ingest::clock::Clock;
use muster_ingest::config::ListenConfig;
use muster_ingest::metrics::Metrics;
use muster_ingest::net::{ListenerContext, ServedTenants};
use muster_ingest::phase::PhaseSwitch;
use muster_ingest::route::RouteTable;

pub(crate) fn context(
    config: ListenConfig,
    routes: Arc<RouteTable>,
    metrics: Arc<Metrics>,
) -> Arc<ListenerContext> {
    Arc::new(ListenerContext {
        config,
        tenants: Arc::new(ServedTenants::new([("contoso".to_owned(), TenantIndex(0))])),
        routes,
        registry: Arc::default(),
        metrics,
        phase: PhaseSwitch::default(),
        log: ListenerContext::new_log(),
        clock: Clock::System,
    })
}
