//! In which order the devices of a part check in.
//!
//! Owner: the part. Bounds: a block of places. On the hot path.

use std::hint::black_box;

use crate::{device::Device, random::Random};

/// Devices that are looked at together: more than a core has misses under way, and few enough that the first is still
/// in its cache when its turn comes.
const BLOCK: usize = 32;

/// An order in which every place comes once a round, by steps of a length that has no factor in
/// common with the number of places.
///
/// Places are taken a block at a time, and the devices of a block are looked at first: a fleet is larger than the
/// caches, and misses that come together pass together. No block goes beyond its round, so the order is the same.
#[derive(Debug)]
pub(super) struct Walk {
    places: usize,
    place: usize,
    step: usize,
    left: usize,
    /// Whether this round is the first one.
    is_first: bool,
    block: [u32; BLOCK],
    /// Places of the block that were taken, and those it has.
    taken: usize,
    filled: usize,
}

impl Walk {
    pub(super) fn new(places: usize, random: &mut Random) -> Self {
        let mut walk = Self {
            places,
            place: 0,
            step: 1,
            left: 0,
            is_first: true,
            block: [0; BLOCK],
            taken: 0,
            filled: 0,
        };
        if places > 0 {
            walk.start_round(random);
        }
        walk
    }

    /// Whether every place has come at least once.
    pub(super) const fn has_been_round(&self) -> bool {
        !self.is_first || self.left == 0 && self.taken == self.filled
    }

    #[cold]
    fn start_round(&mut self, random: &mut Random) {
        let places = self.places as u64;
        self.place = random.below(places) as usize;
        self.step = loop {
            // Below `places`, so both fit.
            let step = random.below(places) as usize + 1;
            if greatest_common_divisor(step, self.places) == 1 {
                break step;
            }
        };
        self.left = self.places;
    }

    #[inline]
    pub(super) fn next(&mut self, random: &mut Random, devices: &[Device]) -> usize {
        if self.taken == self.filled {
            self.fill(random, devices);
        }
        let place = self.block[self.taken];
        self.taken += 1;
        place as usize
    }

    #[inline(never)]
    fn fill(&mut self, random: &mut Random, devices: &[Device]) {
        if self.left == 0 {
            self.is_first = false;
            self.start_round(random);
        }
        self.filled = self.left.min(BLOCK);
        self.taken = 0;
        self.left -= self.filled;
        for place in &mut self.block[..self.filled] {
            *place = self.place as u32;
            self.place += self.step;
            if self.place >= self.places {
                self.place -= self.places;
            }
        }
        let places = &self.block[..self.filled];
        let looked_at = places.iter().fold(0, |sum: u32, place| {
            sum.wrapping_add(devices[*place as usize].look())
        });
        black_box(looked_at);
    }
}

const fn greatest_common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
