//! The memory bound of a configuration, by component.
//!
//! Pure: values of the configuration in, bytes out. The limits in each formula are enforced by their component; a
//! component without such a limit is a bug of this table. The bound assumes the worst behaviour of all clients at once,
//! so a server usually takes far less: most of it is what hostile connections could make the server buffer.
//!
//! Three things are not included. At start RocksDB reads its write-ahead log into memtables, up to 128 MiB, once to
//! check it and once to serve: nothing else is allocated yet, so that is below the bound. And quinn receives several
//! packets of a client in one buffer of up to 64 KiB, which the smallest slice keeps alive: the bound assumes full
//! packets. A client with a certificate that sends tiny stream frames with gaps can make the server hold more than its
//! receive window; this gap is known and open. And an inbox may hold up to twice its capacity for a moment after a
//! tenant was created (`route/inbox.rs`).

use muster_api::{
    CONNECTIONS_MAX, Cell, LONG_RESPONSES_MAX, SCRAPES_MAX, SESSIONS_LISTED_MAX,
    TENANT_REQUESTS_MAX,
};
use muster_control::limits::{
    DEVICE_ACTIONS_MAX, ENTRIES_MAX, FILTERS_MAX, GROUPS_MAX, MEMBERS_MAX, POLICIES_MAX,
    ROLE_ASSIGNMENTS_MAX, ROLE_DEFINITIONS_MAX, SCOPE_TAGS_MAX, TOKENS_MAX,
};
use muster_engine::page::PAGE_BYTES;
use muster_engine::{
    CELL_BYTES, COMBINATIONS_MAX, Counts, SLAB_CHUNK_RECORDS, TRANSITION_BYTES, index_bytes_max,
    shard_devices_max,
};
use muster_engine::{SLOT_BYTES, SlotIndex};
use muster_store::StoreConfig;
use muster_wire::limits::{
    CHECK_IN_BYTES, CHECK_INS_BYTES_MAX, CHECK_INS_PER_FRAME_MAX, INVENTORY_BYTES_MAX,
};

use crate::config::Config;
use crate::net::{DEVICE_RECEIVE_WINDOW, INCOMING_BUFFER_TOTAL, SEND_WINDOW};
use crate::recount::SHARDS_PER_PASS;
use crate::route::{FRAME_BYTES_MAX, LANES_MAX};
use crate::shard::{DUE_MAX, JOURNAL_BATCHES_KEPT, PAGES_DRAINING, POLICY_SLOTS, pages_beside};
use crate::telemetry::{QUEUE_BYTES_MAX, QUEUE_LINES_MAX};
use crate::view::{CHANGE_BYTES, CHANGES_MAX, SLOT_BYTES as VIEW_SLOT_BYTES};

const SHARDS: u64 = muster_engine::SHARDS as u64;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Memory of quinn, rustls and the session's task for an idle connection. Measured: at most 34,660 B in four runs of
/// 2,000 devices that had checked in once, including a kilobyte for their tickets; this is a sixth more.
/// docs/BENCHMARKS.md has the command.
pub const CONNECTION_IDLE: u64 = 40_000;

/// Memory of a handshake: keys, certificates of both sides and unacknowledged packets. Measured: at most 40,222 B in
/// three runs of 2,000 handshakes stopped after the server's first flight. Plus 16 KiB that quinn buffers of a client's
/// messages until they are in order (`crypto_buffer_size`, the default), and 7 KiB more. docs/BENCHMARKS.md has the
/// command.
pub const HANDSHAKE: u64 = 64 * KIB;

/// Memory of a receive window: quinn defragments received data once its over-allocation exceeds one and a half times
/// the data and 32 KiB (`over_allocation` in quinn-proto's `assembler.rs`).
const fn received(window: u64) -> u64 {
    window + window / 2 * 3 + 32 * KIB
}

/// Buffers grow by doubling: their capacity is at most twice their length.
const GROWTH: u64 = 2;

/// A slot of a lane of an inbox, empty or not. Each lane has as many as the inbox.
const INBOX_SLOT: u64 = 128;

