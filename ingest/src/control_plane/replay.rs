//! Reads the control log at start: every entry is decoded, compared with the hash chain, and applied, in order.
//!
//! An entry that cannot be read, breaks the chain, or does not follow from those before it is refused: nothing is
//! repaired by guessing.

use std::sync::Arc;

use muster_api::AuditVerification;
use muster_control::{ControlPlane, LogError, PinnedHead, Verifier};
use muster_engine::Revision;
use muster_store::{ReadError, Store, StoreView};

use super::ControlLog;

/// Why the control log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A read failed or found damage.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log is not what was written.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The objects in a data directory, for offline tools.
///
/// # Errors
/// The control log cannot be read.
pub fn objects(view: &StoreView<'_>) -> Result<Arc<ControlPlane>, ReplayError> {
    Ok(ControlLog::of(view)?.plane)
}

/// Compares a control log with its hash chain and with pins. Needs no memory for its objects. What cannot be read is a
/// problem of the log, too.
pub fn verify_log(
    view: &StoreView<'_>,
    pins: impl IntoIterator<Item = PinnedHead>,
) -> AuditVerification {
    let mut verifier = Verifier::new(pins);
    let read =
        view.control_log(|revision, stored| Ok::<_, ReplayError>(verifier.read(revision, stored)?));
    let problem = read.and_then(|()| Ok(verifier.finish()?)).err();
    let chain = verifier.chain();
    AuditVerification {
        verified: problem.is_none(),
        entries: chain.entries(),
        head: chain.pin().to_string(),
        problem: problem.map(|problem| problem.to_string()),
    }
}

impl ControlLog {
    /// Reads the log of a store.
    pub(crate) fn replay(store: &Store) -> Result<Self, ReplayError> {
        Self::of(&store.snapshot())
    }

    fn of(view: &StoreView<'_>) -> Result<Self, ReplayError> {
        let mut plane = ControlPlane::default();
        let mut log = Self::default();
        view.control_log(|revision, stored| {
            let entry = plane.replay(revision, stored)?;
            log.history.push(&entry);
            Ok::<_, ReplayError>(())
        })?;
        log.plane = Arc::new(plane);
        Ok(log)
    }

    /// Records that revisions up to this one are used by policy sets.
    pub(crate) fn skip_to(&mut self, revision: Revision) {
        Arc::make_mut(&mut self.plane).skip_to(revision);
    }
}
