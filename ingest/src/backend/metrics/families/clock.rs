//! The metric families of the service time.

use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::super::page::Family;
use super::family;

pub(in crate::backend::metrics) const TIME: Family = family(
    "muster_clock_time_seconds",
    Gauge,
    &[],
    "The service time, in seconds since the Unix epoch.",
);
pub(in crate::backend::metrics) const STEP: Family = family(
    "muster_clock_step_seconds",
    Gauge,
    &[],
    "Step of the wall clock that the service time has not followed yet; 0 without a step.",
);
pub(in crate::backend::metrics) const STEPS: Family = family(
    "muster_clock_steps",
    Counter,
    &[],
    "Steps of the wall clock, followed or not.",
);
pub(in crate::backend::metrics) const FOLLOWED: Family = family(
    "muster_clock_steps_followed",
    Counter,
    &[],
    "Steps of the wall clock that the service time has followed.",
);