/// A completion and its outcome, per check-in.
const COMPLETION: u64 = 32;

/// Per device of the shards that a recount reads ([`crate::recount`]).
const RECOUNT_DEVICE: u64 = 300;

/// A connection of an operator: 16 KiB of headers, a body of 32 KiB or two chunks of 16 KiB of an answer.
const OPS_CONNECTION: u64 = 64 * KIB;

/// A scrape: the text of its page, which grows by doubling; for each thread, the histograms that it reports and its
/// lines; for each shard its lines; for each tenant a line.
const SCRAPE: u64 = 512 * KIB;
const SCRAPE_THREAD: u64 = 128 * KIB;
const SCRAPE_SHARD: u64 = KIB;
const SCRAPE_TENANT: u64 = 512;

/// A listed session with its identity and its row; and, for every session, its number.
const SESSION_LISTED: u64 = 512;
const SESSION: u64 = 16;

/// A cell of a recount, on disk and by its counter, in trees whose nodes may be half empty.
const RECOUNT_CELL: u64 = 256;

/// Log lines that wait for their reader, and the slots of their channel.
const LOG: u64 = (QUEUE_BYTES_MAX + QUEUE_LINES_MAX * 24) as u64;

/// A scope tag: name and description of 1,280 characters of up to four bytes, and its place in a tree.
const SCOPE_TAG: u64 = 6 * KIB;

/// A group: the same, and a rule of 3,072 characters.
const GROUP: u64 = 18 * KIB;

/// A compliance policy: the same as a scope tag, three lists of 4 KiB, 100 assignments and 10 actions.
const POLICY: u64 = 40 * KIB;

/// An assignment filter: the same as a group, and the rule once more when it is parsed.
const FILTER: u64 = 32 * KIB;

/// A role definition: the same as a scope tag, and 256 names of 80 bytes in a tree.
const ROLE_DEFINITION: u64 = 40 * KIB;

/// A role assignment: the same as a scope tag, 200 groups and 50 scope tags in trees.
const ROLE_ASSIGNMENT: u64 = 16 * KIB;

/// An API token: its name, and its secret in a tree.
const TOKEN: u64 = KIB;

/// A member of a group, in a tree. A change copies the members of its group.
const MEMBER: u64 = 32;

/// A change or reset: its revision, twice, and the object that it created or the device, in the history.
const CHANGE: u64 = 128;

/// The objects of a tenant.
const OBJECTS: u64 = POLICIES_MAX as u64 * POLICY
    + GROUPS_MAX as u64 * GROUP
    + FILTERS_MAX as u64 * FILTER
    + SCOPE_TAGS_MAX as u64 * SCOPE_TAG
    + ROLE_DEFINITIONS_MAX as u64 * ROLE_DEFINITION
    + ROLE_ASSIGNMENTS_MAX as u64 * ROLE_ASSIGNMENT
    + TOKENS_MAX as u64 * TOKEN
    + 2 * MEMBERS_MAX as u64 * MEMBER
    + (ENTRIES_MAX + DEVICE_ACTIONS_MAX) as u64 * CHANGE;

/// A request for objects of a tenant. A body of 64 KiB that is a list of lists of one number takes 150 times its size
/// when it is parsed; a page of changes takes less.
const TENANT_REQUEST: u64 = 10 * MIB;

/// Binary, runtimes, histograms, stacks that were touched.
const BASE: u64 = 64 * MIB;
const THREAD: u64 = 256 * KIB;

/// Slots of a hash table for each entry, in sevenths: a table that is full to seven eighths doubles if more than half
/// of that are entries and not tombstones, and exists twice while it grows.
const HASH_SLOTS_SEVENTHS: u64 = 16 + 32;

/// A cell in the table of its shard, and in that of the audit, which has a wider count; a control byte for each.
const CELL: u64 = (CELL_BYTES as u64 + 1 + 24 + 1) * HASH_SLOTS_SEVENTHS / 7;

/// A cell of the view, a pair of words; a control byte.
const VIEW_CELL: u64 = (16 + 1) * HASH_SLOTS_SEVENTHS / 7;

