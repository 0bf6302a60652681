//! The metric families of connections, from a connection attempt to a session.

use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::super::page::Family;
use super::family;

pub(in crate::backend::metrics) const ATTEMPTS: Family = family(
    "muster_net_attempts",
    Counter,
    &[],
    "Connection attempts: refused, answered with a Retry, or begun a handshake.",
);
pub(in crate::backend::metrics) const RETRIES: Family = family(
    "muster_net_retries",
    Counter,
    &[],
    "Connection attempts answered with a Retry to validate their address.",
);
pub(in crate::backend::metrics) const REFUSED: Family = family(
    "muster_net_refused",
    Counter,
    &["reason"],
    "Connection attempts refused before a handshake, by reason.",
);
pub(in crate::backend::metrics) const HANDSHAKES: Family = family(
    "muster_net_handshakes",
    Gauge,
    &[],
    "Handshakes in progress.",
);
pub(in crate::backend::metrics) const HANDSHAKES_FAILED: Family = family(
    "muster_net_handshakes_failed",
    Counter,
    &["reason"],
    "Failed handshakes, by reason.",
);
pub(in crate::backend::metrics) const TICKETS: Family = family(
    "muster_net_tickets",
    Gauge,
    &[],
    "Stored TLS sessions, which clients may resume.",
);
pub(in crate::backend::metrics) const TICKETS_BYTES: Family = family(
    "muster_net_tickets_bytes",
    Gauge,
    &[],
    "Memory of the stored TLS sessions.",
);
pub(in crate::backend::metrics) const HANDSHAKES_RESUMED: Family = family(
    "muster_net_handshakes_resumed",
    Counter,
    &[],
    "Handshakes that resumed a stored TLS session.",
);
pub(in crate::backend::metrics) const TICKETS_EVICTED: Family = family(
    "muster_net_tickets_evicted",
    Counter,
    &[],
    "TLS sessions evicted before they expired.",
);
pub(in crate::backend::metrics) const CONNECTIONS: Family = family(
    "muster_net_connections",
    Counter,
    &[],
    "Connections that completed their handshake or began with early data.",
);
pub(in crate::backend::metrics) const CONNECTIONS_EARLY: Family = family(
    "muster_net_connections_early",
    Counter,
    &[],
    "Connections that began with early data (0-RTT).",
);
pub(in crate::backend::metrics) const CONNECTIONS_OPEN: Family = family(
    "muster_net_connections_open",
    Gauge,
    &[],
    "Open connections, including those without a Hello.",
);
pub(in crate::backend::metrics) const OVER_TENANT_SHARE: Family = family(
    "muster_net_tenant_share_exceeded",
    Counter,
    &[],
    "Connections closed with `tooManyConnections` because their tenant's share was in use.",
);
pub(in crate::backend::metrics) const CLOSED_BEFORE_HELLO: Family = family(
    "muster_net_connections_closed_before_hello",
    Counter,
    &["code"],
    "Connections that ended before their Hello, by close code; a subset of the closed connections.",
);
pub(in crate::backend::metrics) const CLOSED: Family = family(
    "muster_net_connections_closed",
    Counter,
    &["code"],
    "Closed connections, by close code; `none` ended without one (idle timeout, reset, network).",
);
pub(in crate::backend::metrics) const SESSIONS_OPENED: Family = family(
    "muster_net_sessions_opened",
    Counter,
    &[],
    "Sessions opened by a Hello.",
);
pub(in crate::backend::metrics) const SESSIONS: Family =
    family("muster_net_sessions", Gauge, &[], "Open sessions.");
