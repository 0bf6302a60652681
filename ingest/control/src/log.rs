//! The control log as it is stored: each entry with the hash after it.
//!
//! [`ControlPlane::replay`] rebuilds the state from it, and [`Verifier`] only checks it. Neither repairs anything.

use muster_engine::Revision;

use crate::bytes::EntryError;
use crate::chain::{Chain, ChainHash, PinnedHead};
use crate::entry::Entry;
use crate::state::{Contradiction, ControlPlane};

/// Why the control log is not what was written. The operator restores a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The bytes are not an entry of this version.
    #[error("entry {revision} of the control log: {source}")]
    Entry {
        /// Its revision.
        revision: Revision,
        /// The cause.
        source: EntryError,
    },
    /// The revision in the entry differs from that in its key.
    #[error("entry {revision} of the control log says that it is entry {says}")]
    Revision {
        /// The revision in the key.
        revision: Revision,
        /// The revision in the entry.
        says: Revision,
    },
    /// The hash does not follow from the entry and those before it.
    #[error(
        "entry {revision} of the control log does not continue the hash chain after entry {after}: it was changed, or \
         an entry between them was removed, added or moved"
    )]
    Broken {
        /// The revision of the first entry that does not fit.
        revision: Revision,
        /// The revision of the entry before it; 0 if it is the first.
        after: Revision,
    },
    /// The hash after an entry is not the one that was noted.
    #[error(
        "entry {revision} of the control log is not the pinned one: the log up to it was rewritten"
    )]
    Rewritten {
        /// The revision of the pin.
        revision: Revision,
    },
    /// The log ends before the entry whose hash was noted.
    #[error(
        "the control log ends with entry {last}, before the pinned entry {pinned}: its end is missing"
    )]
    Ends {
        /// The revision of the last entry.
        last: Revision,
        /// The revision of the pin.
        pinned: Revision,
    },
    /// The entry contradicts those before it.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

impl Chain {
    /// Reads the next entry as it is stored.
    ///
    /// # Errors
    /// It is not the entry that was written after those before it. The chain has not changed.
    pub(crate) fn read(&mut self, revision: Revision, stored: &[u8]) -> Result<Entry, LogError> {
        let damaged = |source| LogError::Entry { revision, source };
        let (bytes, hash) = split(stored).map_err(damaged)?;
        let entry = Entry::decode(bytes).map_err(damaged)?;
        if entry.revision != revision {
            let says = entry.revision;
            return Err(LogError::Revision { revision, says });
        }
        let next = self.with(revision, bytes);
        if next.head() != hash || revision <= self.revision() {
            let after = self.revision();
            return Err(LogError::Broken { revision, after });
        }
        *self = next;
        Ok(entry)
    }
}

/// Reads a log from its beginning and compares it with pins.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    chain: Chain,
    /// Those whose entries have not been read yet.
    pins: Vec<PinnedHead>,
}

impl Verifier {
    /// A verification that also requires these pins.
    #[must_use]
    pub fn new(pins: impl IntoIterator<Item = PinnedHead>) -> Self {
        let chain = Chain::default();
        let pins = pins.into_iter().filter(|pin| *pin != chain.pin()).collect();
        Self { chain, pins }
    }

    /// The chain of the entries that were read, without the one that is an error.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Reads the next entry as it is stored.
    ///
    /// # Errors
    /// It is not the entry that was written after those before it, or not the pinned one.
    pub fn read(&mut self, revision: Revision, stored: &[u8]) -> Result<(), LogError> {
        let mut chain = self.chain;
        chain.read(revision, stored)?;
        let read = chain.pin();
        self.pins.retain(|pin| *pin != read);
        if self.pins.iter().any(|pin| pin.revision == revision) {
            return Err(LogError::Rewritten { revision });
        }
        self.chain = chain;
        Ok(())
    }

    /// Ends the verification of a whole log.
    ///
    /// # Errors
    /// A pinned entry was not among those that were read.
    pub fn finish(&self) -> Result<(), LogError> {
        let last = self.chain.revision();
        match self.pins.first().map(|pin| pin.revision) {
            Some(pinned) if pinned > last => Err(LogError::Ends { last, pinned }),
            Some(revision) => Err(LogError::Rewritten { revision }),
            None => Ok(()),
        }
    }
}

impl ControlPlane {
    /// The bytes of the entry that was applied last as they are stored: those of the entry, then the hash after it.
    #[must_use]
    pub fn stored(&self, entry: &Entry) -> Vec<u8> {
        assert_eq!(
            self.chain().revision(),
            entry.revision,
            "it was applied last"
        );
        let mut bytes = entry.encode();
        bytes.extend_from_slice(self.chain().head().as_bytes());
        bytes
    }

    /// Reads and applies the next entry as it is stored.
    ///
    /// # Errors
    /// It is not the entry that was written after those before it. Nothing has changed.
    pub fn replay(&mut self, revision: Revision, stored: &[u8]) -> Result<Entry, LogError> {
        let mut chain = *self.chain();
        let entry = chain.read(revision, stored)?;
        self.apply_with(&entry, chain)?;
        Ok(entry)
    }
}

impl Entry {
    /// The entry in its stored form, whose hash is not checked: only the entries before it could show that it fits.
    ///
    /// # Errors
    /// The bytes are not those of an entry.
    pub fn unchained(stored: &[u8]) -> Result<Self, EntryError> {
        Self::decode(split(stored)?.0)
    }
}

/// The bytes of an entry, and its hash.
fn split(stored: &[u8]) -> Result<(&[u8], ChainHash), EntryError> {
    let (bytes, hash) = stored.split_last_chunk().ok_or(EntryError::Truncated)?;
    Ok((bytes, ChainHash::from_bytes(*hash)))
}