/// The name of a device in the order of names: its id, and what of the name it does not share with its neighbour. All
/// tenants together have as much for each device that the server may have.
pub(crate) const NAME_BYTES: usize = 24;

/// The bound of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    /// The name of the component.
    pub component: &'static str,
    /// Its upper bound in bytes.
    pub bytes: u64,
    /// The formula, in keys of the configuration.
    pub formula: &'static str,
}

/// The bound by component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryBound(Vec<MemoryPart>);

impl MemoryBound {
    /// Computes the bound of a server on a machine with `cores` cores.
    pub fn of(config: &Config, cores: usize) -> Self {
        let shard_threads = u64::from(config.shards.threads_on(cores));
        let mut parts = shard_state(config).to_vec();
        parts.push(view(config));
        parts.push(part(
            "names",
            u64::from(config.shards.devices_max) * NAME_BYTES as u64,
            "devices_max x 24 B; without them, lists by name read all devices",
        ));
        parts.extend(pipeline(config, shard_threads));
        parts.extend(front_door(config, shard_threads));
        let threads = u64::from(config.listen.network_threads).max(cores as u64);
        let threads = threads + shard_threads + 9;
        parts.extend([
            operators(config, shard_threads),
            part(
                "objects",
                u64::from(config.shards.tenants_max) * OBJECTS,
                "tenants_max x (policies, groups, filters, roles and tokens, 1 to 40 KiB each + 2,000,000 members x 32 B + 200,000 changes and resets x 128 B)",
            ),
            part(
                "recount",
                recounted(config.shards.devices_max) * RECOUNT_DEVICE
                    + cells(config) * RECOUNT_CELL,
                "8 of 48 shards x (2 x devices_max / 48 + 1,024) x 300 B + cells x 256 B",
            ),
            part(
                "log",
                LOG,
                "4 MiB of queued lines, plus 24 B for each of 8,192",
            ),
            part(
                "process",
                BASE + threads * THREAD,
                "64 MiB, plus 256 KiB per thread",
            ),
        ]);
        let sum: u64 = parts.iter().map(|part| part.bytes).sum();
        parts.push(part("allocator", sum / 8, "an eighth of the above"));
        Self(parts)
    }

    /// The components.
    pub fn parts(&self) -> &[MemoryPart] {
        &self.0
    }

    /// Their sum.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|part| part.bytes).sum()
    }
}

fn part(component: &'static str, bytes: u64, formula: &'static str) -> MemoryPart {
    MemoryPart {
        component,
        bytes,
        formula,
    }
}

/// Devices of the shards that a recount reads at once.
fn recounted(devices_max: u32) -> u64 {
    let of_shard = shard_devices_max(devices_max, SHARDS as u32);
    u64::from(devices_max).min(u64::from(of_shard) * u64::from(SHARDS_PER_PASS))
}

/// Cells of all shards: one for every device, and in each shard one for every combination of facets that devices of its
/// tenants can have. A fleet has some thousands.
fn cells(config: &Config) -> u64 {
    let combinations = u64::from(config.shards.tenants_max) * COMBINATIONS_MAX as u64;
    u64::from(config.shards.devices_max).min(SHARDS * combinations)
}

fn shard_state(config: &Config) -> [MemoryPart; 3] {
    let devices = u64::from(config.shards.devices_max);
    // Chunks of records of 64 and 12 bytes and deadlines of 4, of which each shard fills one in part.
    let chunks = devices.div_ceil(SLAB_CHUNK_RECORDS as u64) + SHARDS;
    let slab = chunks * (SLAB_CHUNK_RECORDS * SLOT_BYTES) as u64;
    [
        part(
            "devices",
            slab + index_bytes_max(devices),
            "devices_max x (88 B in chunks of 352 KiB + 17.2 B in a table for each of 48 shards)",
        ),
        part(
            "cells",
            cells(config) * CELL,
            "cells x 288 B; one a device, and at most tenants_max x 842,400 in each of 48 shards",
        ),
        part(
            "table readers",
            u64::from(config.shards.devices_max) * 5,
            "devices_max x 5 B: index and Bloom filter of the inventories, index of the pages",
        ),
    ]
}

