//! Which journal positions are still needed: the bookkeeping behind checkpoint and trim.
//!
//! Owned by the writer, rebuilt by recovery. Pure numbers: no IO, no bytes. Constant memory a shard, however
//! long the journal is: of each shard only the oldest needed position counts, and it moves only when a
//! checkpoint completes.

use crate::value::CheckpointRecord;

/// A run of journal values of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    /// Position of the first, `None` when there is none.
    first: Option<u64>,
    bytes: u64,
}

impl Run {
    fn add(&mut self, position: u64, bytes: u64) {
        self.first.get_or_insert(position);
        self.bytes += bytes;
    }
}

/// A checkpoint that has begun: what it will cover, and what came after.
#[derive(Clone, Copy, Debug)]
struct Begun {
    sequence: u64,
    after: Run,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// Last sequence in the journal, or covered by the last checkpoint.
    sequence: u64,
    /// Values a recovery would replay.
    live: Run,
    begun: Option<Begun>,
}

/// A rule between the shards and the writer that was broken; nothing of the commit was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("shard {shard} does not exist, there are {shards}")]
    NoSuchShard { shard: u16, shards: usize },
    #[error("shard {shard} sent sequence {found} after {last}: sequences have no gap")]
    SequenceGap { shard: u16, last: u64, found: u64 },
    #[error("shard {shard} completed a checkpoint that it had not begun")]
    NotBegun { shard: u16 },
}

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    next_position: u64,
    shards: Vec<Shard>,
}

impl Ledger {
    /// Before the first journal value: `cursors` is the last checkpointed sequence of each shard, 0 if none.
    pub(crate) fn new(next_position: u64, cursors: &[u64]) -> Self {
        let shard = |&sequence: &u64| Shard {
            sequence,
            ..Shard::default()
        };
        Self {
            next_position,
            shards: cursors.iter().map(shard).collect(),
        }
    }

    pub(crate) fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Last sequence of a shard.
    pub(crate) fn sequence(&self, shard: u16) -> u64 {
        self.shards
            .get(usize::from(shard))
            .map_or(0, |shard| shard.sequence)
    }

    /// Bytes of journal that a recovery would replay for a shard.
    pub(crate) fn live_bytes(&self, shard: u16) -> u64 {
        self.shards
            .get(usize::from(shard))
            .map_or(0, |shard| shard.live.bytes)
    }

    /// The same for all shards.
    pub(crate) fn live_bytes_total(&self) -> u64 {
        self.shards.iter().map(|shard| shard.live.bytes).sum()
    }

    /// Below this position nothing is needed. A shard with nothing to replay does not hold it back.
    pub(crate) fn trim(&self) -> u64 {
        let oldest = self
            .shards
            .iter()
            .filter_map(|shard| shard.live.first)
            .min();
        oldest.unwrap_or(self.next_position)
    }

    /// Takes the next position for a journal value.
    pub(crate) fn append(
        &mut self,
        shard: u16,
        sequence: u64,
        bytes: u64,
    ) -> Result<u64, LedgerError> {
        let position = self.next_position;
        let entry = self.shard(shard)?;
        if entry.sequence.checked_add(1) != Some(sequence) {
            let last = entry.sequence;
            return Err(LedgerError::SequenceGap {
                shard,
                last,
                found: sequence,
            });
        }
        entry.sequence = sequence;
        entry.live.add(position, bytes);
        if let Some(begun) = &mut entry.begun {
            begun.after.add(position, bytes);
        }
        self.next_position += 1;
        Ok(position)
    }

    /// Passes a position that holds nothing any shard needs (recovery only).
    pub(crate) fn skip(&mut self) {
        self.next_position += 1;
    }

    /// From here on the shard writes pages that cover everything so far. Beginning again starts afresh.
    pub(crate) fn begin(&mut self, shard: u16) -> Result<(), LedgerError> {
        let entry = self.shard(shard)?;
        entry.begun = Some(Begun {
            sequence: entry.sequence,
            after: Run::default(),
        });
        Ok(())
    }

    /// All pages are written: what came up to the begin is needed no more.
    pub(crate) fn complete(&mut self, shard: u16) -> Result<CheckpointRecord, LedgerError> {
        let next_position = self.next_position;
        let entry = self.shard(shard)?;
        let begun = entry.begun.take().ok_or(LedgerError::NotBegun { shard })?;
        entry.live = begun.after;
        Ok(CheckpointRecord {
            cursor_sequence: begun.sequence,
            next_position,
        })
    }

    fn shard(&mut self, shard: u16) -> Result<&mut Shard, LedgerError> {
        let shards = self.shards.len();
        self.shards
            .get_mut(usize::from(shard))
            .ok_or(LedgerError::NoSuchShard { shard, shards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_global_and_sequences_are_per_shard() {
        let mut ledger = Ledger::new(1, &[0, 0]);
        assert_eq!(ledger.append(0, 1, 10), Ok(1));
        assert_eq!(ledger.append(1, 1, 20), Ok(2));
        assert_eq!(ledger.append(0, 2, 30), Ok(3));
        assert_eq!((ledger.live_bytes(0), ledger.live_bytes(1)), (40, 20));
        assert_eq!((ledger.live_bytes_total(), ledger.trim()), (60, 1));
        let gap = LedgerError::SequenceGap {
            shard: 0,
            last: 2,
            found: 4,
        };
        assert_eq!(ledger.append(0, 4, 1), Err(gap));
        assert_eq!(
            ledger.append(2, 1, 1),
            Err(LedgerError::NoSuchShard {
                shard: 2,
                shards: 2
            })
        );
    }

    #[test]
    fn a_checkpoint_frees_what_came_up_to_its_begin() {
        let mut ledger = Ledger::new(1, &[0, 0]);
        ledger.append(0, 1, 10).unwrap();
        ledger.append(0, 2, 10).unwrap();
        ledger.begin(0).unwrap();
        ledger.append(0, 3, 5).unwrap();
        assert_eq!(ledger.trim(), 1, "pages are not complete");
        let record = ledger.complete(0).unwrap();
        assert_eq!(
            record,
            CheckpointRecord {
                cursor_sequence: 2,
                next_position: 4
            }
        );
        assert_eq!((ledger.trim(), ledger.live_bytes(0)), (3, 5));
        assert_eq!(ledger.complete(0), Err(LedgerError::NotBegun { shard: 0 }));
    }

    #[test]
    fn an_idle_shard_does_not_hold_back_trim_and_an_active_one_does() {
        let mut ledger = Ledger::new(1, &[0, 0, 0]);
        ledger.append(0, 1, 1).unwrap();
        ledger.append(1, 1, 1).unwrap();
        ledger.begin(0).unwrap();
        ledger.complete(0).unwrap();
        assert_eq!(ledger.trim(), 2, "shard 1 still needs position 2");
        ledger.begin(1).unwrap();
        ledger.complete(1).unwrap();
        assert_eq!(
            ledger.trim(),
            3,
            "nothing is needed, up to the next position"
        );
    }

    #[test]
    fn beginning_again_covers_what_came_between() {
        let mut ledger = Ledger::new(1, &[0]);
        ledger.append(0, 1, 1).unwrap();
        ledger.begin(0).unwrap();
        ledger.append(0, 2, 1).unwrap();
        ledger.begin(0).unwrap();
        assert_eq!(ledger.complete(0).unwrap().cursor_sequence, 2);
        assert_eq!(ledger.live_bytes(0), 0);
    }
}
