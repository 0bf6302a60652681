//! The order in which the devices of a part check in.
//!
//! Owner: the part. Bounds: one block of indices. On the hot path.

use std::hint::black_box;

use crate::{device::Device, random::Random};

/// The number of devices that are prefetched together: more than the outstanding cache misses of a core, and few enough
/// that the first one is still in the cache when it is used.
const BLOCK: usize = 32;

/// Visits every index once per round, in steps of a length that is coprime to the number of indices.
///
/// Indices are taken in blocks, and all devices of a block are prefetched first: a fleet is larger than the caches, and
/// overlapping cache misses cost less. No block extends beyond its round, so blocks do not change the order.
#[derive(Debug)]
pub(super) struct VisitOrder {
    count: usize,
    index: usize,
    step: usize,
    /// Indices of this round that are not in a block yet.
    left: usize,
    is_first_round: bool,
    block: [u32; BLOCK],
    /// How many indices of the block were used.
    used: usize,
    /// How many indices the block has.
    filled: usize,
}

impl VisitOrder {
    pub(super) fn new(count: usize, random: &mut Random) -> Self {
        let mut order = Self {
            count,
            index: 0,
            step: 1,
            left: 0,
            is_first_round: true,
            block: [0; BLOCK],
            used: 0,
            filled: 0,
        };
        if count > 0 {
            order.start_round(random);
        }
        order
    }

    /// Whether every index was visited at least once.
    pub(super) const fn has_completed_round(&self) -> bool {
        !self.is_first_round || self.left == 0 && self.used == self.filled
    }

    #[cold]
    fn start_round(&mut self, random: &mut Random) {
        let count = self.count as u64;
        self.index = random.below(count) as usize;
        self.step = loop {
            // The random numbers are below `count`, so the casts are lossless.
            let step = random.below(count) as usize + 1;
            if greatest_common_divisor(step, self.count) == 1 {
                break step;
            }
        };
        self.left = self.count;
    }

    #[inline]
    pub(super) fn next(&mut self, random: &mut Random, devices: &[Device]) -> usize {
        if self.used == self.filled {
            self.fill(random, devices);
        }
        let index = self.block[self.used];
        self.used += 1;
        index as usize
    }

    #[inline(never)]
    fn fill(&mut self, random: &mut Random, devices: &[Device]) {
        if self.left == 0 {
            self.is_first_round = false;
            self.start_round(random);
        }
        self.filled = self.left.min(BLOCK);
        self.used = 0;
        self.left -= self.filled;
        for index in &mut self.block[..self.filled] {
            *index = self.index as u32;
            self.index += self.step;
            if self.index >= self.count {
                self.index -= self.count;
            }
        }
        let block = &self.block[..self.filled];
        let sum = block.iter().fold(0, |sum: u32, index| {
            sum.wrapping_add(devices[*index as usize].touch())
        });
        black_box(sum);
    }
}

const fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
