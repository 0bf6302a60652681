//! Carries out changes of operators, and lists those of the past.
//!
//! A change runs on a separate task, so that a client that disconnects does not leave it half done. Changes run one at
//! a time; the others wait, up to a deadline.

use std::sync::Arc;

use muster_api::{ApiError, Caller, Changed, Changes};
use muster_control::{
    AccessRecord, Change, Command, Effect, Entry, Key, ObjectId, Page, Refusal, Scope,
};
use muster_engine::{Revision, TenantIndex};
use muster_store::WriteError;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ServerBackend;
use crate::control_plane::{ChangeError, NextChange};

impl ServerBackend {
    pub(super) async fn carry_out(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        change: Change,
    ) -> Result<Changed, ApiError> {
        self.refuse_changes()?;
        let command = self.command(caller, tenant, change);
        self.require_devices(&command).await?;
        let deletes_tenant = matches!(command.change, Change::Delete { key: Key::Tenant });
        if deletes_tenant {
            self.require_no_devices(&command)?;
        }
        let changed_device = match command.change.key() {
            Key::Device(device) => Some(device),
            _ => None,
        };
        let next = self.next_change().await?;
        let control = Arc::clone(&self.context.control);
        let (durable, mut is_durable) = oneshot::channel();
        let task = async move { control.carry_out(next, command, durable).await };
        let done = timeout(self.deadlines.change, tokio::spawn(task)).await;
        let Ok(done) = done else {
            return Err(match is_durable.try_recv() {
                Ok(()) => ApiError::NotInForce,
                Err(_) => ApiError::Timeout {
                    what: "the store".to_owned(),
                },
            });
        };
        let done = done.map_err(|error| ApiError::Internal(error.to_string()))?;
        let devices = done.map_err(|error| self.explain(error))?;
        if let Some(device) = changed_device {
            let now = self.context.clock.now().time;
            self.context.view.note_change(tenant, device, now);
        }
        if deletes_tenant {
            self.context.view.end_feed(tenant);
        }
        if deletes_tenant && let left @ 1.. = self.devices_of(tenant) {
            tracing::warn!(
                tenant = tenant.0,
                devices = left,
                "devices checked in for the first time while their tenant was deleted; they stay on disk and are not counted"
            );
        }
        Ok(Changed {
            control: self.context.control.plane(),
            devices,
        })
    }

    /// Appends the record of an access, on a separate task, so that it does not end half-way.
    pub(super) async fn record_access(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        record: AccessRecord,
    ) -> Result<(), ApiError> {
        self.refuse_changes()?;
        let command = self.command(caller, tenant, Change::Access(record));
        let control = Arc::clone(&self.context.control);
        let recording = tokio::spawn(async move { control.record(command).await });
        let recorded = timeout(self.deadlines.answer, recording).await;
        let recorded = recorded.map_err(|_| ApiError::Timeout {
            what: "the store".to_owned(),
        })?;
        let recorded = recorded.map_err(|error| ApiError::Internal(error.to_string()))?;
        recorded.map_err(|error| self.explain(error))
    }

    pub(super) fn refuse_changes(&self) -> Result<(), ApiError> {
        self.refuse_while_draining()?;
        match self.context.store.health().poisoned() {
            Some(_) => Err(ApiError::StorePoisoned),
            None => Ok(()),
        }
    }

    pub(super) fn command(&self, caller: Caller, tenant: TenantIndex, change: Change) -> Command {
        Command {
            actor: caller.actor,
            address: caller.address,
            at: self.context.clock.now().time,
            tenant,
            expected: caller.expected,
            rights: caller.rights,
            handling: caller.handling,
            change,
        }
    }

    pub(super) async fn next_change(&self) -> Result<NextChange, ApiError> {
        let next = self.context.control.next_change();
        let next = timeout(self.deadlines.answer, next).await;
        next.map_err(|_| ApiError::Timeout {
            what: "the previous change".to_owned(),
        })
    }

