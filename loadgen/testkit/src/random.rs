//! Random numbers that are the same for the same seed on every machine.
//!
//! wyrand needs one multiplication per number, which is cheap enough to generate millions of check-ins per second. It
//! is good enough to choose devices, but not for secrets. On the hot path.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream with this number of a seed. Every connection and device has its own stream.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self(splitmix64(seed ^ splitmix64(stream)))
    }

    /// Returns the next 64 bits.
    #[inline]
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = self.0 as u128 * (self.0 ^ 0xe703_7ed1_a0b4_28db) as u128;
        (product as u64) ^ (product >> 64) as u64
    }

    /// A number less than `end`, which must not be 0. The bias is negligible for ends far below 2^64.
    #[inline]
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.bits() as u128 * end as u128) >> 64) as u64
    }

    /// Chooses one of `all` with equal probability.
    pub fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        // The random number is less than the length, so it fits.
        all[self.below(all.len() as u64) as usize]
    }

    /// Chooses one of the values of a table by their weights.
    pub fn choose_weighted<T: Copy>(&mut self, table: &[(T, u16)]) -> T {
        let total: u64 = table.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = self.below(total);
        for (value, weight) in table {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *value,
            }
        }
        unreachable!("a number below the sum of the weights falls within one of them")
    }

    /// True with a probability of `chance` per mille.
    pub const fn per_mille(&mut self, chance: u16) -> bool {
        self.below(1000) < chance as u64
    }
}

/// The output function of SplitMix64, a bijection in which every input bit affects every output bit.
#[inline]
pub const fn splitmix64(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A fraction of 2^32, to be compared with 32 random bits: 0 is never, 1 is (almost) always.
pub fn threshold(fraction: f64) -> u32 {
    // The cast saturates, which is right at both ends.
    (fraction * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_and_stream_determine_the_numbers() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [random.bits(), random.bits(), random.bits()]
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
    }

    #[test]
    fn weighted_choices_follow_the_weights() {
        let mut random = Random::new(7, 7);
        let mut seen = [0u32; 3];
        for _ in 0..100_000 {
            seen[random.choose_weighted(&[(0usize, 700), (1, 0), (2, 300)])] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((69_000..71_000).contains(&seen[0]), "{seen:?}");
    }

    #[test]
    fn fractions_become_32_bit_thresholds() {
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(0.5), 1 << 31);
        assert_eq!(threshold(1.0), u32::MAX);
    }
}