/// Cells of the view: one for every device, and for every combination of facets that devices of its tenants can have.
fn view_cells(config: &Config) -> u64 {
    let combinations = u64::from(config.shards.tenants_max) * COMBINATIONS_MAX as u64;
    u64::from(config.shards.devices_max).min(combinations)
}

/// Columns in chunks like those of the records, cells, and feeds, which exist one and a half times while they grow.
fn view(config: &Config) -> MemoryPart {
    let chunks = u64::from(config.shards.devices_max).div_ceil(SLAB_CHUNK_RECORDS as u64) + SHARDS;
    let columns = chunks * (SLAB_CHUNK_RECORDS * VIEW_SLOT_BYTES) as u64;
    let feeds = 2 * CHANGES_MAX as u64 * CHANGE_BYTES as u64 * 3 / 2;
    part(
        "view",
        columns + view_cells(config) * VIEW_CELL + u64::from(config.shards.tenants_max) * feeds,
        "devices_max x 14 B in chunks of 56 KiB, at least one for each of 48 shards, plus cells x 116 B; one a device, and at most tenants_max x 842,400; plus tenants_max x 2 x 131,072 changes x 60 B",
    )
}

/// Responses are serialized while the client reads them, so a connection holds little of their text. The rows of a long
/// response are in memory until it has been read; there are at most [`LONG_RESPONSES_MAX`] long responses.
fn operators(config: &Config, threads: u64) -> MemoryPart {
    // A copy of the cells of all tenants, made tenant by tenant in a vector that grows to their number.
    let cells = view_cells(config) * GROWTH * size_of::<Cell>() as u64;
    let tenants = u64::from(config.shards.tenants_max);
    let counts = tenants * size_of::<Counts>() as u64;
    let sessions = u64::from(config.listen.connections_max) * GROWTH * SESSION
        + SESSIONS_LISTED_MAX as u64 * SESSION_LISTED;
    part(
        "operators",
        CONNECTIONS_MAX as u64 * OPS_CONNECTION
            + LONG_RESPONSES_MAX as u64 * (cells + counts).max(sessions)
            + TENANT_REQUESTS_MAX as u64 * TENANT_REQUEST
            + SCRAPES_MAX as u64
                * (SCRAPE
                    + threads * SCRAPE_THREAD
                    + SHARDS * (SCRAPE_SHARD + tenants * GROWTH * 4)
                    + tenants * SCRAPE_TENANT),
        "128 connections x 64 KiB, 4 long responses x (cells of the view x 48 B + tenants_max x 864 B, or the sessions if they are more), 4 requests for objects x 10 MiB, 8 scrapes x (512 KiB + shard threads x 128 KiB + 48 x (1 KiB + tenants_max x 8 B) + tenants_max x 512 B)",
    )
}

