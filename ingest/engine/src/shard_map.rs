//! Maps devices to shards. The mapping is stable across restarts, machines and versions.
//!
//! A pure function; a device never changes shard.

use muster_wire::DeviceId;

use crate::ids::ShardId;

/// Number of shards of a server. A server runs them on fewer threads; with 48, most numbers of cores get equal shares.
pub const SHARDS: u16 = 48;

/// The partitioning of devices over a fixed number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMap {
    shards: u16,
}

impl ShardMap {
    /// A map over `shards` shards, at least one.
    pub fn new(shards: u16) -> Self {
        Self {
            shards: shards.max(1),
        }
    }

    /// Number of shards.
    pub fn shards(self) -> u16 {
        self.shards
    }

    /// The shard that owns a device. Part of the storage format: this function never changes.
    ///
    /// Both halves of the id go through one 64x64->128 bit multiplication; the high bits pick the
    /// shard, so sequential and random ids spread alike.
    pub fn shard_of(self, device: &DeviceId) -> ShardId {
        let id = u128::from_le_bytes(*device.as_bytes());
        let low = id as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let high = (id >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03;
        let product = u128::from(low) * u128::from(high.rotate_left(23) | 1);
        let mixed = (product as u64) ^ ((product >> 64) as u64);
        let mixed = mixed.wrapping_mul(0xa076_1d64_78bd_642f);
        ShardId(((u128::from(mixed) * u128::from(self.shards)) >> 64) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values: a change here strands every device of every existing data directory.
    #[test]
    fn the_map_never_changes() {
        let owners: Vec<u16> = (1..=16u128)
            .map(|n| {
                ShardMap::new(8)
                    .shard_of(&DeviceId::from_bytes(n.to_le_bytes()))
                    .0
            })
            .collect();
        assert_eq!(owners, [1, 1, 4, 2, 7, 6, 0, 7, 0, 3, 3, 3, 5, 4, 7, 2]);
    }

    #[test]
    fn sequential_and_random_ids_spread_evenly() {
        for step in [1u128, 1 << 64, 0x1234_5678_9abc_def0_0fed_cba9_8765_4321] {
            let mut counts = [0u32; 7];
            let mut id = step;
            for _ in 0..70_000 {
                let device = DeviceId::from_bytes(id.to_le_bytes());
                counts[usize::from(ShardMap::new(7).shard_of(&device).0)] += 1;
                id = id.wrapping_add(step);
            }
            for count in counts {
                assert!(
                    (9_000..11_000).contains(&count),
                    "step {step:#x}: {counts:?}"
                );
            }
        }
    }
}
