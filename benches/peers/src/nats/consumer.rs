//! The consumer of one stream: dedup, latest states, counts, one message after the other.
//!
//! Owner: a task for each stream. Bounds: one entry a device of the lane, and the messages of a pull.

use std::collections::hash_map::Entry;

use anyhow::{Context, bail};
use async_nats::jetstream::{self, consumer::AckPolicy, consumer::pull};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::job;
use crate::model::{Counts, Holding};

/// Messages that one pull asks for.
const MESSAGES_MAX: usize = 64;

/// A task that applies a stream.
pub(super) struct Consumer {
    applied: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Holding>>,
}

impl Consumer {
    pub(super) async fn start(context: &jetstream::Context, lane: usize) -> anyhow::Result<Self> {
        let config = pull::Config {
            // The stream is what is durable: after a restart the consumer begins again, so an ack of
            // its own would be one more message and secure nothing.
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer = context
            .create_consumer_on_stream(config, format!("check_ins_{lane}"))
            .await
            .context("the consumer")?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(MESSAGES_MAX)
            .messages()
            .await
            .context("the messages")?;
        let (count, applied) = watch::channel(0);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut holding = Holding::default();
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    _ = stopped.changed() => return Ok(holding),
                };
                let message = message.context("the stream ended")?;
                apply(&mut holding, &message.context("a message")?.payload);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self {
            applied,
            stop,
            task,
        })
    }

    /// Waits until so many messages are applied.
    pub(super) async fn applied(&mut self, messages: usize) -> anyhow::Result<()> {
        if self
            .applied
            .wait_for(|count| *count >= messages)
            .await
            .is_err()
        {
            bail!("the consumer ended early");
        }
        Ok(())
    }

    /// Ends the task; what it holds.
    pub(super) async fn holding(self) -> anyhow::Result<Holding> {
        // A task that is gone has its own error, which comes next.
        let _ = self.stop.send(true);
        self.task.await.context("the consumer panicked")?
    }
}

fn apply(holding: &mut Holding, frame: &[u8]) {
    for (id, state) in job::records(frame) {
        let verdict = job::verdict(state);
        match holding.states.entry(*id) {
            Entry::Vacant(place) => {
                place.insert(*state);
                *holding.counts.entry(verdict).or_default() += 1;
            }
            Entry::Occupied(mut place) => {
                let known = *place.get();
                if job::seq(state) <= job::seq(&known) {
                    continue;
                }
                place.insert(*state);
                let before = job::verdict(&known);
                if before != verdict {
                    leave(&mut holding.counts, before);
                    *holding.counts.entry(verdict).or_default() += 1;
                }
            }
        }
    }
}

fn leave(counts: &mut Counts, verdict: u8) {
    if let Some(count) = counts.get_mut(&verdict) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&verdict);
        }
    }
}