fn pipeline(config: &Config, threads: u64) -> [MemoryPart; 4] {
    let batches = u64::from(config.shards.inbox_batches);
    let check_ins = u64::from(config.shards.batch_check_ins_max) + CHECK_INS_PER_FRAME_MAX as u64;
    let records = check_ins * CHECK_IN_BYTES as u64;
    let beside = pages_beside(check_ins as usize, threads as u16);
    let pages = (beside.max(PAGES_DRAINING) * PAGE_BYTES) as u64;
    // The journal values, their inventories and pages, the completions, and the buffers that are kept for each shard.
    let journal = check_ins * (CHECK_IN_BYTES + size_of::<SlotIndex>()) as u64;
    let written = GROWTH * journal + records + pages;
    let kept = JOURNAL_BATCHES_KEPT as u64 * journal;
    // Of a new device with targets there are two. Time and a policy move others; a clock that is set back moves those of
    // a shard.
    let moved = 2 * check_ins
        + u64::from(DUE_MAX + POLICY_SLOTS)
        + u64::from(shard_devices_max(config.shards.devices_max, SHARDS as u32));
    let kept_moved = JOURNAL_BATCHES_KEPT as u64 * check_ins;
    let transitions = (GROWTH * moved + kept_moved) * TRANSITION_BYTES as u64;
    let commit = written + kept + transitions + GROWTH * check_ins * COMPLETION;
    let commits = u64::from(config.shards.commits_in_flight) + 1;
    let group = config.store.group_bytes_max.get() + records + pages;
    let lanes = u64::from(config.shards.tenants_max).min(LANES_MAX as u64);
    [
        part(
            "inboxes",
            threads * batches * (CHECK_INS_BYTES_MAX as u64 + lanes * INBOX_SLOT),
            "shard threads x inbox_batches x (192 KiB + tenants_max, at most 64, x 128 B)",
        ),
        part(
            "buffer pool",
            threads * (batches + 16) * CHECK_INS_BYTES_MAX as u64,
            "shard threads x (inbox_batches + 16) x 192 KiB",
        ),
        part(
            "commits",
            threads * commits * commit,
            "shard threads x (commits_in_flight + 1) x ((batch_check_ins_max + 4,096) x (912 B + shard threads x 96 B for pages) + (32,768 + 2 x devices_max / 48 + 1,024) x 128 B, where pages are at least 8 MiB)",
        ),
        part(
            "store",
            StoreConfig::memory_beside_groups(&config.store.directory) + 2 * group,
            "368 MiB of memtables and cache, plus 2 x (group_bytes_max + one commit)",
        ),
    ]
}

