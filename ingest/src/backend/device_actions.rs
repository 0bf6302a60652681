//! What operators do to one device: reset its numbers, remove it, restore it.
//!
//! The shard that owns the device carries it out; then an entry of the control log records it. Both run on a separate
//! task to their end, even if the client disconnects or the disk is slow, so that an action has no entry only if the
//! process ends between the two.

use std::sync::Arc;

use muster_api::{ApiError, Caller};
use muster_control::{Change, DeviceAction};
use muster_engine::{SequenceReset, TenantIndex};
use muster_wire::DeviceId;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ServerBackend;
use crate::control_plane::ChangeError;
use crate::shard::Control;

impl ServerBackend {
    pub(super) async fn reset(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Result<Option<SequenceReset>, ApiError> {
        let order = |reply| Control::ResetSequence {
            tenant,
            device_id,
            reply,
        };
        let record = |numbers: &SequenceReset| Some(DeviceAction::ResetSequence(*numbers));
        self.act(caller, tenant, device_id, order, record).await
    }

    pub(super) async fn remove(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Result<Option<bool>, ApiError> {
        let order = |reply| Control::Remove {
            tenant,
            device_id,
            reply,
        };
        let record = |is_new: &bool| is_new.then_some(DeviceAction::Remove);
        self.act(caller, tenant, device_id, order, record).await
    }

    pub(super) async fn restore(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Result<Option<bool>, ApiError> {
        let order = |reply| Control::Restore {
            tenant,
            device_id,
            reply,
        };
        let record = |was_removed: &bool| was_removed.then_some(DeviceAction::Restore);
        self.act(caller, tenant, device_id, order, record).await
    }

    /// Orders the shard of a device to do something, then records what `record` makes of the result. `None` for an
    /// unknown device.
    async fn act<T: Send + 'static>(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device: DeviceId,
        order: impl FnOnce(oneshot::Sender<Option<T>>) -> Control,
        record: impl FnOnce(&T) -> Option<DeviceAction> + Send + 'static,
    ) -> Result<Option<T>, ApiError> {
        self.refuse_changes()?;
        let next = self.next_change().await?;
        let control = Arc::clone(&self.context.control);
        let change = move |action| Change::Device { device, action };
        // Decided before anything is done, because the limit may be reached. No action is decided differently.
        let mut command = self.command(caller, tenant, change(DeviceAction::Remove));
        let decided = control.plane().decide(&command);
        decided.map_err(ApiError::Refused)?;
        let thread = self.context.routes.map.thread_of(&device);
        let reply = self.send(thread, order)?;
        let task = async move {
            let Some(done) = reply.await.map_err(|_| ChangeError::NotDone)? else {
                return Ok(None);
            };
            if let Some(action) = record(&done) {
                command.change = change(action);
                let (durable, _) = oneshot::channel();
                control.carry_out(next, command, durable).await?;
            }
            Ok(Some(done))
        };
        let done = timeout(self.deadlines.answer, tokio::spawn(task)).await;
        let done = done.map_err(|_| ApiError::Timeout {
            what: "the shard or the store".to_owned(),
        })?;
        let done = done.map_err(|error| ApiError::Internal(error.to_string()))?;
        done.map_err(|error| self.explain(error))
    }
}
