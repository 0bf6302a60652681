//! The view matches memory, and what is durable.
//!
//! Called by `checks` for an idle server, and by the world after every write. Bounded by the slots of all shards.

use std::collections::BTreeMap;

use muster_engine::TenantIndex;
use muster_ingest::view::Position;

use crate::oracle::Oracle;
use crate::server::Server;
use crate::violation::Violation;

const CHECK: &str = "the view matches the counters";

/// Checks that the view counts as many devices as the durable journal has created, and that its parts agree.
pub fn view_after_a_write(server: &Server, oracle: &Oracle) -> Result<(), Violation> {
    let cells = server.view.cells(None);
    let (counted, created) = (
        cells.iter().map(|cell| cell.count).sum::<u64>(),
        oracle.devices(),
    );
    if counted != created as u64 {
        let detail = format!("the view has {counted} devices, the journal created {created}");
        return Err(Violation::new(CHECK, detail));
    }
    match server.view.drift() {
        0 => Ok(()),
        drift => {
            let detail = format!("its cells differ from its columns by {drift} devices");
            Err(Violation::new(CHECK, detail))
        }
    }
}

/// Checks that the columns have the devices of every shard in their slots, with their facets.
pub(super) fn view_matches_memory(server: &Server) -> Result<(), Violation> {
    let mut positions = BTreeMap::<TenantIndex, Vec<Position>>::new();
    for shard in server.shards() {
        let id = shard.id();
        for (slot, cell) in shard.counted() {
            let of_tenant = positions.entry(cell.tenant).or_default();
            of_tenant.push(Position { shard: id, slot });
        }
        let columns: BTreeMap<_, _> = server.view.count_columns(id.0..id.0 + 1).collect();
        let counters = shard.cells().map(|(cell, count)| (cell, u64::from(count)));
        let counters: BTreeMap<_, _> = counters.collect();
        if columns != counters {
            let detail = format!("shard {id} counts {counters:?}, its column has {columns:?}");
            return Err(Violation::new(CHECK, detail));
        }
    }
    for (tenant, expected) in positions {
        let all = |_| true;
        let listed = server
            .view
            .scan(tenant, None, Position::default(), usize::MAX, all);
        if listed != expected {
            let detail = format!("{tenant:?} has {expected:?}, a scan lists {listed:?}");
            return Err(Violation::new(CHECK, detail));
        }
    }
    Ok(())
}
