//! Serves the control channel. Each reply is sent once everything before it is durable.
//!
//! Owner: the shard thread. Bounded by the channel: one message per batch. On a poisoned store reads continue: they
//! are answered from memory, which may hold check-ins that were never acknowledged.

use std::time::Duration;

use crossbeam::channel;
use muster_api::Position;
use muster_engine::{Facets, SequenceReset, Shard, TenantIndex};
use muster_wire::DeviceId;
use tokio::sync::oneshot;

use super::Worker;
use super::task::{Paused, Task};
use crate::shard::commit_payload::Fate;
use crate::shard::control::{
    CellCount, Control, DeviceKey, DeviceTargets, DeviceView, RecountPoint, ShardReport,
    ThreadReport,
};

/// Maximum pause of a thread for a recount: much longer than it takes to create a snapshot.
const PAUSE_MAX: Duration = Duration::from_secs(10);

impl Paused {
    /// Blocks until the thread may resume.
    pub(super) fn wait(self, worker: &Worker) {
        match self {
            Self::Committing { reply, is_durable } => {
                let fate = is_durable.recv();
                if let Some(next) = worker.hand_out(reply, fate.ok()) {
                    next.wait(worker);
                }
            }
            // Nothing is ever sent: the recount drops its end to resume the thread.
            Self::Waiting { released, .. } => drop(released.recv_timeout(PAUSE_MAX)),
        }
    }

    /// Returns the next state of the pause, or `None` if the thread may resume.
    pub(super) fn poll(self, worker: &Worker) -> Option<Self> {
        match self {
            Self::Committing { reply, is_durable } => match is_durable.try_recv() {
                Err(channel::TryRecvError::Empty) => Some(Self::Committing { reply, is_durable }),
                fate => worker.hand_out(reply, fate.ok()),
            },
            Self::Waiting { released, since } => {
                let waits = released.try_recv() == Err(channel::TryRecvError::Empty)
                    && worker.clock.stamp().since(since) < PAUSE_MAX;
                waits.then_some(Self::Waiting { released, since })
            }
        }
    }
}

impl Worker {
    /// Handles a message at a batch boundary, with its own commit.
    pub(super) fn answer(&mut self, control: Control) {
        let commit = self.begin();
        // A continuous stream of queries must not starve the time, the policies and the audit of a quiet thread.
        self.pass_time(commit.payload.applied_at);
        self.policy_slice();
        self.audit(commit.payload.applied_at);
        if let Some(order) = self.query(control) {
            self.carry_out(order);
        }
        self.commit(commit, 0);
    }

    /// Answers a query. Returns what is none.
    fn query(&mut self, control: Control) -> Option<Control> {
        match control {
            Control::Device {
                tenant,
                device_id,
                reply,
            } => {
                let view = self.device(tenant, DeviceKey::Id(device_id));
                self.later(reply, view.map(Box::new));
            }
            Control::Devices {
                tenant,
                keys,
                reply,
            } => {
                let devices = keys.into_iter().enumerate();
                let found = devices
                    .filter_map(|(index, key)| Some((index, self.device(tenant, key)?)))
                    .collect();
                self.later(reply, found);
            }
            Control::Dated {
                tenant,
                from,
                query,
                reply,
            } => {
                let found = self.dated(tenant, from, &query);
                self.later(reply, found);
            }
            Control::Unknown {
                tenant,
                mut devices,
                reply,
            } => {
                devices.retain(|device| {
                    let shard = self.shards.shard_of(device);
                    let found = shard.device(tenant, device);
                    found.is_none_or(|(record, _)| record.removed())
                });
                self.later(reply, devices);
            }
            Control::Stale(reply) => {
                let shards = self.shards.shards();
                let stale = shards.flat_map(Shard::stale_devices).collect();
                self.later(reply, stale);
            }
            Control::Report(reply) => self.later(reply, Box::new(self.report())),
            order => return Some(order),
        }
        None
    }

    pub(super) fn device(&self, tenant: TenantIndex, key: DeviceKey) -> Option<DeviceView> {
        let (shard, (record, cold)) = match key {
            DeviceKey::Id(id) => {
                let shard = self.shards.shard_of(&id);
                (shard, shard.device(tenant, &id)?)
            }
            DeviceKey::At(Position { shard, slot }) => {
                let mut shards = self.shards.shards();
                let shard = shards.find(|other| other.id() == shard)?;
                let found = shard.device_in(slot);
                // Another tenant may have the slot by now.
                let found = found.filter(|(record, _)| record.tenant == tenant);
                (shard, found.filter(|(record, _)| !record.removed())?)
            }
        };
        Some(DeviceView {
            record: *record,
            cold: *cold,
            // A record has facets that decode: the shard encoded them.
            facets: Facets::from_word(record.facets)?,
            stale_since: shard.stale_since(tenant, &record.device_id),
            targets: shard.targets_of(record.profile()).to_vec(),
        })
    }

