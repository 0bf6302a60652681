//! All latencies of one run, so percentiles are exact. Bounds: 8 bytes per operation of the bench.

use std::time::Duration;

/// How long each operation took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    nanoseconds: Vec<u64>,
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.nanoseconds.push(latency.as_nanos() as u64);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.nanoseconds.extend(others.nanoseconds);
    }

    pub(crate) fn count(&self) -> usize {
        self.nanoseconds.len()
    }

    /// The longest time without a completed operation, for operations that all started at the same time.
    pub(crate) fn longest_gap_us(&self) -> u64 {
        let mut ends = self.nanoseconds.clone();
        ends.sort_unstable();
        let starts = std::iter::once(&0).chain(&ends);
        let gaps = starts.zip(&ends).map(|(start, end)| end - start);
        gaps.max().unwrap_or_default() / 1000
    }

    /// Percentiles by nearest rank, in microseconds; 0 if nothing was measured.
    pub(crate) fn percentiles_us<const N: usize>(&self, percentiles: [f64; N]) -> [u64; N] {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        percentiles.map(|percentile| {
            let rank = (percentile / 100.0 * sorted.len() as f64).ceil() as usize;
            let index = rank.clamp(1, sorted.len().max(1)) - 1;
            sorted.get(index).copied().unwrap_or_default() / 1000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut latencies = Latencies::default();
        (1..=200)
            .rev()
            .for_each(|microseconds| latencies.add(Duration::from_micros(microseconds)));
        assert_eq!(
            latencies.percentiles_us([50.0, 99.0, 100.0]),
            [100, 198, 200]
        );
        assert_eq!(Latencies::default().percentiles_us([50.0]), [0]);
    }

    #[test]
    fn the_longest_gap_may_be_before_the_first_operation_that_ends() {
        let gap = |ends: &[u64]| {
            let mut latencies = Latencies::default();
            for end in ends {
                latencies.add(Duration::from_micros(*end));
            }
            latencies.longest_gap_us()
        };
        assert_eq!(gap(&[90, 30, 40]), 50);
        assert_eq!(gap(&[90, 80]), 80);
        assert_eq!(gap(&[]), 0);
    }
}
