//! Recovery matches memory: a recovery now would rebuild the state of every shard.
//!
//! Checks an idle server; called by `checks`. Bounded by twice the state of the server.

use std::collections::BTreeMap;

use muster_engine::{CellKey, Shard};
use muster_ingest::recovery::{RecoverOptions, recover_view};

use super::Expected;
use crate::server::Server;
use crate::violation::Violation;

const CHECK: &str = "recovery matches memory";

/// Compares a recovery from the disk with every shard.
pub(super) fn recovery_matches_memory(
    server: &Server,
    expected: &Expected<'_>,
) -> Result<(), Violation> {
    let options = RecoverOptions {
        limits: expected.settings.limits,
        hash_seed: 1,
    };
    let view = server.store.snapshot();
    let shards = recover_view(&view, options)
        .map_err(|error| Violation::new("recovery", error.to_string()))?;
    for (shard, memory) in shards.iter().zip(server.shards()) {
        if let Some(difference) = difference(shard, memory) {
            let detail = format!("{:?}: {difference}", shard.id());
            return Err(Violation::new(CHECK, detail));
        }
    }
    Ok(())
}

/// The first difference between a recovered shard and the one in memory. The evaluation time may differ: it is not
/// written when no device is due.
fn difference(shard: &Shard, memory: &Shard) -> Option<String> {
    let numbers = |shard: &Shard| {
        let context = shard.context();
        let devices = (shard.devices(), shard.removed(), shard.slots());
        (shard.sequence(), devices, context.revision, context.pass)
    };
    let (recovered, expected) = (numbers(shard), numbers(memory));
    if recovered != expected {
        return Some(format!(
            "(sequence, devices, revision, pass) is {recovered:?} recovered, {expected:?} in memory"
        ));
    }
    first_difference("device", shard.iter(), memory.iter())
        .or_else(|| first_difference("cell", cells(shard), cells(memory)))
}

/// The counters in an order that does not depend on the shard's hash table.
fn cells(shard: &Shard) -> impl Iterator<Item = (CellKey, u32)> {
    shard.cells().collect::<BTreeMap<_, _>>().into_iter()
}

/// The first index at which two lists differ or one of them ends.
fn first_difference<T: PartialEq + std::fmt::Debug>(
    kind: &str,
    mut recovered: impl Iterator<Item = T>,
    mut memory: impl Iterator<Item = T>,
) -> Option<String> {
    (0_u64..).find_map(|index| match (recovered.next(), memory.next()) {
        (None, None) => Some(None),
        (recovered, memory) if recovered == memory => None,
        (recovered, memory) => Some(Some(format!(
            "{kind} {index} is {recovered:?} recovered, {memory:?} in memory"
        ))),
    })?
}
