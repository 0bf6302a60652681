//! Assigns log sequence numbers and tracks which part of the journal is live: the state behind checkpoint and trim.
//!
//! Owned by the writer, rebuilt by recovery. Constant memory per shard, independent of the length of the journal: only
//! the oldest live value of a shard matters, and it changes only when a checkpoint completes. Pure state: no IO.

use muster_engine::{Sequence, ShardId};

use crate::lsn::Lsn;
use crate::value::CheckpointRecord;

/// The journal values of one shard since some point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    /// The first one; `None` if there is none.
    first: Option<Lsn>,
    bytes: u64,
}

impl Run {
    fn add(&mut self, lsn: Lsn, bytes: u64) {
        self.first.get_or_insert(lsn);
        self.bytes += bytes;
    }
}

/// A running checkpoint: the sequence that it covers, and the values after it.
#[derive(Clone, Debug)]
struct RunningCheckpoint {
    sequence: Sequence,
    context: Vec<u8>,
    after: Run,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// Last sequence in the journal, or covered by the last checkpoint.
    sequence: Sequence,
    /// Values that a recovery would replay.
    live: Run,
    running: Option<RunningCheckpoint>,
}

/// A commit that violates the contract between shards and writer. Nothing of its group was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalStateError {
    #[error("shard {shard} does not exist; there are {shards} shards")]
    NoSuchShard { shard: ShardId, shards: usize },
    #[error("shard {shard} sent sequence {found} after {last}: sequences must be consecutive")]
    SequenceGap {
        shard: ShardId,
        last: Sequence,
        found: Sequence,
    },
    #[error("shard {shard} completed a checkpoint that it did not begin")]
    NotBegun { shard: ShardId },
}

#[derive(Clone, Debug)]
pub(crate) struct JournalState {
    next: Lsn,
    shards: Vec<Shard>,
}

impl JournalState {
    /// The state before the journal is read: `cursors` has the checkpointed sequence of each shard, 0 if it has none.
    pub(crate) fn new(next: Lsn, cursors: &[Sequence]) -> Self {
        let shard = |&sequence: &Sequence| Shard {
            sequence,
            ..Shard::default()
        };
        Self {
            next,
            shards: cursors.iter().map(shard).collect(),
        }
    }

    /// Log sequence number of the next journal value.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// Last sequence of a shard.
    pub(crate) fn sequence(&self, shard: ShardId) -> Sequence {
        self.shards
            .get(usize::from(shard))
            .map_or(Sequence(0), |shard| shard.sequence)
    }

    /// Journal bytes that a recovery would replay for a shard.
    pub(crate) fn live_bytes(&self, shard: ShardId) -> u64 {
        self.shards
            .get(usize::from(shard))
            .map_or(0, |shard| shard.live.bytes)
    }

    /// Journal bytes that a recovery would replay for all shards.
    pub(crate) fn live_bytes_total(&self) -> u64 {
        self.shards.iter().map(|shard| shard.live.bytes).sum()
    }

    /// The trim point: all values below it are obsolete. A shard without live values does not hold it back.
    pub(crate) fn trim(&self) -> Lsn {
        let oldest = self
            .shards
            .iter()
            .filter_map(|shard| shard.live.first)
            .min();
        oldest.unwrap_or(self.next)
    }

    /// Adds what a shard has in the next journal value.
    pub(crate) fn append(
        &mut self,
        shard: ShardId,
        sequence: Sequence,
        bytes: u64,
    ) -> Result<(), JournalStateError> {
        let lsn = self.next;
        let entry = self.shard(shard)?;
        if entry.sequence.0.checked_add(1) != Some(sequence.0) {
            let last = entry.sequence;
            return Err(JournalStateError::SequenceGap {
                shard,
                last,
                found: sequence,
            });
        }
        entry.sequence = sequence;
        entry.live.add(lsn, bytes);
        if let Some(running) = &mut entry.running {
            running.after.add(lsn, bytes);
        }
        Ok(())
    }

    /// Ends a journal value, to which any number of shards were added; returns its log sequence number.
    pub(crate) fn end_value(&mut self) -> Lsn {
        let lsn = self.next;
        self.next = lsn.next();
        lsn
    }

    /// Begins a checkpoint, which will cover all values so far and has this context. Abandons a running one.
    pub(crate) fn begin(
        &mut self,
        shard: ShardId,
        context: &[u8],
    ) -> Result<(), JournalStateError> {
        let entry = self.shard(shard)?;
        entry.running = Some(RunningCheckpoint {
            sequence: entry.sequence,
            context: context.to_vec(),
            after: Run::default(),
        });
        Ok(())
    }

