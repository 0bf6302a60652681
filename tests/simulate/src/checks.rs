//! The checks of a server: its disk, its memory and the acknowledged state must agree.
//!
//! Each check is a function over an idle server; the world decides when it runs. To add one, write it here and call
//! it from [`at_rest`] or [`recovered`].

mod memory;
mod view;

use std::collections::BTreeSet;

use muster_control::PinnedHead;
use muster_engine::{Shard, ShardMap};
use muster_ingest::recount::{Cells, counters, read_shards};
use muster_ingest::server::verify_log;
use muster_wire::Inventory;

use crate::acknowledged_state::AcknowledgedState;
use crate::fleet::{Device, Fleet};
use crate::oracle::Oracle;
use crate::server::Server;
use crate::settings::Settings;
use crate::violation::Violation;

pub use view::view_after_a_write;

/// The expectations that a server is checked against.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The settings of the run.
    pub settings: &'a Settings,
    /// The devices, with the content of their records.
    pub fleet: &'a Fleet,
    /// The acknowledged state.
    pub acknowledged_state: &'a AcknowledgedState,
    /// The model with the history.
    pub oracle: &'a Oracle,
    /// The head of the control log after its last entry that was durable.
    pub head: Option<PinnedHead>,
}

/// Checks a server right after recovery: the acknowledged state is there and counters match the disk.
pub fn recovered(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    acknowledged_is_durable(server, expected)?;
    let view = server.store.snapshot();
    if let Some(problem) = verify_log(&view, expected.head).problem {
        return Err(Violation::new("control log", problem));
    }
    let recount = |error| Violation::new("recount", format!("shards cannot be read: {error}"));
    let recounted = read_shards(&view, 0..view.shards()).map_err(recount)?;
    for (shard, (_, model)) in server.shards().zip(recounted) {
        counters_match_the_recount(&model.cells(), shard)?;
        index_finds_each_device_once(shard, server.context.routes.map.shards())?;
    }
    view::view_matches_memory(server)?;
    devices_match_the_history(server, expected)?;
    inventories_match_the_records(server, expected)
}

/// Checks an idle server: the same, and a recovery now would rebuild the state in memory.
pub fn at_rest(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    recovered(server, expected)?;
    let drift = server.context.metrics.audit_drift.get();
    if drift != 0 {
        return Err(Violation::new(
            "audit",
            format!("the audit reports a drift of {drift}"),
        ));
    }
    memory::recovery_matches_memory(server, expected)
}

fn acknowledged_is_durable(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    let map = &server.context.routes.map;
    for device in expected.acknowledged_state.devices() {
        let id = expected.fleet.id(device.number);
        let shard = server.workers[map.thread_of(&id)].shards().shard_of(&id);
        let found = shard.device(device.tenant, &id);
        expected
            .acknowledged_state
            .check(device, found, expected.fleet)?;
    }
    Ok(())
}

fn counters_match_the_recount(counted: &Cells, shard: &Shard) -> Result<(), Violation> {
    let id = shard.id();
    let counters = counters(shard);
    if *counted != counters {
        let detail = format!("shard {id} counts {counters:?}, the recount gives {counted:?}");
        return Err(Violation::new("counters match the recount", detail));
    }
    let sum: u64 = counters.values().sum();
    if sum != u64::from(shard.devices()) {
        let detail = format!(
            "shard {id} has {} devices, the sum of its cells is {sum}",
            shard.devices()
        );
        return Err(Violation::new("counters match the recount", detail));
    }
    Ok(())
}

fn index_finds_each_device_once(shard: &Shard, map: ShardMap) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    for (record, _) in shard.iter() {
        let found = shard.device(record.tenant, &record.device_id);
        let is_found = found.is_some_and(|(found, _)| found == record);
        let is_in_its_shard = map.shard_of(&record.device_id) == shard.id();
        let is_first = seen.insert((record.tenant, record.device_id));
        if !is_found || !is_in_its_shard || !is_first {
            let detail = format!("{record:?} in {:?}", shard.id());
            return Err(Violation::new("the index finds each device once", detail));
        }
    }
    Ok(())
}

fn devices_match_the_history(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    let devices: u64 = server
        .shards()
        .map(|shard| u64::from(shard.devices()))
        .sum();
    let created = expected.oracle.devices() as u64;
    if devices == created {
        return Ok(());
    }
    let detail = format!("the server has {devices} devices, the journal created {created}");
    Err(Violation::new("devices match the history", detail))
}

/// Checks that the store has the inventory of the revision that each record names.
fn inventories_match_the_records(
    server: &Server,
    expected: &Expected<'_>,
) -> Result<(), Violation> {
    for (record, cold) in server.shards().flat_map(Shard::iter) {
        if cold.inventory_revision == 0 {
            continue;
        }
        let stored = server.store.inventory(record.tenant, &record.device_id);
        let stored = stored.ok().flatten();
        let device = expected
            .fleet
            .number(&record.device_id)
            .map(|number| Device {
                tenant: record.tenant,
                number,
            });
        let sent = device.map(|device| expected.fleet.inventory(device, cold.inventory_revision));
        let found = stored.and_then(|bytes| Inventory::from_bytes(&bytes).ok());
        if found != sent || found.is_none() {
            let detail = format!("{record:?} has inventory {found:?}, but {sent:?} was sent");
            return Err(Violation::new("content matches what was sent", detail));
        }
    }
    Ok(())
}
