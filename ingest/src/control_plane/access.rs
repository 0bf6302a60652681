//! Appends the records of accesses to the control log, beside the changes. They change no object, so no shard is told.

use std::sync::Arc;

use muster_control::{Command, ControlPlane};

use super::{ChangeError, ControlService};

impl ControlService {
    /// Appends the record of an access, which changes no object and so waits for no shard. Call it on a separate task,
    /// because it must not end half-way.
    pub(crate) async fn record(&self, command: Command) -> Result<(), ChangeError> {
        let _appending = self.appending.lock().await;
        let before = self.plane();
        let entry = before.decide(&command).map_err(ChangeError::Refused)?;
        let mut plane = ControlPlane::clone(&before);
        plane
            .apply(&entry)
            .map_err(|error| ChangeError::Internal(error.to_string()))?;
        self.append(entry.revision, plane.stored(&entry), None)
            .await?;
        self.write().log.push(&entry, Arc::new(plane));
        Ok(())
    }
}
