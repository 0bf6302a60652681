//! What operators do: they change objects of tenants, recount, look up devices, reset the seqs of some, and remove and
//! restore others.
//!
//! Bounded to one request of each kind at a time. A worker may be paused for a recount over many steps.

use muster_control::PinnedHead;
use muster_engine::SequenceReset;
use muster_ingest::phase::Phase;
use muster_ingest::recount::{count_shards, counters_of, view_drift};
use muster_ingest::shard::{Control, DeviceView, RecountPoint};
use tokio::sync::oneshot;

use super::World;
use crate::fleet::Device;
use crate::rules;
use crate::server::StopPhase;
use crate::violation::Violation;

/// The seq of one in this many devices is sometimes reset; the expected seqs of the others are exact.
const RESET_ONE_OF: u32 = 4;

/// One in this many devices is sometimes removed, and restored.
const REMOVE_ONE_OF: u32 = 3;

/// Requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Operator {
    recount: Option<(usize, oneshot::Receiver<RecountPoint>)>,
    /// The worker that is paused for a recount.
    paused: Option<(usize, RecountPoint)>,
    device: Option<(Device, oneshot::Receiver<Option<Box<DeviceView>>>)>,
    reset: Option<(Device, oneshot::Receiver<Option<SequenceReset>>)>,
    /// The head of the control log after the last entry that is durable, which every later log must have.
    pub(super) head: Option<PinnedHead>,
}

impl Operator {
    /// Gives up a recount, which resumes a paused worker.
    pub(super) fn cancel_recount(&mut self) {
        self.recount = None;
        self.paused = None;
    }
}

impl World {
    /// Changes an object of a tenant.
    pub(super) fn change_rules(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if server.phase() != Phase::Serving {
            return;
        }
        let (plane, latest) = (&server.plane, &server.policy);
        let Some(decided) = rules::decide(plane, latest, &mut self.random, self.clock.wall())
        else {
            return;
        };
        let revision = u64::from(decided.entry.revision.0);
        self.trace.record("change", 0, &[("revision", revision)]);
        if let Some(policy) = &decided.policy {
            self.summary.policy_revisions += 1;
            self.oracle.add_policy(policy);
        }
        server.carry_out(decided, self.options.injected_fault);
        if server.phase() == Phase::Serving {
            self.operator.head = Some(server.plane.chain().pin());
        }
    }

