//! `[shards]`: the number of threads that run the shards, and their limits.

use muster_engine::SHARDS;
use serde::Serialize;

use super::key::{Integer, Key, KeyRow};
use super::reader::Section;

/// The shard threads and their limits. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardsConfig {
    /// Number of threads that run the shards; 0 for one per core.
    pub threads: u16,
    /// Capacity of a thread's inbox in shard batches.
    pub inbox_batches: u32,
    /// Number of check-ins at which a batch is full.
    pub batch_check_ins_max: u32,
    /// Maximum number of commits of a thread in flight to the writer.
    pub commits_in_flight: u32,
    /// Maximum number of devices of the server.
    pub devices_max: u32,
    /// Maximum number of tenants at a time.
    pub tenants_max: u32,
}

const THREADS: Key<Integer<u16>> = Key {
    path: "shards.threads",
    kind: Integer {
        default: 0,
        min: 0,
        max: SHARDS,
    },
    meaning: "Number of threads that run the 48 shards of the server. Every start may have another number. 0: one per core.",
};

const INBOX_BATCHES: Key<Integer<u32>> = Key {
    path: "shards.inbox_batches",
    kind: Integer {
        default: 256,
        min: 16,
        max: 65_536,
    },
    meaning: "Capacity of a thread's inbox in shard batches (the records of one frame for the shards of one thread). It is divided evenly among lanes, one per tenant, but at most 64 and with at least 4 shard batches each; further tenants share lanes. The lanes change with the tenants, without a restart. A tenant that floods fills only its own lane, and its sessions stop reading. A shard batch has up to 4,096 check-ins (192 KiB), so the worst case is 48 MiB per thread at the default. Raise it if many tenants connect without gateways.",
};

const BATCH_CHECK_INS_MAX: Key<Integer<u32>> = Key {
    path: "shards.batch_check_ins_max",
    kind: Integer {
        default: 4_096,
        min: 1_024,
        max: 1_048_576,
    },
    meaning: "Number of check-ins at which a batch is full; its last shard batch may exceed it. A batch is evaluated at once and becomes one commit. Larger batches help if an fsync is slow, and add latency for queries and, while one tenant floods, for the other tenants. Memory: 48 bytes per check-in, 192 KiB at the default.",
};

const COMMITS_IN_FLIGHT: Key<Integer<u32>> = Key {
    path: "shards.commits_in_flight",
    kind: Integer {
        default: 4,
        min: 1,
        max: 64,
    },
    meaning: "Maximum number of commits a thread may have in flight to the writer before it stops taking check-ins. Acks always wait for the fsync. Memory: one batch each.",
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

const TENANTS_MAX: Key<Integer<u32>> = Key {
    path: "shards.tenants_max",
    kind: Integer {
        default: 16,
        min: 1,
        max: 1_000,
    },
    meaning: "Maximum number of tenants at a time; the creation of a further one is refused with `limitReached`. A lower value than the number of tenants deletes none. Memory: up to 94 MB per tenant if it reaches all limits of its objects, most of it for members of groups.",
};

impl ShardsConfig {
    /// Number of threads on a machine with `cores` cores.
    pub fn threads_on(&self, cores: usize) -> u16 {
        match self.threads {
            0 => u16::try_from(cores).unwrap_or(SHARDS).clamp(1, SHARDS),
            threads => threads,
        }
    }

    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            THREADS.row(),
            INBOX_BATCHES.row(),
            BATCH_CHECK_INS_MAX.row(),
            COMMITS_IN_FLIGHT.row(),
            DEVICES_MAX.row(),
            TENANTS_MAX.row(),
        ]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            threads: section.read(&THREADS),
            inbox_batches: section.read(&INBOX_BATCHES),
            batch_check_ins_max: section.read(&BATCH_CHECK_INS_MAX),
            commits_in_flight: section.read(&COMMITS_IN_FLIGHT),
            devices_max: section.read(&DEVICES_MAX),
            tenants_max: section.read(&TENANTS_MAX),
        };
        section.finish();
        config
    }
}