    /// Completes a checkpoint: the values up to its begin become obsolete.
    pub(crate) fn complete(
        &mut self,
        shard: ShardId,
    ) -> Result<CheckpointRecord, JournalStateError> {
        let next_lsn = self.next;
        let entry = self.shard(shard)?;
        let checkpoint = entry
            .running
            .take()
            .ok_or(JournalStateError::NotBegun { shard })?;
        entry.live = checkpoint.after;
        Ok(CheckpointRecord {
            cursor_sequence: checkpoint.sequence,
            next_lsn,
            context: checkpoint.context,
        })
    }

    fn shard(&mut self, shard: ShardId) -> Result<&mut Shard, JournalStateError> {
        let shards = self.shards.len();
        self.shards
            .get_mut(usize::from(shard))
            .ok_or(JournalStateError::NoSuchShard { shard, shards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal_state(shards: usize) -> JournalState {
        JournalState::new(Lsn::FIRST, &vec![Sequence(0); shards])
    }

    fn append(
        state: &mut JournalState,
        shard: u16,
        sequence: u64,
        bytes: u64,
    ) -> Result<Lsn, JournalStateError> {
        state.append(ShardId(shard), Sequence(sequence), bytes)?;
        Ok(state.end_value())
    }

    #[test]
    fn log_sequence_numbers_are_global_and_sequences_are_per_shard() {
        let mut state = journal_state(2);
        assert_eq!(append(&mut state, 0, 1, 10), Ok(Lsn(1)));
        assert_eq!(append(&mut state, 1, 1, 20), Ok(Lsn(2)));
        assert_eq!(append(&mut state, 0, 2, 30), Ok(Lsn(3)));
        assert_eq!(
            (state.live_bytes(ShardId(0)), state.live_bytes(ShardId(1))),
            (40, 20)
        );
        assert_eq!((state.live_bytes_total(), state.trim()), (60, Lsn(1)));
        let gap = JournalStateError::SequenceGap {
            shard: ShardId(0),
            last: Sequence(2),
            found: Sequence(4),
        };
        assert_eq!(append(&mut state, 0, 4, 1), Err(gap));
        assert_eq!(
            append(&mut state, 2, 1, 1),
            Err(JournalStateError::NoSuchShard {
                shard: ShardId(2),
                shards: 2
            })
        );
    }

    #[test]
    fn a_checkpoint_frees_the_values_up_to_its_begin() {
        let mut state = journal_state(2);
        append(&mut state, 0, 1, 10).unwrap();
        append(&mut state, 0, 2, 10).unwrap();
        state.begin(ShardId(0), b"context").unwrap();
        append(&mut state, 0, 3, 5).unwrap();
        assert_eq!(state.trim(), Lsn(1), "pages are not complete");
        let record = state.complete(ShardId(0)).unwrap();
        assert_eq!(
            record,
            CheckpointRecord {
                cursor_sequence: Sequence(2),
                next_lsn: Lsn(4),
                context: b"context".to_vec(),
            }
        );
        assert_eq!((state.trim(), state.live_bytes(ShardId(0))), (Lsn(3), 5));
        assert_eq!(
            state.complete(ShardId(0)),
            Err(JournalStateError::NotBegun { shard: ShardId(0) })
        );
    }

    #[test]
    fn an_idle_shard_does_not_hold_back_trim_and_an_active_one_does() {
        let mut state = journal_state(3);
        append(&mut state, 0, 1, 1).unwrap();
        append(&mut state, 1, 1, 1).unwrap();
        state.begin(ShardId(0), b"context").unwrap();
        state.complete(ShardId(0)).unwrap();
        assert_eq!(state.trim(), Lsn(2), "shard 1 still needs it");
        state.begin(ShardId(1), b"context").unwrap();
        state.complete(ShardId(1)).unwrap();
        assert_eq!(state.trim(), Lsn(3), "no value is live");
    }

    #[test]
    fn a_second_begin_covers_the_values_after_the_first() {
        let mut state = journal_state(1);
        append(&mut state, 0, 1, 1).unwrap();
        state.begin(ShardId(0), b"context").unwrap();
        append(&mut state, 0, 2, 1).unwrap();
        state.begin(ShardId(0), b"context").unwrap();
        assert_eq!(
            state.complete(ShardId(0)).unwrap().cursor_sequence,
            Sequence(2)
        );
        assert_eq!(state.live_bytes(ShardId(0)), 0);
    }
}
