//! Latencies of one run, all of them: percentiles are exact. Bounded by the work of a bench, 8 bytes each.

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
}
