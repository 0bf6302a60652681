//! What must hold of a server, looked at from its disk, from its memory, and from its clients.
//!
//! Each check is a function over a server that stands still; the world decides when. To add one, write it here and
//! call it from [`at_rest`] or [`recovered`].

mod memory;

use std::collections::BTreeSet;

use muster_engine::{Facets, Shard, ShardMap, Timestamp};
use muster_ingest::recount::{count_shard, counters};
use muster_store::StoreView;
use muster_wire::Inventory;

use crate::fleet::{Device, Fleet};
use crate::oracle::Oracle;
use crate::promises::Promises;
use crate::server::Server;
use crate::settings::Settings;
use crate::violation::Violation;

/// What checks compare a server with.
#[derive(Debug)]
pub struct Expected<'a> {
    /// The numbers of the world.
    pub settings: &'a Settings,
    /// Who says what.
    pub fleet: &'a Fleet,
    /// What was acknowledged.
    pub promises: &'a Promises,
    /// The history.
    pub oracle: &'a Oracle,
    /// The latest that a clock has said.
    pub now: Timestamp,
}

/// After a recovery, before anything else happens: everything acknowledged is there, counters are those of the disk.
pub fn recovered(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    acknowledged(server, expected)?;
    let view = server.store.snapshot();
    for worker in &server.workers {
        counters_are_the_recount(&view, worker.shard(), expected.now)?;
        index_finds_each_once(worker.shard(), server.context.routes.map)?;
    }
    devices_are_those_of_the_history(server, expected)?;
    inventories_are_those_of_the_records(server, expected)
}

/// While nothing is under way: the same, and a recovery now would come to the state in memory.
pub fn at_rest(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    recovered(server, expected)?;
    let drift = server.context.metrics.audit_drift.get();
    if drift != 0 {
        return Err(Violation::new(
            "audit",
            format!("the server found a drift of {drift}"),
        ));
    }
    memory::recovery_is_the_memory(server, expected)
}

fn acknowledged(server: &Server, expected: &Expected<'_>) -> Result<(), Violation> {
    let map = server.context.routes.map;
    for device in expected.promises.devices() {
        let id = expected.fleet.id(device.number);
        let shard = server.workers[usize::from(map.shard_of(&id).0)].shard();
        let found = shard.device(device.tenant, &id);
        let found = found.and_then(|(record, key)| Some((record, Facets::from_word(key.facets)?)));
        expected.promises.check(device, found, expected.fleet)?;
    }
    Ok(())
}

fn counters_are_the_recount(
    view: &StoreView<'_>,
    shard: &Shard,
    now: Timestamp,
) -> Result<(), Violation> {
    let id = shard.id();
    let counted = count_shard(view, id, now).map_err(|error| {
        Violation::new(
            "recount",
            format!("shard {id} cannot be recounted: {error}"),
        )
    })?;
    let counters = counters(shard);
    if counted != counters {
        let what = format!("shard {id} counts {counters:?}, its disk has {counted:?}");
        return Err(Violation::new("counters equal the recount", what));
    }
    let sum: u64 = counters.values().sum();
    if sum != u64::from(shard.devices()) {
        let what = format!(
            "shard {id} has {} devices, its cells {sum}",
            shard.devices()
        );
        return Err(Violation::new("counters equal the recount", what));
    }
    Ok(())
}

fn index_finds_each_once(shard: &Shard, map: ShardMap) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    for (record, _) in shard.iter() {
        let found = shard.device(record.tenant, &record.device_id);
        let is_itself = found.is_some_and(|(found, _)| found == record);
        let is_here = map.shard_of(&record.device_id) == shard.id();
        if !is_itself || !is_here || !seen.insert((record.tenant, record.device_id)) {
            let what = format!("{record:?} in {:?}", shard.id());
            return Err(Violation::new("the index finds each device once", what));
        }
    }
    Ok(())
}

fn devices_are_those_of_the_history(
    server: &Server,
    expected: &Expected<'_>,
) -> Result<(), Violation> {
    let devices: u64 = server
        .workers
        .iter()
        .map(|worker| u64::from(worker.shard().devices()))
        .sum();
    let known = expected.oracle.devices() as u64;
    match devices == known {
        true => Ok(()),
        false => {
            let what = format!("{devices} devices, {known} in everything that was ever durable");
            Err(Violation::new("devices are those of the history", what))
        }
    }
}

/// An inventory is written with the record that names its revision.
fn inventories_are_those_of_the_records(
    server: &Server,
    expected: &Expected<'_>,
) -> Result<(), Violation> {
    for (record, _) in server
        .workers
        .iter()
        .flat_map(|worker| worker.shard().iter())
    {
        if record.inventory_revision == 0 {
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
        let sent = device.map(|device| expected.fleet.inventory(device, record.inventory_revision));
        let found = stored.and_then(|bytes| Inventory::from_bytes(&bytes).ok());
        if found != sent || found.is_none() {
            let what = format!("{record:?} has the inventory {found:?}, sent was {sent:?}");
            return Err(Violation::new("contents are what was sent", what));
        }
    }
    Ok(())
}