    /// Refuses an object or a device that does not exist.
    async fn require_object(&self, tenant: TenantIndex, key: Key) -> Result<(), ApiError> {
        if let Key::Device(device) = key {
            let unknown = self.unknown_devices(tenant, vec![device]).await?;
            return unknown
                .is_empty()
                .then_some(())
                .ok_or(ApiError::UnknownDevice);
        }
        match self.context.control.plane().object(tenant, key) {
            Some(_) => Ok(()),
            None => Err(ApiError::Refused(Refusal::Unknown { key })),
        }
    }

    /// Refuses members that are not devices of the tenant. The command is decided before that, so that one that is
    /// refused anyway costs no query.
    async fn require_devices(&self, command: &Command) -> Result<(), ApiError> {
        let adds = match &command.change {
            Change::AddMembers { .. } => true,
            Change::Update { key, .. } => matches!(key, Key::Group(_)),
            _ => false,
        };
        if !adds {
            return Ok(());
        }
        let members = match self.context.control.plane().decide(command) {
            Err(Refusal::Unchanged) => return Ok(()),
            Err(refusal) => return Err(ApiError::Refused(refusal)),
            Ok(entry) => match entry.effect {
                Effect::MembersAdded(members) => members,
                _ => return Ok(()),
            },
        };
        let unknown = self.unknown_devices(command.tenant, members).await?;
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(ApiError::UnknownDevices(unknown))
        }
    }

    /// Refuses to delete a tenant that has devices. The command is decided before that.
    fn require_no_devices(&self, command: &Command) -> Result<(), ApiError> {
        let decided = self.context.control.plane().decide(command);
        decided.map_err(ApiError::Refused)?;
        match self.devices_of(command.tenant) {
            0 => Ok(()),
            devices => Err(ApiError::TenantHasDevices { devices }),
        }
    }

    /// Number of devices of a tenant.
    fn devices_of(&self, tenant: TenantIndex) -> u64 {
        self.context.view.count(tenant, |_| true)
    }

    pub(super) fn explain(&self, error: ChangeError) -> ApiError {
        match error {
            ChangeError::Refused(refusal) => ApiError::Refused(refusal),
            ChangeError::Write(WriteError::Poisoned(_)) => ApiError::StorePoisoned,
            ChangeError::Write(error) => ApiError::Internal(error.to_string()),
            ChangeError::NotInForce => ApiError::NotInForce,
            ChangeError::NotDone => self.no_reply(),
            ChangeError::Internal(what) => ApiError::Internal(what),
        }
    }

    /// Reads a part of the control log on a blocking thread.
    pub(super) async fn list_changes(
        &self,
        scope: Scope,
        before: Option<Revision>,
        limit: usize,
    ) -> Result<Changes, ApiError> {
        let control = &self.context.control;
        if let Scope::Object(tenant, key) = scope
            && !control.has_history(tenant, key)
        {
            self.require_object(tenant, key).await?;
        }
        let Page {
            revisions,
            has_more,
        } = control.page(scope, before, limit);
        let store = Arc::clone(&self.context.store);
        let read = spawn_blocking(move || {
            let read = |revision| store.control_entry(revision).transpose();
            let bytes = revisions.into_iter().filter_map(read);
            bytes.collect::<Result<Vec<_>, _>>()
        });
        let read = timeout(self.deadlines.answer, read).await;
        let read = read.map_err(|_| ApiError::Timeout {
            what: "the store".to_owned(),
        })?;
        let entries = read
            .map_err(|error| ApiError::Internal(error.to_string()))?
            .map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
        let decoded = entries.iter().map(|stored| Entry::unchained(stored));
        let listed = decoded.collect::<Result<_, _>>();
        let listed = listed.map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
        Ok(Changes { listed, has_more })
    }
}

/// A random UUID (version 4).
#[must_use]
pub fn new_object_id() -> ObjectId {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    ObjectId::from_bytes(bytes)
}
