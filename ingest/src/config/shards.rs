//! `[shards]`: how the fleet is partitioned, and the bounds of each partition.

use serde::Serialize;

use super::key::{Integer, Key, KeyRow};
use super::reader::Section;

/// The shards and their bounds. The reference in docs/reference/CONFIGURATION.md says what each key means and costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardsConfig {
    /// Number of shards; 0 takes the number of the data directory, or one for each core for a new one.
    pub count: u16,
    /// Shard batches (what one frame has for one shard) that may wait in the inbox of a shard.
    pub inbox_batches: u32,
    /// Check-ins a shard takes out of its inbox in one turn.
    pub batch_check_ins_max: u32,
    /// Commits a shard may have waiting for the writer.
    pub commits_in_flight: u32,
    /// Devices on the whole server.
    pub devices_max: u32,
    /// Cells of each shard.
    pub cells_max: u32,
    /// Cohorts of each shard.
    pub cohorts_max: u32,
}

const COUNT: Key<Integer<u16>> = Key {
    path: "shards.count",
    kind: Integer {
        default: 0,
        min: 0,
        max: 256,
    },
    meaning: "Shards, one thread each. Fixed when the data directory is made; another number is refused later. 0 takes the number of the data directory, or one for each core for a new one.",
};

const INBOX_BATCHES: Key<Integer<u32>> = Key {
    path: "shards.inbox_batches",
    kind: Integer {
        default: 256,
        min: 16,
        max: 65_536,
    },
    meaning: "Shard batches (what one frame has for one shard) that may wait in the inbox of a shard, divided evenly among the tenants (among 64 lanes if there are more, or a quarter of the places if that is less): a tenant that floods fills its own lane, and its sessions stop reading. A part holds up to 4,096 check-ins (192 KiB), so the worst case is 48 MiB for each shard at the default. More when many tenants connect device by device.",
};

const BATCH_CHECK_INS_MAX: Key<Integer<u32>> = Key {
    path: "shards.batch_check_ins_max",
    kind: Integer {
        default: 4_096,
        min: 1_024,
        max: 1_048_576,
    },
    meaning: "Check-ins after which a shard takes no further shard batches into one batch, and so into one journal value; a single larger one is taken alone. More helps where an fsync takes long, and makes everybody wait behind fuller batches: the tenants beside one that floods, and queries. 48 bytes each, 192 KiB at the default.",
};

const COMMITS_IN_FLIGHT: Key<Integer<u32>> = Key {
    path: "shards.commits_in_flight",
    kind: Integer {
        default: 4,
        min: 1,
        max: 64,
    },
    meaning: "Commits a shard may have waiting for the writer before it stops taking check-ins. Acks wait for the fsync whatever this is. Memory: one batch each.",
};

const DEVICES_MAX: Key<Integer<u32>> = Key {
    path: "shards.devices_max",
    kind: Integer {
        default: 20_000_000,
        min: 1,
        max: 200_000_000,
    },
    meaning: "Devices on the whole server; a check-in of a further device is rejected with `deviceLimit`. Memory: about 75 bytes a device, taken as devices appear.",
};

const CELLS_MAX: Key<Integer<u32>> = Key {
    path: "shards.cells_max",
    kind: Integer {
        default: 65_536,
        min: 16,
        max: 1_048_576,
    },
    meaning: "Cells (different combinations of everything that is counted) in each shard; a check-in that needs a further one is rejected with `cellLimit`. Memory: at most about 90 bytes each.",
};

const COHORTS_MAX: Key<Integer<u32>> = Key {
    path: "shards.cohorts_max",
    kind: Integer {
        default: 4_096,
        min: 1,
        max: 65_535,
    },
    meaning: "Cohorts (different combinations of owner and tags) in each shard; an inventory that needs a further one is rejected with `cohortLimit`. Memory: at most about 7 KiB each.",
};

impl ShardsConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            COUNT.row(),
            INBOX_BATCHES.row(),
            BATCH_CHECK_INS_MAX.row(),
            COMMITS_IN_FLIGHT.row(),
            DEVICES_MAX.row(),
            CELLS_MAX.row(),
            COHORTS_MAX.row(),
        ]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            count: section.read(&COUNT),
            inbox_batches: section.read(&INBOX_BATCHES),
            batch_check_ins_max: section.read(&BATCH_CHECK_INS_MAX),
            commits_in_flight: section.read(&COMMITS_IN_FLIGHT),
            devices_max: section.read(&DEVICES_MAX),
            cells_max: section.read(&CELLS_MAX),
            cohorts_max: section.read(&COHORTS_MAX),
        };
        section.finish("");
        config
    }
}
