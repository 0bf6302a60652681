//! `[shards]`: the number of shards, and the limits of each.

use serde::Serialize;

use super::key::{Integer, Key, KeyRow};
use super::reader::Section;

/// The shards and their limits. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardsConfig {
    /// Number of shards; 0 for the number of the data directory, or one per core for a new one.
    pub count: u16,
    /// Capacity of a shard's inbox in shard batches.
    pub inbox_batches: u32,
    /// Number of check-ins at which a batch is full.
    pub batch_check_ins_max: u32,
    /// Maximum number of commits of a shard in flight to the writer.
    pub commits_in_flight: u32,
    /// Maximum number of devices of the server.
    pub devices_max: u32,
}

const COUNT: Key<Integer<u16>> = Key {
    path: "shards.count",
    kind: Integer {
        default: 0,
        min: 0,
        max: 256,
    },
    meaning: "Number of shards, one thread each. Fixed when the data directory is created; the server refuses to start with another number. 0: the number of the data directory, or one per core for a new one.",
};

const INBOX_BATCHES: Key<Integer<u32>> = Key {
    path: "shards.inbox_batches",
    kind: Integer {
        default: 256,
        min: 16,
        max: 65_536,
    },
    meaning: "Capacity of a shard's inbox in shard batches (the records of one frame for one shard). It is divided evenly among lanes, one per tenant, but at most 64 and with at least 4 shard batches each; further tenants share lanes. A tenant that floods fills only its own lane, and its sessions stop reading. A shard batch has up to 4,096 check-ins (192 KiB), so the worst case is 48 MiB per shard at the default. Raise it if many tenants connect without gateways.",
};

const BATCH_CHECK_INS_MAX: Key<Integer<u32>> = Key {
    path: "shards.batch_check_ins_max",
    kind: Integer {
        default: 4_096,
        min: 1_024,
        max: 1_048_576,
    },
    meaning: "Number of check-ins at which a batch is full; its last shard batch may exceed it. A batch is evaluated at once and becomes one journal value. Larger batches help if an fsync is slow, and add latency for queries and, while one tenant floods, for the other tenants. Memory: 48 bytes per check-in, 192 KiB at the default.",
};

const COMMITS_IN_FLIGHT: Key<Integer<u32>> = Key {
    path: "shards.commits_in_flight",
    kind: Integer {
        default: 4,
        min: 1,
        max: 64,
    },
    meaning: "Maximum number of commits a shard may have in flight to the writer before it stops taking check-ins. Acks always wait for the fsync. Memory: one batch each.",
};

const DEVICES_MAX: Key<Integer<u32>> = Key {
    path: "shards.devices_max",
    kind: Integer {
        default: 20_000_000,
        min: 1,
        max: 200_000_000,
    },
    meaning: "Maximum number of devices of the server; check-ins of further devices are rejected with `deviceLimit`. Memory: about 85 bytes per device, allocated as devices appear.",
};

impl ShardsConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            COUNT.row(),
            INBOX_BATCHES.row(),
            BATCH_CHECK_INS_MAX.row(),
            COMMITS_IN_FLIGHT.row(),
            DEVICES_MAX.row(),
        ]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            count: section.read(&COUNT),
            inbox_batches: section.read(&INBOX_BATCHES),
            batch_check_ins_max: section.read(&BATCH_CHECK_INS_MAX),
            commits_in_flight: section.read(&COMMITS_IN_FLIGHT),
            devices_max: section.read(&DEVICES_MAX),
        };
        section.finish();
        config
    }
}
