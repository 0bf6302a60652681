//! Recovery is the memory: what a recovery would come to now is what the shards know.
//!
//! All of it but one thing: a change of rules that moved no device leaves nothing behind once a checkpoint has covered
//! it, and the next start puts the latest rules in force again. So the revision of a recovery is that of the journal to
//! replay, which is the memory's, or without any that of the newest page. What each page was judged by is known
//! from the history, so a revision that is lost on the way to a page is found as well.
//!
//! Looks at a server that stands still; its owner is `checks`. Bounded by the state of the server, twice.

use muster_engine::{Cohort, CohortId, Revision, Sequence, Shard, page};
use muster_ingest::recovery::{RecoverOptions, recover_view};
use muster_store::{ReadError, StoreView};

use super::Expected;
use crate::oracle::Oracle;
use crate::server::Server;
use crate::violation::Violation;

const CHECK: &str = "recovery is the memory";

/// A recovery from what is durable now, compared with every shard.
pub(super) fn recovery_is_the_memory(
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
        let differs = differs(shard, memory)
            .or_else(|| revision_differs(&view, shard, memory, expected.oracle));
        if let Some(what) = differs {
            let what = format!("{:?}: {what}", shard.id());
            return Err(Violation::new(CHECK, what));
        }
    }
    Ok(())
}

/// How a recovered shard differs from that in memory, but for its revision.
fn differs(shard: &Shard, memory: &Shard) -> Option<String> {
    let numbers = |shard: &Shard| (shard.sequence(), shard.devices(), shard.slots());
    let (found, known) = (numbers(shard), numbers(memory));
    if found != known {
        let what = "(sequence, devices, slots)";
        return Some(format!("{what} {found:?} recovered, {known:?} in memory"));
    }
    first_difference("device", shard.iter(), memory.iter())
        .or_else(|| first_difference("cell", shard.cells(), memory.cells()))
        .or_else(|| first_difference("cohort", cohorts(shard), cohorts(memory)))
}

fn cohorts(shard: &Shard) -> impl Iterator<Item = &Cohort> {
    (0..).map_while(|id| shard.cohort(CohortId(id)))
}

/// The first place at which two lists differ, or at which one of them ends.
fn first_difference<T: PartialEq + std::fmt::Debug>(
    of: &str,
    mut found: impl Iterator<Item = T>,
    mut known: impl Iterator<Item = T>,
) -> Option<String> {
    (0_u64..).find_map(|number| match (found.next(), known.next()) {
        (None, None) => Some(None),
        (found, known) if found == known => None,
        (found, known) => Some(Some(format!(
            "{of} {number} is {found:?} recovered, {known:?} in memory"
        ))),
    })?
}

fn revision_differs(
    view: &StoreView<'_>,
    shard: &Shard,
    memory: &Shard,
    oracle: &Oracle,
) -> Option<String> {
    let id = shard.id();
    if oracle.revision_at(id, memory.sequence()) != Some(memory.revision()) {
        let (sequence, revision) = (memory.sequence(), memory.revision());
        return Some(format!(
            "{revision:?} in memory is not of sequence {sequence}"
        ));
    }
    let told = match told(view, memory, oracle) {
        Ok(told) => told,
        Err(what) => return Some(what),
    };
    let found = shard.revision();
    (found != told).then(|| format!("{found:?} recovered, the disk tells of {told:?}"))
}

/// The revision that the disk tells of.
fn told(view: &StoreView<'_>, memory: &Shard, oracle: &Oracle) -> Result<Revision, String> {
    let unreadable = |error: ReadError| error.to_string();
    let id = memory.id();
    let covered = view
        .checkpoint(id)
        .map_err(unreadable)?
        .map_or(Sequence(0), |record| record.cursor_sequence);
    if covered < memory.sequence() {
        return Ok(memory.revision());
    }
    let mut newest = Revision::default();
    let mut wrong = None;
    view.pages(id, |number, bytes| {
        match page::decode(bytes) {
            Some(page) if oracle.revision_at(id, page.sequence) == Some(page.revision) => {
                newest = newest.max(page.revision);
            }
            page => {
                let said = page.map(|page| (page.sequence, page.revision));
                wrong = Some(format!("page {number} is of another revision: {said:?}"));
            }
        }
        Ok::<(), ReadError>(())
    })
    .map_err(unreadable)?;
    wrong.map_or(Ok(newest), Err)
}
