//! Samples of numbers and choices from a seeded random stream. Pure.

use muster_testkit::random::{Random, splitmix64};

/// A number from `first` to `last`, uniformly distributed.
pub const fn uniform(random: &mut Random, first: u64, last: u64) -> u64 {
    first + random.below(last - first + 1)
}

/// A number from `first` to `last`, log-uniformly distributed: small numbers fill bounds, large ones take time, and a
/// run needs both.
pub fn log_uniform(random: &mut Random, first: u64, last: u64) -> u64 {
    let (low, high) = ((first as f64).ln(), (last as f64).ln());
    let fraction = random.below(1 << 32) as f64 / f64::from(u32::MAX);
    let number = (low + (high - low) * fraction).exp().round() as u64;
    number.clamp(first, last)
}

/// The next seed. Each directory of a run gets the seed after that of the one before, so a run with the seed of a
/// directory begins with that directory. Below 2^48, so that every JSON parser keeps it exact.
pub const fn next_seed(seed: u64) -> u64 {
    splitmix64(seed) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_uniform_numbers_have_all_sizes() {
        let mut random = Random::new(1, 1);
        let numbers: Vec<u64> = (0..1000)
            .map(|_| log_uniform(&mut random, 1, 4096))
            .collect();
        assert!(numbers.iter().all(|number| (1..=4096).contains(number)));
        let small = numbers.iter().filter(|number| **number < 64).count();
        assert!((400..600).contains(&small), "{small} of 1000 below 64");
    }

    #[test]
    fn uniform_numbers_include_both_bounds() {
        let mut random = Random::new(2, 2);
        let numbers: Vec<u64> = (0..100).map(|_| uniform(&mut random, 3, 5)).collect();
        assert!([3, 4, 5].iter().all(|number| numbers.contains(number)));
        assert!(numbers.iter().all(|number| (3..=5).contains(number)));
    }
}
