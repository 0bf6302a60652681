//! Changes of policy: devices change over in slices, one slice in each batch, beside check-ins.
//!
//! Owner: the shard thread. One pass runs at a time; of the policy sets that arrive meanwhile only the newest runs
//! afterwards, because it contains the others. Bounded: [`SLOTS`] in a batch, and one reply for each change in progress.

use std::sync::Arc;

use muster_engine::PolicySet;
use tokio::sync::oneshot;

use super::Worker;

/// Slots that a batch evaluates: about a third of a millisecond.
pub const SLOTS: u32 = 16_384;

impl Worker {
    /// Takes over a policy set, which is put in force by the next batches.
    pub(super) fn change_policy(
        &mut self,
        policy: Arc<PolicySet>,
        reply: Option<oneshot::Sender<u32>>,
    ) {
        let revision = policy.revision();
        let changes = &mut self.policy_changes;
        changes.replies.extend(reply.map(|reply| (revision, reply)));
        let latest = changes.waiting.as_ref().unwrap_or(self.shards.policy());
        if revision > latest.revision() {
            changes.waiting = Some(policy);
        }
    }

    /// Whether devices have to be evaluated under another policy set, or replies are due.
    pub(super) fn changes_policy(&self) -> bool {
        let changes = &self.policy_changes;
        self.shards.policy_pass_is_running()
            || changes.waiting.is_some()
            || !changes.replies.is_empty()
    }

    /// Evaluates the next slice of the pass in progress, or of the next one.
    pub(super) fn policy_slice(&mut self) {
        if !self.shards.policy_pass_is_running()
            && let Some(policy) = self.policy_changes.waiting.take()
        {
            self.policy_changes.changed = 0;
            self.shards.begin_policy_pass(&policy);
        }
        if self.shards.policy_pass_is_running() {
            self.policy_changes.changed += self.shards.policy_step(SLOTS);
            if self.shards.policy_pass_is_running() {
                return;
            }
            tracing::info!(
                revision = self.shards.policy().revision().0,
                changed = self.policy_changes.changed,
                "policy set in force"
            );
        }
        let in_force = self.shards.policy().revision();
        let replies = std::mem::take(&mut self.policy_changes.replies);
        for (revision, reply) in replies {
            if revision <= in_force {
                self.once_durable(reply, self.policy_changes.changed);
            } else {
                self.policy_changes.replies.push((revision, reply));
            }
        }
    }
}
