//! The consumer of one stream: deduplication, latest states and counts, one message at a time.
//!
//! Owner: a task per stream. Bounds: one entry per device of the lane, and the messages of a pull.

use std::collections::hash_map::Entry;

use anyhow::{Context, bail};
use async_nats::jetstream::{self, consumer::AckPolicy, consumer::pull};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::job;
use crate::model::{Contents, Counts};

/// Maximum number of messages per pull request.
const MESSAGES_MAX: usize = 64;

/// A task that applies a stream.
pub(super) struct Consumer {
    applied: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Contents>>,
}

impl Consumer {
    pub(super) async fn start(context: &jetstream::Context, lane: usize) -> anyhow::Result<Self> {
        let config = pull::Config {
            // The stream has the durable data and a restarted consumer reads it from the beginning, so acks of the
            // consumer would be additional messages without any use.
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer = context
            .create_consumer_on_stream(config, format!("check_ins_{lane}"))
            .await
            .context("cannot create the consumer")?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(MESSAGES_MAX)
            .messages()
            .await
            .context("cannot read messages")?;
        let (count, applied) = watch::channel(0);
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut contents = Contents::default();
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    _ = stopped.changed() => return Ok(contents),
                };
                let message = message.context("the stream ended")?;
                let message = message.context("cannot read a message")?;
                apply(&mut contents, &message.payload);
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self {
            applied,
            stop,
            task,
        })
    }

    /// Waits until this number of messages has been applied.
    pub(super) async fn wait_until_applied(&mut self, messages: usize) -> anyhow::Result<()> {
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

    /// Stops the task and returns its contents.
    pub(super) async fn stop(self) -> anyhow::Result<Contents> {
        // Fails if the task has ended; its own error is returned below.
        let _ = self.stop.send(true);
        self.task.await.context("the consumer panicked")?
    }
}

fn apply(contents: &mut Contents, frame: &[u8]) {
    for (id, state) in job::records(frame) {
        let verdict = job::verdict(state);
        match contents.states.entry(*id) {
            Entry::Vacant(entry) => {
                entry.insert(*state);
                *contents.counts.entry(verdict).or_default() += 1;
            }
            Entry::Occupied(mut entry) => {
                let known = *entry.get();
                if job::seq(state) <= job::seq(&known) {
                    continue;
                }
                entry.insert(*state);
                let before = job::verdict(&known);
                if before != verdict {
                    decrement(&mut contents.counts, before);
                    *contents.counts.entry(verdict).or_default() += 1;
                }
            }
        }
    }
}

fn decrement(counts: &mut Counts, verdict: u8) {
    if let Some(count) = counts.get_mut(&verdict) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&verdict);
        }
    }
}
