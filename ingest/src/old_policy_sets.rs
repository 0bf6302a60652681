//! Deletes policy sets that nothing on disk refers to any more (design D24).
//!
//! A shard needs the policy set of the devices that no policy pass had reached when its last checkpoint began, and later
//! ones: its pages were evaluated under these, and its journal names only later ones. So what is before that of every
//! shard can go. Called after each change, so their number is bounded by the changes between two checkpoints. Blocking.

use muster_engine::{Context, Revision, ShardId};
use muster_store::{ReadError, Store, WriteError};

/// Deletes the policy sets that no shard needs. Returns their number.
///
/// # Errors
/// If the store cannot be read or written. Nothing is lost: a later call deletes them.
pub fn delete(store: &Store) -> Result<u32, WriteError> {
    let needed = needed_from(store)?;
    store.delete_policy_sets(needed)
}

/// The first policy set that a shard needs; the first of all if a shard has no checkpoint.
fn needed_from(store: &Store) -> Result<Revision, ReadError> {
    let view = store.snapshot();
    let mut needed = Revision(u32::MAX);
    for shard in (0..store.shards()).map(ShardId) {
        let checkpoint = view.checkpoint(shard)?;
        let context = checkpoint.and_then(|record| Some(Context::decode(&record.context)?.0));
        needed = needed.min(context.unwrap_or_default().revision);
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use muster_engine::{Sequence, ShardLimits};
    use muster_store::{
        CheckpointMark, Commit, CommitPart, PoisonReason, Sink, StoreConfig, Writer,
    };

    use super::*;
    use crate::recovery::{self, RecoverOptions};

    struct Succeeds;

    impl Sink<()> for Succeeds {
        fn committed(&mut self, _: Commit<()>, _: Instant) {}

        fn failed(&mut self, _: Commit<()>, reason: &PoisonReason) {
            panic!("{reason}");
        }
    }

    /// A whole checkpoint of a shard whose devices have this policy set.
    fn checkpoint(writer: &mut Writer, shard: u16, revision: u32) {
        let context = Context {
            revision: Revision(revision),
            ..Context::default()
        };
        for mark in [CheckpointMark::Begin, CheckpointMark::Complete] {
            let part = CommitPart {
                shard: ShardId(shard),
                sequence: Sequence(0),
                checkpoint: Some(mark),
                context: context.encode(),
                ..CommitPart::default()
            };
            writer.write(&mut vec![Commit::from(part)], &mut Succeeds);
        }
    }

    #[test]
    fn what_no_shard_needs_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(directory.path()).with_shards(2)).unwrap();
        let options = RecoverOptions {
            limits: ShardLimits { devices_max: 10 },
            hash_seed: 1,
        };
        let (_, mut writer) = recovery::recover(&store, options).unwrap();
        for revision in 1..=5 {
            store.put_policy_set(Revision(revision), &[7]).unwrap();
        }
        let left = || -> Vec<u32> {
            let is_left = |revision: &u32| store.policy_set(Revision(*revision)).unwrap().is_some();
            (1..=5).filter(is_left).collect()
        };
        assert_eq!(delete(&store), Ok(0), "without a checkpoint");
        checkpoint(&mut writer, 0, 4);
        assert_eq!(delete(&store), Ok(0), "the other shard has none");
        checkpoint(&mut writer, 1, 3);
        assert_eq!(delete(&store), Ok(2));
        assert_eq!(left(), [3, 4, 5]);
        checkpoint(&mut writer, 1, 5);
        assert_eq!(delete(&store), Ok(1));
        assert_eq!(left(), [4, 5]);
        assert_eq!(delete(&store), Ok(0));
    }
}
