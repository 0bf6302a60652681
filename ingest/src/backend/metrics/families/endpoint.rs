//! The metric families of the operations endpoint itself, and of the refusals of the operators' API.

use prometheus_client::metrics::MetricType::Counter;

use super::super::page::Family;
use super::family;

pub(in crate::backend::metrics) const CONNECTIONS: Family = family(
    "muster_ops_connections",
    Counter,
    &[],
    "Connections of operators that were accepted.",
);
pub(in crate::backend::metrics) const EVICTED: Family = family(
    "muster_ops_connections_evicted",
    Counter,
    &[],
    "Connections of operators closed for another before they had sent the head of a request.",
);
pub(in crate::backend::metrics) const REFUSED: Family = family(
    "muster_ops_requests_refused",
    Counter,
    &[],
    "Requests of operators answered with busy, as many others were being answered.",
);
pub(in crate::backend::metrics) const ACCEPTS_FAILED: Family = family(
    "muster_ops_accepts_failed",
    Counter,
    &[],
    "Times that the system did not hand over a connection of an operator.",
);
pub(in crate::backend::metrics) const API_REFUSED: Family = family(
    "muster_api_requests_refused",
    Counter,
    &["cause"],
    "Requests of the operators' API and sign-ins to the console that were refused, by cause.",
);
pub(in crate::backend::metrics) const API_UNRECORDED: Family = family(
    "muster_api_accesses_unrecorded",
    Counter,
    &[],
    "Refused requests, sign-ins and downloads that no record of the audit log stands for.",
);
