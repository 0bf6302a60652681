//! Draws: numbers and choices from a seeded stream. Pure.

use muster_loadgen::random::{Random, mix};

/// A number from `first` to `last`, each as likely.
pub const fn between(random: &mut Random, first: u64, last: u64) -> u64 {
    first + random.below(last - first + 1)
}

/// One of these, each as likely.
pub fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    // Below the length, so it fits.
    all[random.below(all.len() as u64) as usize]
}

/// A number from `first` to `last`, each power of two as likely: small numbers are where things are
/// tight, large ones where they are slow, and both must come up.
pub fn spread(random: &mut Random, first: u64, last: u64) -> u64 {
    let (low, high) = ((first as f64).ln(), (last as f64).ln());
    let place = random.below(1 << 32) as f64 / f64::from(u32::MAX);
    let drawn = (low + (high - low) * place).exp().round() as u64;
    drawn.clamp(first, last)
}

/// The seed after this one. Directories of a run are seeded one from the other, so the seed of a directory,
/// given to a new run, makes it the first. Below 2^48: every reader of JSON keeps it exact.
pub const fn next_seed(seed: u64) -> u64 {
    mix(seed) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_over_all_sizes() {
        let mut random = Random::new(1, 1);
        let drawn: Vec<u64> = (0..1000).map(|_| spread(&mut random, 1, 4096)).collect();
        assert!(drawn.iter().all(|number| (1..=4096).contains(number)));
        let small = drawn.iter().filter(|number| **number < 64).count();
        assert!((400..600).contains(&small), "{small} of 1000 below 64");
    }

    #[test]
    fn every_choice_comes_up() {
        let mut random = Random::new(2, 2);
        let drawn: Vec<u64> = (0..100).map(|_| between(&mut random, 3, 5)).collect();
        assert!([3, 4, 5].iter().all(|number| drawn.contains(number)));
        assert!(drawn.iter().all(|number| (3..=5).contains(number)));
    }
}
