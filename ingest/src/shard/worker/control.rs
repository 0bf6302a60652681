//! Answers to the control lane, each given once everything before it is durable. On a poisoned store
//! reads go on: they are answered from memory, which may hold check-ins that nobody was told of.

use std::time::Duration;

use crossbeam::channel;
use muster_engine::{CellKey, Cohort, Facets};
use tokio::sync::oneshot;

use super::Worker;
use crate::shard::batch::Fate;
use crate::shard::control::{CellCount, Control, DeviceView, RecountPoint, ShardReport};

/// How long a shard stands still for a recount at most: that of taking a snapshot, with ample room.
const STANDSTILL_MAX: Duration = Duration::from_secs(10);

impl Worker {
    /// Answers at a batch boundary: the answer travels with a commit of its own.
    pub(super) fn answer(&mut self, control: Control) {
        let commit = self.begin();
        match control {
            Control::Cells(reply) => self.later(reply, self.cell_counts()),
            Control::Device {
                tenant,
                device_id,
                reply,
            } => {
                let device = self.shard.device(tenant, &device_id);
                let view = device.and_then(|(record, cell)| {
                    let (cohort, facets) = self.spelt_out(&cell)?;
                    Some(Box::new(DeviceView {
                        record: *record,
                        cohort,
                        facets,
                    }))
                });
                self.later(reply, view);
            }
            Control::Report(reply) => self.later(reply, Box::new(self.report())),
            Control::Policy(policy) => {
                let changed = self.shard.apply_policy(policy, &mut self.effects);
                tracing::info!(
                    revision = self.shard.revision().0,
                    changed,
                    "policy set in force"
                );
            }
            Control::Recount(reply) => {
                let (durable, is_durable) = channel::bounded(1);
                self.replies.push(Box::new(move |fate| {
                    // The shard waits for it, so there is room.
                    let _ = durable.try_send(fate);
                }));
                self.commit(commit);
                return self.stand_still(reply, &is_durable);
            }
            // Taken by the loop itself.
            Control::Drain => (),
        }
        self.commit(commit);
    }

    /// Gives an answer once the next commit is durable, or cannot be. Whoever asked may have gone.
    fn later<T: Send + 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.replies
            .push(Box::new(move |_| drop(reply.send(answer))));
    }

    /// Waits until everything is durable, hands out the counters, and goes on when told to.
    fn stand_still(
        &self,
        reply: oneshot::Sender<RecountPoint>,
        is_durable: &channel::Receiver<Fate>,
    ) {
        if is_durable.recv() != Ok(Fate::Durable) {
            return; // poisoned: the question is dropped unanswered
        }
        let (release, released) = channel::bounded(1);
        let sequence = self.shard.sequence();
        let point = RecountPoint {
            sequence,
            cells: self.cell_counts(),
            release,
        };
        if reply.send(point).is_ok() {
            // An error is the other end being dropped: the sign to go on.
            let _ = released.recv_timeout(STANDSTILL_MAX);
        }
    }

    fn cell_counts(&self) -> Vec<CellCount> {
        let occupied = self.shard.cells().filter(|(_, count)| *count > 0);
        occupied
            .filter_map(|(key, count)| {
                let (cohort, facets) = self.spelt_out(&key)?;
                Some(CellCount {
                    tenant: key.tenant,
                    cohort,
                    facets,
                    count: u64::from(count),
                })
            })
            .collect()
    }

    /// Keys come from the shard's own tables, so they always can be spelt out.
    fn spelt_out(&self, key: &CellKey) -> Option<(Cohort, Facets)> {
        Some((
            self.shard.cohort(key.cohort)?.clone(),
            Facets::from_word(key.facets)?,
        ))
    }

    fn report(&self) -> ShardReport {
        ShardReport {
            devices: self.shard.devices(),
            cells: self.shard.cells().count(),
            sequence: self.shard.sequence(),
            revision: self.shard.revision(),
            transitions: self.transitions,
            batches: self.batches,
            checkpoints: self.checkpoints,
            audit_rounds: self.audited.rounds,
            audit_devices: self.audited.devices,
            audit_round_at: self.audited.round_at,
            decode_to_inbox: self.decode_to_inbox.clone(),
            inbox_to_apply: self.inbox_to_apply.clone(),
            batch_check_ins: self.batch_check_ins.clone(),
        }
    }
}