fn front_door(config: &Config, threads: u64) -> [MemoryPart; 5] {
    let listen = &config.listen;
    let frame = threads * CHECK_INS_BYTES_MAX as u64 + INVENTORY_BYTES_MAX as u64;
    let window = u64::from(
        listen
            .window_frames_gateway
            .max(listen.window_frames_device),
    ) * FRAME_BYTES_MAX as u64;
    let connection = CONNECTION_IDLE
        + received(u64::from(DEVICE_RECEIVE_WINDOW))
        + SEND_WINDOW
        + frame
        + window
        + 8 * KIB;
    [
        part(
            "connections",
            u64::from(listen.connections_max) * connection,
            "connections_max x (40 kB + 64 KiB send window + 2.5 x 64 KiB receive window + 32 KiB + one frame: shard threads x 192 KiB + window_frames x 3 kB)",
        ),
        part(
            "large receive windows",
            received(listen.receive_windows_max.get()),
            "receive_windows_max x 2.5",
        ),
        part("tickets", listen.tickets_max.get(), "tickets_max"),
        part(
            "handshakes",
            u64::from(listen.handshakes_max) * HANDSHAKE,
            "handshakes_max x 64 KiB",
        ),
        part(
            "attempts",
            INCOMING_BUFFER_TOTAL + 4096 * 2 * KIB,
            "16 MiB + 4,096 queued x 2 KiB",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SMALL: &str = r#"
        [listen]
        certificate = "server.pem"
        key = "server.key"
        client_ca = "ca.pem"
        connections_max = 1000
        [store]
        directory = "data"
        [shards]
        devices_max = 1_000_000
        tenants_max = 1
    "#;

    fn bound(more: &[(&str, &str)], cores: usize) -> MemoryBound {
        let text = more
            .iter()
            .fold(SMALL.to_owned(), |text, (from, to)| text.replace(from, to));
        MemoryBound::of(&Config::parse(&text, Path::new("/")).unwrap(), cores)
    }

    fn bytes(bound: &MemoryBound, component: &str) -> u64 {
        let part = bound
            .parts()
            .iter()
            .find(|part| part.component == component);
        part.unwrap().bytes
    }

    #[test]
    fn the_components_match_their_formulas() {
        let bound = bound(&[], 2);
        assert_eq!(bytes(&bound, "inboxes"), 2 * 256 * (196_608 + 128));
        assert_eq!(bytes(&bound, "buffer pool"), 2 * 272 * 196_608);
        assert_eq!(bytes(&bound, "handshakes"), 256 << 16);
        // 245 chunks of 352 KiB and one for each shard; 24/7 slots of 5 bytes, as an eighth and a third more devices fit.
        let index = 3_428_571 * 5 + 48 * 128;
        assert_eq!(bytes(&bound, "devices"), (245 + 48) * 360_448 + index);
        assert_eq!(bytes(&bound, "recount"), 341_536 * 300 + 1_000_000 * 256);
        assert_eq!(
            bytes(&bound, "objects"),
            (200 * 40 + 1_000 * 18 + 200 * 32 + 500 * 6 + 200 * 40 + 500 * 16 + 1_000) * 1_024
                + 2_000_000 * 32
                + 200_000 * 128
        );
        assert_eq!(bytes(&bound, "table readers"), 5_000_000);
        assert_eq!(bytes(&bound, "cells"), 1_000_000 * 288);
        assert_eq!(
            bytes(&bound, "view"),
            (245 + 48) * 57_344 + 842_400 * 116 + 2 * 131_072 * 60
        );
        let sum: u64 = bound.parts().iter().map(|part| part.bytes).sum();
        assert_eq!(bound.bytes(), sum);
    }

    #[test]
    fn a_shard_has_no_more_cells_than_its_tenants_can_fill() {
        let many = ("1_000_000", "200_000_000");
        assert_eq!(bytes(&bound(&[many], 2), "cells"), 48 * 842_400 * 288);
        let two = ("tenants_max = 1", "tenants_max = 2");
        assert_eq!(bytes(&bound(&[many, two], 2), "cells"), 96 * 842_400 * 288);
    }

    #[test]
    fn operators_are_kept_memory_for_every_cell_of_every_long_answer() {
        let part = bytes(&bound(&[], 2), "operators");
        let cells = 842_400 * 48;
        let scrape = (512 << 10) + 2 * (128 << 10) + 48 * ((1 << 10) + 8) + 512;
        let rest = 128 * (64 << 10) + 8 * scrape;
        let rest = rest + 4 * (10 << 20);
        assert_eq!(part, 4 * (cells + 864) + rest);
        // Few cells and many sessions: 10,000 are listed.
        let more = [("= 1_000_000", "= 100"), ("= 1000", "= 1000000")];
        let part = bytes(&bound(&more, 2), "operators");
        assert_eq!(part, 4 * (32_000_000 + 10_000 * 512) + rest);
    }

    #[test]
    fn what_a_thread_reports_to_a_scrape_fits_into_what_is_kept_for_it() {
        let batches = hdrhistogram::Histogram::<u64>::new_with_max(1 << 24, 2).unwrap();
        let bytes = |histogram: &hdrhistogram::Histogram<u64>| histogram.distinct_values() * 8;
        let report = 2 * bytes(&crate::metrics::latency_histogram()) + bytes(&batches);
        assert!(report as u64 <= SCRAPE_THREAD * 3 / 4, "{report}");
    }

    /// Raising any limit raises the bound.
    #[test]
    fn every_limit_counts() {
        let before = bound(&[], 2).bytes();
        for (from, to) in [
            ("= 1000", "= 1001"),
            ("1_000_000", "2_000_000"),
            ("connections_max", "handshakes_max = 300\nconnections_max"),
            (
                "connections_max",
                "receive_windows_max = \"300MiB\"\nconnections_max",
            ),
            (
                "connections_max",
                "window_frames_gateway = 65\nconnections_max",
            ),
            (
                "connections_max",
                "tickets_max = \"65MiB\"\nconnections_max",
            ),
            ("tenants_max = 1", "tenants_max = 2"),
            ("devices_max", "inbox_batches = 257\ndevices_max"),
            ("devices_max", "batch_check_ins_max = 9000\ndevices_max"),
            ("devices_max", "commits_in_flight = 5\ndevices_max"),
            ("directory", "group_bytes_max = \"9MiB\"\ndirectory"),
        ] {
            assert!(bound(&[(from, to)], 2).bytes() > before, "{to}");
        }
        assert!(bound(&[], 3).bytes() > before);
    }
}
