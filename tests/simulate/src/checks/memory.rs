//! Recovery matches memory: a recovery now would rebuild the state of every shard.
//!
//! The policy revision may differ: a policy change that moved no device leaves no trace once a checkpoint covers
//! it, and the next start applies the latest policy set again. So the recovered revision is that of the journal to
//! replay, which equals the one in memory, or, if there is none to replay, that of the newest page. The history has
//! the revision of each page, so a page with the wrong one is found too.
//!
//! Checks an idle server; called by `checks`. Bounded by twice the state of the server.

use std::collections::BTreeMap;

use muster_engine::{CellKey, Revision, Sequence, Shard, page};
use muster_ingest::recovery::{RecoverOptions, recover_view};
use muster_store::{ReadError, StoreView};

use super::Expected;
use crate::oracle::Oracle;
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
    for (shard, worker) in shards.iter().zip(&server.workers) {
        let memory = worker.shard();
        let difference = difference(shard, memory)
            .or_else(|| revision_difference(&view, shard, memory, expected.oracle));
        if let Some(difference) = difference {
            let detail = format!("{:?}: {difference}", shard.id());
            return Err(Violation::new(CHECK, detail));
        }
    }
    Ok(())
}

/// The first difference between a recovered shard and the one in memory, except for the revision.
fn difference(shard: &Shard, memory: &Shard) -> Option<String> {
    let numbers = |shard: &Shard| (shard.sequence(), shard.devices(), shard.slots());
    let (recovered, expected) = (numbers(shard), numbers(memory));
    if recovered != expected {
        return Some(format!(
            "(sequence, devices, slots) is {recovered:?} recovered, {expected:?} in memory"
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

fn revision_difference(
    view: &StoreView<'_>,
    shard: &Shard,
    memory: &Shard,
    oracle: &Oracle,
) -> Option<String> {
    let id = shard.id();
    if oracle.revision_at(id, memory.sequence()) != Some(memory.revision()) {
        let (sequence, revision) = (memory.sequence(), memory.revision());
        return Some(format!(
            "{revision:?} in memory is not that of sequence {sequence} in the history"
        ));
    }
    let expected = match expected_revision(view, memory, oracle) {
        Ok(expected) => expected,
        Err(error) => return Some(error),
    };
    let recovered = shard.revision();
    (recovered != expected).then(|| format!("{recovered:?} recovered instead of {expected:?}"))
}

/// The revision that a recovery from this disk must have.
fn expected_revision(
    view: &StoreView<'_>,
    memory: &Shard,
    oracle: &Oracle,
) -> Result<Revision, String> {
    let to_text = |error: ReadError| error.to_string();
    let id = memory.id();
    let covered = view
        .checkpoint(id)
        .map_err(to_text)?
        .map_or(Sequence(0), |record| record.cursor_sequence);
    if covered < memory.sequence() {
        return Ok(memory.revision());
    }
    let mut newest = Revision::default();
    let mut wrong_page = None;
    view.pages(id, |number, bytes| {
        match page::decode(bytes) {
            Some(page) if oracle.revision_at(id, page.sequence) == Some(page.revision) => {
                newest = newest.max(page.revision);
            }
            page => {
                let found = page.map(|page| (page.sequence, page.revision));
                wrong_page = Some(format!("page {number} has a wrong revision: {found:?}"));
            }
        }
        Ok::<(), ReadError>(())
    })
    .map_err(to_text)?;
    wrong_page.map_or(Ok(newest), Err)
}
