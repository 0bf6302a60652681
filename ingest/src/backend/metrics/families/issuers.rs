//! The metric families of the issuers of OpenID Connect and their tokens.

use prometheus_client::metrics::MetricType::Counter;

use super::super::page::Family;
use super::family;

pub(in crate::backend::metrics) const ACCEPTED: Family = family(
    "muster_issuer_tokens_accepted",
    Counter,
    &[],
    "Requests with a valid token of an issuer.",
);
pub(in crate::backend::metrics) const REFUSED: Family = family(
    "muster_issuer_tokens_refused",
    Counter,
    &["cause"],
    "Requests refused because of their token of an issuer, by cause.",
);
pub(in crate::backend::metrics) const FETCHED: Family = family(
    "muster_issuer_keys_fetched",
    Counter,
    &[],
    "Times that the keys of an issuer were fetched.",
);
pub(in crate::backend::metrics) const FAILED: Family = family(
    "muster_issuer_fetches_failed",
    Counter,
    &[],
    "Times that the keys of an issuer could not be fetched.",
);
