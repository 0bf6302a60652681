//! Which thread runs the shards of a device.
//!
//! Pure and constant while the server runs; another start may have another number of threads. Each thread has
//! consecutive shards, so that the pages of its checkpoints are a contiguous range of keys, and as many as any other
//! thread, give or take one.

use std::ops::Range;

use muster_engine::{Shard, ShardId, ShardMap, ShardSet};
use muster_wire::DeviceId;

/// The distribution of the shards over the threads that run them.
#[derive(Clone, Copy, Debug)]
pub struct ThreadMap {
    shards: ShardMap,
    threads: u16,
    /// Threads for each shard, in units of 2^-32: a multiplication instead of a division for each check-in.
    threads_of_shard: u64,
}

impl ThreadMap {
    /// Distributes the shards over `threads` threads: at least one, and no more than there are shards.
    pub fn new(shards: ShardMap, threads: u16) -> Self {
        let threads = threads.clamp(1, shards.shards());
        let share = u64::from(threads) << 32;
        Self {
            shards,
            threads,
            // Rounded up, which changes no result: the error of a product is less than 2^-16, and the exact product is
            // a whole number or at least as far below one.
            threads_of_shard: share.div_ceil(u64::from(shards.shards())),
        }
    }

    /// The distribution of the devices over the shards.
    pub fn shards(&self) -> ShardMap {
        self.shards
    }

    /// Number of threads.
    pub fn threads(&self) -> u16 {
        self.threads
    }

    /// The thread that runs the shard of a device.
    pub fn thread_of(&self, device: &DeviceId) -> usize {
        self.thread_of_shard(self.shards.shard_of(device))
    }

    /// The thread that runs a shard.
    pub fn thread_of_shard(&self, shard: ShardId) -> usize {
        ((u64::from(shard.0) * self.threads_of_shard) >> 32) as usize
    }

    /// Distributes the shards, which are in the order of their ids. Each thread has the share of the devices that it has
    /// of the shards.
    pub fn distribute(&self, shards: Vec<Shard>, devices_max: u32) -> Vec<ShardSet> {
        let all = shards.len() as u64;
        let mut shards = shards.into_iter();
        let sets = (0..self.threads()).map(|thread| {
            let own: Vec<_> = shards.by_ref().take(self.shards_of(thread).len()).collect();
            let devices_max = (u64::from(devices_max) * own.len() as u64).div_ceil(all);
            ShardSet::new(self.shards, own, devices_max as u32)
        });
        sets.collect()
    }

    /// The shards of a thread.
    pub fn shards_of(&self, thread: u16) -> Range<u16> {
        let shards = u32::from(self.shards.shards());
        let first = |thread: u16| (u32::from(thread) * shards).div_ceil(self.threads.into()) as u16;
        first(thread)..first(thread + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_share_of_the_shards() {
        for shards in [1, 2, 7, 48, 211] {
            for threads in 1..=shards + 2 {
                let map = ThreadMap::new(ShardMap::new(shards), threads);
                assert_eq!(map.threads(), threads.min(shards));
                let share = shards / map.threads();
                let mut next = 0;
                for thread in 0..map.threads() {
                    let range = map.shards_of(thread);
                    assert_eq!(range.start, next, "{shards} shards, {threads} threads");
                    assert!((share..=share + 1).contains(&(range.end - range.start)));
                    let own = |shard| map.thread_of_shard(ShardId(shard)) == usize::from(thread);
                    assert!(range.clone().all(own), "{shards} shards, {threads} threads");
                    next = range.end;
                }
                assert_eq!(next, shards);
            }
        }
    }

    #[test]
    fn a_device_is_on_the_thread_that_runs_its_shard() {
        let map = ThreadMap::new(ShardMap::new(48), 5);
        for number in 1..1_000_u128 {
            let device = DeviceId::from_bytes(number.to_le_bytes());
            let shards = map.shards_of(map.thread_of(&device) as u16);
            assert!(shards.contains(&map.shards().shard_of(&device).0));
        }
    }
}
