//! Reads the control log at start: every entry is decoded and applied, in order.
//!
//! An entry that cannot be read, or does not follow from those before it, is refused: nothing is repaired by guessing.

use std::sync::Arc;

use muster_control::{Contradiction, ControlPlane, Entry, EntryError};
use muster_engine::Revision;
use muster_store::{ReadError, Store, StoreView};

use super::ControlLog;

/// Why the control log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A read failed or found damage.
    #[error(transparent)]
    Read(#[from] ReadError),
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
    /// The entry contradicts those before it.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// The objects in a data directory, for offline tools.
///
/// # Errors
/// The control log cannot be read.
pub fn objects(view: &StoreView<'_>) -> Result<Arc<ControlPlane>, ReplayError> {
    Ok(ControlLog::of(view)?.plane)
}

impl ControlLog {
    /// Reads the log of a store.
    pub(crate) fn replay(store: &Store) -> Result<Self, ReplayError> {
        Self::of(&store.snapshot())
    }

    fn of(view: &StoreView<'_>) -> Result<Self, ReplayError> {
        let mut plane = ControlPlane::default();
        let mut log = Self::default();
        view.control_log(|revision, bytes| {
            let entry = Entry::decode(bytes);
            let entry = entry.map_err(|source| ReplayError::Entry { revision, source })?;
            if entry.revision != revision {
                let says = entry.revision;
                return Err(ReplayError::Revision { revision, says });
            }
            plane.apply(&entry)?;
            log.history.push(&entry);
            Ok(())
        })?;
        log.plane = Arc::new(plane);
        Ok(log)
    }

    /// Records that revisions up to this one are used by policy sets.
    pub(crate) fn skip_to(&mut self, revision: Revision) {
        Arc::make_mut(&mut self.plane).skip_to(revision);
    }
}
