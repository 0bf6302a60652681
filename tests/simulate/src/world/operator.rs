//! What operators do: they change the rules, recount, and ask for devices.
//!
//! One question of a kind at a time; a shard may stand still for a recount over many steps.

use std::sync::Arc;

use muster_engine::{PolicySet, Revision, ShardId};
use muster_ingest::phase::Phase;
use muster_ingest::recount::{count_shard, counters_of};
use muster_ingest::shard::{Control, DeviceView, RecountPoint};
use tokio::sync::oneshot;

use super::World;
use crate::fleet::{Device, one_of};
use crate::server::Stop;
use crate::settings::rules;
use crate::violation::Violation;

/// What somebody asked and waits for.
#[derive(Debug, Default)]
pub(super) struct Operator {
    recount: Option<(usize, oneshot::Receiver<RecountPoint>)>,
    /// A shard stands still.
    point: Option<(usize, RecountPoint)>,
    device: Option<(Device, oneshot::Receiver<Option<Box<DeviceView>>>)>,
}

impl Operator {
    /// Lets a shard go on that stands still.
    pub(super) fn let_go(&mut self) {
        self.recount = None;
        self.point = None;
    }
}

impl World {
    /// New rules for every tenant: stored, then ordered.
    pub(super) fn change_policy(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if server.phase() != Phase::Serving {
            return;
        }
        let tenants = (0..self.settings.tenants).map(|_| rules(&mut self.random));
        let revision = Revision(server.policy.revision().0 + 1);
        let policy = Arc::new(PolicySet::new(revision, tenants.collect()));
        self.trace
            .note("policy", 0, &[("revision", u64::from(revision.0))]);
        self.summary.policy_revisions += 1;
        self.oracle.know(&policy);
        server.put_policy(policy, self.options.plant);
    }

    /// An operator asks for a recount or for a device, or reads the answer.
    pub(super) fn operate(&mut self) -> Result<(), Violation> {
        if let Some((shard, point)) = self.operator.point.take() {
            return self.recount(shard, point);
        }
        if let Some((shard, mut answer)) = self.operator.recount.take() {
            match answer.try_recv() {
                Ok(point) => self.operator.point = Some((shard, point)),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.operator.recount = Some((shard, answer));
                }
                Err(oneshot::error::TryRecvError::Closed) => (),
            }
        }
        if let Some((device, mut answer)) = self.operator.device.take() {
            match answer.try_recv() {
                Ok(view) => return self.answered(device, view),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.operator.device = Some((device, answer));
                }
                Err(oneshot::error::TryRecvError::Closed) => (),
            }
        }
        self.ask();
        Ok(())
    }

    fn ask(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if server.stop == Stop::Shards || self.calm {
            return;
        }
        if self.operator.recount.is_none() && self.operator.point.is_none() {
            let shard = self.random.below(server.workers.len() as u64) as usize;
            let (reply, answer) = oneshot::channel();
            server.order(shard, Control::Recount(reply));
            self.operator.recount = Some((shard, answer));
        }
        let promised: Vec<Device> = self.promises.devices().collect();
        if self.operator.device.is_none() && !promised.is_empty() {
            let device = one_of(&promised, &mut self.random);
            let device_id = self.fleet.id(device.number);
            let shard = usize::from(server.context.routes.map.shard_of(&device_id).0);
            let (reply, answer) = oneshot::channel();
            let tenant = device.tenant;
            server.order(
                shard,
                Control::Device {
                    tenant,
                    device_id,
                    reply,
                },
            );
            self.operator.device = Some((device, answer));
        }
    }

    /// What a shard that stands still counts is what a snapshot of its disk holds.
    fn recount(&mut self, shard: usize, point: RecountPoint) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let snapshot = server.store.snapshot();
        if point.release.try_send(()).is_err() {
            return Ok(()); // it has waited too long and gone on
        }
        self.summary.recounts += 1;
        let counted = count_shard(
            &snapshot,
            ShardId(shard as u16),
            self.wall_max.max(self.clock.wall()),
        )
        .map_err(|error| Violation::new("recount", error.to_string()))?;
        let counters = counters_of(point.cells);
        match counted == counters {
            true => Ok(()),
            false => {
                let what = format!("shard {shard} says {counters:?}, its disk has {counted:?}");
                Err(Violation::new("counters equal the recount", what))
            }
        }
    }

    fn answered(&self, device: Device, view: Option<Box<DeviceView>>) -> Result<(), Violation> {
        let found = view.as_ref().map(|view| &view.record);
        // Acks may have come since the answer was made; only what it says is looked at.
        match found {
            None => {
                let what = format!("{device:?} is unknown, and was acknowledged before");
                Err(Violation::new("acknowledged is readable", what))
            }
            Some(record) if self.fleet.number(&record.device_id) != Some(device.number) => {
                let what = format!("asked for {device:?}, told of {record:?}");
                Err(Violation::new("acknowledged is readable", what))
            }
            Some(_) => Ok(()),
        }
    }
}