    /// An operator requests a recount or a device, or reads the answer.
    pub(super) fn step_operator(&mut self) -> Result<(), Violation> {
        if let Some((worker, point)) = self.operator.paused.take() {
            return self.recount(worker, point);
        }
        if let Some((worker, mut answer)) = self.operator.recount.take() {
            match answer.try_recv() {
                Ok(point) => self.operator.paused = Some((worker, point)),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.operator.recount = Some((worker, answer));
                }
                Err(oneshot::error::TryRecvError::Closed) => (),
            }
        }
        if let Some((device, mut answer)) = self.operator.device.take() {
            match answer.try_recv() {
                Ok(view) => return self.check_answer(device, view),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.operator.device = Some((device, answer));
                }
                Err(oneshot::error::TryRecvError::Closed) => (),
            }
        }
        if let Some((device, mut answer)) = self.operator.reset.take() {
            match answer.try_recv() {
                Ok(Some(reset)) if reset.seq > 0 => self.fleet.reset_seq(device, reset.seq),
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.operator.reset = Some((device, answer));
                }
                _ => (),
            }
        }
        self.send_requests();
        Ok(())
    }

    fn send_requests(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if server.stop == StopPhase::DrainingWorkers || self.faults_disabled {
            return;
        }
        if self.operator.recount.is_none() && self.operator.paused.is_none() {
            let worker = self.random.below(server.workers.len() as u64) as usize;
            let (reply, answer) = oneshot::channel();
            server.send_control(worker, Control::Recount(reply));
            self.operator.recount = Some((worker, answer));
        }
        let acknowledged: Vec<Device> = self.acknowledged_state.devices().collect();
        if self.operator.device.is_none() && !acknowledged.is_empty() {
            let device = self.random.choose(&acknowledged);
            let device_id = self.fleet.id(device.number);
            let worker = server.context.routes.map.thread_of(&device_id);
            let (reply, answer) = oneshot::channel();
            let tenant = device.tenant;
            server.send_control(
                worker,
                Control::Device {
                    tenant,
                    device_id,
                    reply,
                },
            );
            self.operator.device = Some((device, answer));
            if self.operator.reset.is_none()
                && device.number.is_multiple_of(RESET_ONE_OF)
                && self.random.below(4) == 0
            {
                self.reset_sequence(device);
            }
            if device.number % REMOVE_ONE_OF == 1 && self.random.below(4) == 0 {
                self.remove_or_restore(device);
            }
        }
    }

    /// Nobody waits for the answer: the oracle reads the outcome from the journal.
    fn remove_or_restore(&mut self, device: Device) {
        let Some(server) = &mut self.server else {
            return;
        };
        let tenant = device.tenant;
        let device_id = self.fleet.id(device.number);
        let shard = server.context.routes.map.thread_of(&device_id);
        let name = if self.random.below(2) == 0 {
            let (reply, _) = oneshot::channel();
            let command = Control::Remove {
                tenant,
                device_id,
                reply,
            };
            server.send_control(shard, command);
            self.acknowledged_state.note_removal(device);
            "remove"
        } else {
            let (reply, _) = oneshot::channel();
            let command = Control::Restore {
                tenant,
                device_id,
                reply,
            };
            server.send_control(shard, command);
            "restore"
        };
        self.trace
            .record(name, shard, &[("device", u64::from(device.number))]);
    }

    fn reset_sequence(&mut self, device: Device) {
        let Some(server) = &mut self.server else {
            return;
        };
        let tenant = device.tenant;
        let device_id = self.fleet.id(device.number);
        let worker = server.context.routes.map.thread_of(&device_id);
        let (reply, answer) = oneshot::channel();
        let order = Control::ResetSequence {
            tenant,
            device_id,
            reply,
        };
        server.send_control(worker, order);
        self.trace
            .record("reset", worker, &[("device", u64::from(device.number))]);
        self.acknowledged_state.note_reset(device);
        self.operator.reset = Some((device, answer));
    }

    /// Compares the counters of a paused worker with a recount from a snapshot.
    fn recount(&mut self, worker: usize, point: RecountPoint) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let snapshot = server.store.snapshot();
        let shards = server.context.routes.map.shards_of(worker as u16);
        let drift = view_drift(&server.view, shards.clone(), &point.cells);
        if point.release.try_send(()).is_err() {
            return Ok(()); // the worker has resumed after its timeout
        }
        self.summary.recounts += 1;
        if drift != 0 {
            let detail = format!("the view differs from worker {worker} by {drift} devices");
            return Err(Violation::new("the view matches the counters", detail));
        }
        let counted = count_shards(&snapshot, shards)
            .map_err(|error| Violation::new("recount", error.to_string()))?;
        let counters = counters_of(point.cells);
        if counted == counters {
            return Ok(());
        }
        let detail = format!("worker {worker} counts {counters:?}, the recount gives {counted:?}");
        Err(Violation::new("counters match the recount", detail))
    }

    fn check_answer(&self, device: Device, view: Option<Box<DeviceView>>) -> Result<(), Violation> {
        // The acknowledged state may be newer than the answer, so only the identity is checked.
        match view.as_ref().map(|view| &view.record) {
            None if self.acknowledged_state.may_be_gone(device) => Ok(()),
            None => {
                let detail = format!("{device:?} was acknowledged and is unknown");
                Err(Violation::new("acknowledged is readable", detail))
            }
            Some(record) if self.fleet.number(&record.device_id) != Some(device.number) => {
                let detail = format!("the answer for {device:?} is {record:?}");
                Err(Violation::new("acknowledged is readable", detail))
            }
            Some(_) => Ok(()),
        }
    }
}
