//! Converts HDR histograms to the buckets and quantiles of a scrape.
//!
//! Buckets can be summed over servers and differenced over time; quantiles are exact to two digits, but cover the whole
//! time since the start. A scrape has both. Pure.

use hdrhistogram::Histogram;

/// Upper bounds of latency buckets: 10 µs to 10 s in steps of 1, 2, 5.
const LATENCY_NANOS: [u64; 19] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds of buckets of batch sizes.
const SIZES: [u64; 8] = [1, 4, 16, 64, 256, 1024, 4096, 16_384];

/// The exported quantiles, by label; 1 is the maximum.
pub(super) const QUANTILES: [(&str, f64); 5] = [
    ("0.5", 0.5),
    ("0.9", 0.9),
    ("0.99", 0.99),
    ("0.999", 0.999),
    ("1", 1.0),
];

const NANOS_PER_SECOND: f64 = 1e9;

/// A histogram as the encoder expects it: buckets by upper bound, not cumulative.
#[derive(Debug)]
pub(super) struct Distribution {
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) buckets: Vec<(f64, u64)>,
}

/// Converts latencies from nanoseconds to seconds.
pub(super) fn latency(histogram: &Histogram<u64>) -> Distribution {
    distribution(histogram, &LATENCY_NANOS, NANOS_PER_SECOND)
}

/// Converts sizes, such as the check-ins per batch.
pub(super) fn sizes(histogram: &Histogram<u64>) -> Distribution {
    distribution(histogram, &SIZES, 1.0)
}

fn distribution(histogram: &Histogram<u64>, bounds: &[u64], unit: f64) -> Distribution {
    let mut counts = vec![0; bounds.len() + 1];
    let mut sum = 0.0;
    for step in histogram.iter_recorded() {
        let (value, count) = (step.value_iterated_to(), step.count_at_value());
        counts[bounds.partition_point(|bound| *bound < value)] += count;
        sum += histogram.median_equivalent(value) as f64 * count as f64;
    }
    let uppers = bounds
        .iter()
        .map(|bound| *bound as f64 / unit)
        .chain([f64::INFINITY]);
    Distribution {
        sum: sum / unit,
        count: histogram.len(),
        buckets: uppers.zip(counts).collect(),
    }
}

/// The quantiles of latencies in seconds; NaN without any observation.
pub(super) fn quantiles(histogram: &Histogram<u64>) -> [(&'static str, f64); QUANTILES.len()] {
    QUANTILES.map(|(label, quantile)| {
        let seconds = if histogram.is_empty() {
            f64::NAN
        } else {
            histogram.value_at_quantile(quantile) as f64 / NANOS_PER_SECOND
        };
        (label, seconds)
    })
}

/// The sum of histograms; `None` without histograms.
pub(super) fn merged<'a>(
    histograms: impl Iterator<Item = &'a Histogram<u64>>,
) -> Option<Histogram<u64>> {
    histograms.fold(None, |sum: Option<Histogram<u64>>, histogram| match sum {
        None => Some(histogram.clone()),
        Some(mut sum) => sum.add(histogram).is_ok().then_some(sum),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::latency_histogram;

    #[test]
    fn every_latency_falls_in_one_bucket_and_the_sum_is_near() {
        let mut histogram = latency_histogram();
        for nanos in [5_000, 9_000, 15_000, 3_000_000, 3_000_000, 30_000_000_000] {
            histogram.record(nanos).unwrap();
        }
        let latency = latency(&histogram);
        let full: Vec<_> = latency
            .buckets
            .iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            full,
            [&(1e-5, 2), &(2e-5, 1), &(5e-3, 2), &(f64::INFINITY, 1)]
        );
        assert_eq!(latency.count, 6);
        assert!((latency.sum - 30.006).abs() < 0.3, "{}", latency.sum);
    }

    #[test]
    fn quantiles_of_an_empty_histogram_are_nan() {
        let mut histogram = latency_histogram();
        assert!(
            quantiles(&histogram)
                .iter()
                .all(|(_, seconds)| seconds.is_nan())
        );
        histogram.record(2_000_000).unwrap();
        let near = |seconds: f64| (seconds - 0.002).abs() < 0.000_1;
        assert!(
            quantiles(&histogram)
                .iter()
                .all(|(_, seconds)| near(*seconds))
        );
    }

    #[test]
    fn merging_adds_and_nothing_merges_to_nothing() {
        assert!(merged([].into_iter()).is_none());
        let mut one = latency_histogram();
        one.record(1_000).unwrap();
        let both = merged([&one, &one].into_iter()).unwrap();
        assert_eq!(both.len(), 2);
    }
}
