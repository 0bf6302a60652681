//! Verifies the control log on disk while the server runs: its hash chain, a pin, and the head in memory.
//!
//! Reads the whole log on a blocking thread, one verification at a time; others wait up to a deadline. Takes no memory
//! for objects.

use std::sync::Arc;

use muster_api::{ApiError, AuditVerification};
use muster_control::PinnedHead;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ServerBackend;
use crate::control_plane::verify_log;

impl ServerBackend {
    pub(super) async fn verify(
        &self,
        pin: Option<PinnedHead>,
    ) -> Result<AuditVerification, ApiError> {
        let turn = Arc::clone(&self.verifying).lock_owned();
        let turn = timeout(self.deadlines.answer, turn).await;
        let turn = turn.map_err(|_| ApiError::Timeout {
            what: "another verification of the audit log".to_owned(),
        })?;
        // Read before the snapshot, which may have later entries, but must have these.
        let in_memory = self.context.control.plane().chain().pin();
        let store = Arc::clone(&self.context.store);
        let verifying = spawn_blocking(move || {
            // The thread owns the lock: a request that is cancelled leaves no second thread that reads the log.
            let _turn = turn;
            verify_log(&store.snapshot(), [in_memory].into_iter().chain(pin))
        });
        let verified = verifying
            .await
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        if let Some(problem) = &verified.problem
            && pin.is_none()
        {
            tracing::error!(problem, "the audit log on disk is not what was written");
        }
        Ok(verified)
    }
}
