//! Which thread runs the shards of a device.
//!
//! Pure and constant while the server runs; another start may have another number of threads. Each thread has
//! consecutive shards, so that the pages of its checkpoints are a contiguous range of keys, and as many as any other
//! thread, give or take one.

use std::ops::Range;

use muster_engine::{Shard, ShardId, ShardMap, ShardSet};
use muster_wire::DeviceId;

/// The distribution of the shards over the threads that run them.
#[derive(Clone, Debug)]
pub struct ThreadMap {
    shards: ShardMap,
    /// By shard.
    threads: Box<[u16]>,
}

impl ThreadMap {
    /// Distributes the shards over `threads` threads: at least one, and no more than there are shards.
    pub fn new(shards: ShardMap, threads: u16) -> Self {
        let count = u32::from(shards.shards());
        let threads = u32::from(threads).clamp(1, count);
        let thread_of = |shard| (shard * threads / count) as u16;
        Self {
            shards,
            threads: (0..count).map(thread_of).collect(),
        }
    }

    /// The distribution of the devices over the shards.
    pub fn shards(&self) -> ShardMap {
        self.shards
    }

    /// Number of threads.
    pub fn threads(&self) -> u16 {
        self.threads.last().map_or(0, |last| last + 1)
    }

    /// The thread that runs the shard of a device.
    pub fn thread_of(&self, device: &DeviceId) -> usize {
        usize::from(self.threads[usize::from(self.shards.shard_of(device))])
    }

    /// The thread that runs a shard, if there is such a shard.
    pub fn thread_of_shard(&self, shard: ShardId) -> Option<usize> {
        let thread = self.threads.get(usize::from(shard))?;
        Some(usize::from(*thread))
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
        let end = |of: u16| self.threads.partition_point(|thread| *thread < of) as u16;
        end(thread)..end(thread + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_share_of_the_shards() {
        for shards in [1, 2, 7, 48] {
            for threads in 1..=shards + 2 {
                let map = ThreadMap::new(ShardMap::new(shards), threads);
                assert_eq!(map.threads(), threads.min(shards));
                let share = shards / map.threads();
                let mut next = 0;
                for thread in 0..map.threads() {
                    let range = map.shards_of(thread);
                    assert_eq!(range.start, next, "{shards} shards, {threads} threads");
                    assert!((share..=share + 1).contains(&(range.end - range.start)));
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
