//! The metric families of the front door: from an attempt to connect to a session.

use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::super::page::Family;
use super::family;

pub(in crate::backend::metrics) const ATTEMPTS: Family = family(
    "muster_net_attempts",
    Counter,
    &[],
    "Attempts to connect that were decided about: refused, asked to retry, or a handshake.",
);
pub(in crate::backend::metrics) const RETRIES: Family = family(
    "muster_net_retries",
    Counter,
    &[],
    "Connection attempts answered with a Retry to prove their address.",
);
pub(in crate::backend::metrics) const REFUSED: Family = family(
    "muster_net_refused",
    Counter,
    &["reason"],
    "Connection attempts turned away before a handshake.",
);
pub(in crate::backend::metrics) const HANDSHAKES: Family =
    family("muster_net_handshakes", Gauge, &[], "Handshakes under way.");
pub(in crate::backend::metrics) const HANDSHAKES_FAILED: Family = family(
    "muster_net_handshakes_failed",
    Counter,
    &["reason"],
    "Handshakes that failed.",
);
pub(in crate::backend::metrics) const TICKETS: Family = family(
    "muster_net_tickets",
    Gauge,
    &[],
    "TLS sessions kept, which clients may resume.",
);
pub(in crate::backend::metrics) const TICKETS_BYTES: Family = family(
    "muster_net_tickets_bytes",
    Gauge,
    &[],
    "Memory that kept TLS sessions take.",
);
pub(in crate::backend::metrics) const TICKETS_TAKEN: Family = family(
    "muster_net_tickets_taken",
    Counter,
    &[],
    "Handshakes that began with a ticket of a kept TLS session.",
);
pub(in crate::backend::metrics) const TICKETS_DISPLACED: Family = family(
    "muster_net_tickets_displaced",
    Counter,
    &[],
    "TLS sessions that made room for younger ones within a day.",
);
pub(in crate::backend::metrics) const CONNECTIONS: Family = family(
    "muster_net_connections",
    Counter,
    &[],
    "Connections that completed their handshake, or began with early data.",
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
    "Connections now, those that have not said Hello included.",
);
pub(in crate::backend::metrics) const OVER_TENANT_SHARE: Family = family(
    "muster_net_tenant_share_exceeded",
    Counter,
    &[],
    "Connections closed with `tooManyConnections` because their tenant had its share.",
);
pub(in crate::backend::metrics) const CLOSED_BEFORE_HELLO: Family = family(
    "muster_net_connections_closed_before_hello",
    Counter,
    &["code"],
    "Connections that ended without having been a session, by close code; also among the closed ones.",
);
pub(in crate::backend::metrics) const CLOSED: Family = family(
    "muster_net_connections_closed",
    Counter,
    &["code"],
    "Connections that ended, by close code; `none` ended without one (idle, reset, network).",
);
pub(in crate::backend::metrics) const SESSIONS_OPENED: Family = family(
    "muster_net_sessions_opened",
    Counter,
    &[],
    "Connections that said Hello and became a session.",
);
pub(in crate::backend::metrics) const SESSIONS: Family =
    family("muster_net_sessions", Gauge, &[], "Sessions now.");
