//! Injected faults: defects that are inserted on purpose, to show that the checks find them.
//!
//! A fault is in the simulated disk, or between a shard and the writer; the server's own code is unchanged. None is
//! active unless the options name it.

use muster_ingest::clock::Stamp;
use muster_ingest::shard::CommitPayload;
use muster_ingest::view::View;
use muster_store::{Commit, CommitPart};
use muster_testkit::random::Random;

/// A fault that some check must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InjectedFault {
    /// Frames complete before the write that contains them.
    AckBeforeSync,
    /// A crash loses a write that the disk has reported as synced.
    LoseSyncedWrite,
    /// A crash during a write keeps a part of it.
    TornWrite,
    /// A trim deletes journal values that recovery still needs.
    TrimTooEarly,
    /// Pages of a checkpoint do not reach the disk.
    SkipPage,
    /// Repeated check-ins are acknowledged as accepted.
    AcceptTwice,
    /// A byte of a check-in changes between shard and journal.
    CorruptJournal,
    /// A policy set is applied but not stored.
    PolicyNotStored,
    /// A failed write is retried and the error is hidden from the server.
    RetryFailedWrite,
    /// The view is not told of devices that are removed or gone.
    LoseTransition,
}

impl InjectedFault {
    /// All faults.
    pub const ALL: [Self; 10] = [
        Self::AckBeforeSync,
        Self::LoseSyncedWrite,
        Self::TornWrite,
        Self::TrimTooEarly,
        Self::SkipPage,
        Self::AcceptTwice,
        Self::CorruptJournal,
        Self::PolicyNotStored,
        Self::RetryFailedWrite,
        Self::LoseTransition,
    ];

    /// Applies the fault to a commit between its shard and the writer.
    pub(crate) fn apply_to_commit(
        self,
        commit: &mut Commit<CommitPayload>,
        now: Stamp,
        view: &View,
        random: &mut Random,
    ) {
        // A journal value begins with a header of 16 bytes and the 8 bytes of its first segment; the boot id of a
        // check-in is at offset 32, behind its slot of 4 bytes.
        const KIND: usize = 16;
        const CHECK_INS: u8 = 1;
        const BOOT_ID: usize = 16 + 8 + 4 + 32;
        match self {
            Self::AckBeforeSync if random.below(4) == 0 => {
                // The view gets them in order, when they are durable.
                let transitions = std::mem::take(&mut commit.payload.transitions);
                commit.payload.durable(now, view);
                commit.payload.transitions = transitions;
            }
            Self::AcceptTwice => {
                for (_, outcome) in &mut commit.payload.completions {
                    outcome.accepted += std::mem::take(&mut outcome.duplicate);
                }
            }
            Self::CorruptJournal => {
                for CommitPart { journal, .. } in &mut commit.parts {
                    let has_check_in = journal.len() > BOOT_ID && journal[KIND] == CHECK_INS;
                    if has_check_in && random.below(8) == 0 {
                        journal[BOOT_ID] ^= 1;
                    }
                }
            }
            Self::LoseTransition => {
                for (_, transitions) in &mut commit.payload.transitions {
                    transitions.retain(|transition| transition.after.is_some());
                }
            }
            _ => (),
        }
    }
}