    /// Carries out what is no query.
    fn carry_out(&mut self, order: Control) {
        match order {
            Control::ResetSequence {
                tenant,
                device_id,
                reply,
            } => {
                let reset = self.reset_sequence(tenant, device_id);
                self.once_durable(reply, reset);
            }
            Control::Targets {
                devices,
                is_complete,
                reply,
            } => {
                let changed = self.set_targets(devices, is_complete);
                self.once_durable(reply, changed);
            }
            Control::Remove {
                tenant,
                device_id,
                reply,
            } => {
                let removal = self.remove(tenant, device_id);
                self.once_durable(reply, removal);
            }
            Control::Restore {
                tenant,
                device_id,
                reply,
            } => {
                let restored = self.restore(tenant, device_id);
                self.once_durable(reply, restored);
            }
            Control::Policy { policy, reply } => {
                self.change_policy(policy, reply);
                self.policy_slice();
            }
            Control::Tick(reply) => {
                self.shards.tick(u32::MAX);
                self.later(reply, ());
            }
            Control::Recount(reply) => {
                let (durable, is_durable) = channel::bounded(1);
                self.replies.push(Box::new(move |fate| {
                    // Never full: the channel carries this one message.
                    let _ = durable.try_send(fate);
                }));
                self.task = Task::Paused(Paused::Committing { reply, is_durable });
            }
            // Queries, and the drain, which `Worker::apply` handles.
            _ => (),
        }
    }

    fn reset_sequence(&mut self, tenant: TenantIndex, device: DeviceId) -> Option<SequenceReset> {
        let reset = self.shards.reset_sequence(tenant, &device)?;
        tracing::info!(
            tenant = tenant.0,
            %device,
            seq_before = reset.seq_before,
            seq = reset.seq,
            "sequence of a device reset"
        );
        Some(reset)
    }

    fn set_targets(&mut self, devices: Vec<DeviceTargets>, is_complete: bool) -> u32 {
        let mut changed = 0;
        if is_complete {
            let known = devices.iter().map(|(tenant, device, _)| (*tenant, *device));
            changed += self.shards.clear_targets_except(&known.collect());
        }
        for (tenant, device, targets) in devices {
            changed += u32::from(self.shards.set_targets(tenant, &device, &targets));
        }
        changed
    }

    fn remove(&mut self, tenant: TenantIndex, device: DeviceId) -> Option<bool> {
        let is_new = self.shards.remove_device(tenant, &device)?;
        if is_new {
            tracing::info!(tenant = tenant.0, %device, "device removed");
        }
        Some(is_new)
    }

    fn restore(&mut self, tenant: TenantIndex, device: DeviceId) -> Option<bool> {
        let was_removed = self.shards.restore_device(tenant, &device)?;
        if was_removed {
            tracing::info!(tenant = tenant.0, %device, "device restored");
        }
        Some(was_removed)
    }

    /// Sends a reply once the next commit is durable or has failed. The receiver may have been dropped.
    fn later<T: Send + 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.replies
            .push(Box::new(move |_| drop(reply.send(answer))));
    }

    /// Sends a reply once the next commit is durable, and none if it fails.
    pub(super) fn once_durable<T: Send + 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.replies.push(Box::new(move |fate| {
            if fate == Fate::Durable {
                drop(reply.send(answer));
            }
        }));
    }

    /// Replies with the counters once everything is durable. Returns the pause until the recount releases the thread.
    fn hand_out(&self, reply: oneshot::Sender<RecountPoint>, fate: Option<Fate>) -> Option<Paused> {
        if fate != Some(Fate::Durable) {
            return None; // poisoned: the query is dropped without a reply
        }
        let (release, released) = channel::bounded(1);
        let point = RecountPoint {
            cells: self.cell_counts(),
            release,
        };
        let since = self.clock.stamp();
        reply
            .send(point)
            .is_ok()
            .then_some(Paused::Waiting { released, since })
    }

    fn cell_counts(&self) -> Vec<CellCount> {
        let cells = self.shards.shards().flat_map(Shard::cells);
        let cells = cells.filter_map(|(key, count)| {
            Some(CellCount {
                tenant: key.tenant,
                facets: Facets::from_word(key.facets)?,
                count: u64::from(count),
            })
        });
        cells.collect()
    }

    fn report(&self) -> ThreadReport {
        let shard = |shard: &Shard| ShardReport {
            shard: shard.id(),
            devices: shard.devices(),
            removed: shard.removed(),
            slots: shard.slots(),
            policy_pass: shard.policy_pass().map(|reached| reached.0),
            cells: shard.cells_of_tenants().to_vec(),
            sequence: shard.sequence(),
            revision: shard.revision(),
        };
        ThreadReport {
            shards: self.shards.shards().map(shard).collect(),
            transitions: self.transitions,
            batches: self.batches,
            checkpoints: self.checkpoints,
            audit_rounds: self.audited.rounds,
            audit_devices: self.audited.devices,
            audit_took: self.audited.took,
            audit_round_at: self.audited.round_at,
            decode_to_inbox: self.decode_to_inbox.clone(),
            inbox_to_apply: self.inbox_to_apply.clone(),
            batch_check_ins: self.batch_check_ins.clone(),
        }
    }
}
