//! Defects put in on purpose, so that the simulation can be seen to find them.
//!
//! They are in what stands around the server, its disk and the hands between a shard and the writer: the server
//! itself is the one that ships. Never on unless asked for.

use muster_ingest::clock::Stamp;
use muster_ingest::shard::Batch;
use muster_loadgen::random::Random;
use muster_store::Commit;

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Frames complete before the write that holds them.
    AckBeforeSync,
    /// The disk confirms a write that a crash takes back.
    LoseSyncedWrite,
    /// A write that a crash cuts short is kept in part.
    TornWrite,
    /// A trim takes some journal values that are still needed.
    TrimTooEarly,
    /// Pages of a checkpoint do not reach the disk.
    SkipPage,
    /// What repeats an earlier check-in is said to be new.
    AcceptTwice,
    /// A byte of a check-in changes between shard and journal.
    CorruptJournal,
    /// A policy set is put in force and not stored.
    PolicyNotStored,
    /// A write that failed is tried again, and the server never hears of it.
    RetryFailedWrite,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AckBeforeSync,
        Self::LoseSyncedWrite,
        Self::TornWrite,
        Self::TrimTooEarly,
        Self::SkipPage,
        Self::AcceptTwice,
        Self::CorruptJournal,
        Self::PolicyNotStored,
        Self::RetryFailedWrite,
    ];

    /// What happens to a commit on its way from a shard to the writer.
    pub(crate) fn touch(self, commit: &mut Commit<Batch>, now: Stamp, random: &mut Random) {
        // A journal value begins with a header of 16 bytes and the 8 bytes of its first segment; in a check-in
        // the boot id is at 32.
        const KIND: usize = 16;
        const CHECK_INS: u8 = 1;
        const BOOT_ID: usize = 16 + 8 + 32;
        match self {
            Self::AckBeforeSync if random.below(4) == 0 => commit.payload.durable(now),
            Self::AcceptTwice => {
                for (_, outcome) in &mut commit.payload.receipts {
                    outcome.accepted += std::mem::take(&mut outcome.duplicate);
                }
            }
            Self::CorruptJournal
                if commit.journal.len() > BOOT_ID
                    && commit.journal[KIND] == CHECK_INS
                    && random.below(8) == 0 =>
            {
                commit.journal[BOOT_ID] ^= 1;
            }
            _ => (),
        }
    }
}
