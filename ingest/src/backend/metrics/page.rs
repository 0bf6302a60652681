//! Writes metric families as OpenMetrics text, with the encoder of `prometheus-client`.
//!
//! Pure. Bounds: one page in memory, whose size depends on the number of shards only. It knows no family.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::distribution::Distribution;

/// A metric family. A test compares it with its row in docs/reference/METRICS.md.
#[derive(Debug)]
pub(super) struct Family {
    /// The name without the suffix that the encoder adds to counters (`_total`) and infos (`_info`).
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    /// The label names; the values are closed sets.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// The value of one series.
#[derive(Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    Histogram(Distribution),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Distribution> for Value {
    fn from(value: Distribution) -> Self {
        Self::Histogram(value)
    }
}

/// The page being written.
#[derive(Debug)]
pub(super) struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder }
    }

    /// Writes a family without labels.
    pub(super) fn one(&mut self, family: &Family, value: impl Into<Value>) -> fmt::Result {
        self.many(family, [([], value)])
    }

    /// Writes a family by its label values; writes nothing for a family without series.
    pub(super) fn many<const LABELS: usize, V: Into<Value>>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([String; LABELS], V)>,
    ) -> fmt::Result {
        assert_eq!(
            LABELS,
            family.labels.len(),
            "{} has other labels",
            family.name
        );
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let Family {
            name, kind, help, ..
        } = *family;
        let mut encoder = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series {
            let names = family.labels.iter().copied();
            let labels: Vec<(&str, String)> = names.zip(labels).collect();
            match (kind, labels.is_empty()) {
                (MetricType::Info, _) => encoder.encode_info(&labels)?,
                (_, true) => encode(kind, &mut encoder, value.into())?,
                (_, false) => encode(kind, &mut encoder.encode_family(&labels)?, value.into())?,
            }
        }
        Ok(())
    }
}

fn encode(kind: MetricType, encoder: &mut MetricEncoder<'_>, value: Value) -> fmt::Result {
    match (kind, value) {
        (MetricType::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, u64, f64>(&value, None)
        }
        (MetricType::Counter, Value::Real(value)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(&value, None)
        }
        (_, Value::Whole(value)) => encoder.encode_gauge(&value),
        (_, Value::Real(value)) => encoder.encode_gauge(&value),
        (
            _,
            Value::Histogram(Distribution {
                sum,
                count,
                buckets,
            }),
        ) => encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None),
    }
}
