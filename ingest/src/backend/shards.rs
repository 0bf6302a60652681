//! Queries to shard threads, over their control channels.
//!
//! Sending never blocks: a full channel is an error at once. A reply has a deadline. Queries are sent to all threads
//! before the first reply is awaited, so they work in parallel.

use std::time::Duration;

use crossbeam::channel::TrySendError;
use muster_api::ApiError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::ServerBackend;
use crate::phase::Phase;
use crate::shard::Control;

impl ServerBackend {
    /// Queries one thread.
    pub(super) async fn query<T>(
        &self,
        thread: usize,
        query: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<T, ApiError> {
        let deadline = Instant::now() + self.deadlines.answer;
        let reply = self.send(thread, query)?;
        self.receive(thread, reply, deadline).await
    }

    /// Queries every thread; returns the reply or error of each.
    pub(super) async fn query_each<T>(
        &self,
        within: Duration,
        query: impl Fn(oneshot::Sender<T>) -> Control,
    ) -> Vec<Result<T, ApiError>> {
        let deadline = Instant::now() + within;
        let threads = 0..self.context.controls.len();
        let sent: Vec<_> = threads.map(|thread| self.send(thread, &query)).collect();
        let mut replies = Vec::with_capacity(sent.len());
        for (thread, sent) in sent.into_iter().enumerate() {
            replies.push(match sent {
                Ok(reply) => self.receive(thread, reply, deadline).await,
                Err(error) => Err(error),
            });
        }
        replies
    }

    /// Queries every thread; returns all replies, or the first error.
    pub(super) async fn query_all<T>(
        &self,
        query: impl Fn(oneshot::Sender<T>) -> Control,
    ) -> Result<Vec<T>, ApiError> {
        self.query_each(self.deadlines.answer, query)
            .await
            .into_iter()
            .collect()
    }

    /// Sends a query to each of some shards; returns all replies, or the first error.
    pub(super) async fn query_some<T>(
        &self,
        queries: impl Iterator<Item = (usize, impl FnOnce(oneshot::Sender<T>) -> Control)>,
    ) -> Result<Vec<T>, ApiError> {
        let deadline = Instant::now() + self.deadlines.answer;
        let sent: Vec<_> = queries
            .map(|(shard, query)| (shard, self.send(shard, query)))
            .collect();
        let mut replies = Vec::with_capacity(sent.len());
        for (shard, sent) in sent {
            replies.push(self.receive(shard, sent?, deadline).await?);
        }
        Ok(replies)
    }

    pub(super) fn send<T>(
        &self,
        thread: usize,
        query: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<oneshot::Receiver<T>, ApiError> {
        let control =
            self.context.controls.get(thread).ok_or_else(|| {
                ApiError::Internal(format!("shard thread {thread} does not exist"))
            })?;
        let (reply, receiver) = oneshot::channel();
        match control.try_send(query(reply)) {
            Ok(()) => Ok(receiver),
            Err(TrySendError::Full(_)) => Err(ApiError::Busy { thread }),
            Err(TrySendError::Disconnected(_)) => Err(self.no_reply()),
        }
    }

    async fn receive<T>(
        &self,
        thread: usize,
        reply: oneshot::Receiver<T>,
        deadline: Instant,
    ) -> Result<T, ApiError> {
        match timeout_at(deadline, reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.no_reply()),
            Err(_) => Err(ApiError::Timeout {
                what: format!("shard thread {thread}"),
            }),
        }
    }

    /// Refuses an operation that would keep the store open for long while a stop wants to close it.
    pub(super) fn refuse_while_draining(&self) -> Result<(), ApiError> {
        match self.context.phase.get() {
            Phase::Draining => Err(ApiError::Draining),
            _ => Ok(()),
        }
    }

    /// Why a thread dropped a query: it has ended, or its state is not durable.
    pub(super) fn no_reply(&self) -> ApiError {
        match self.context.phase.get() {
            Phase::Draining => ApiError::Draining,
            _ => ApiError::StorePoisoned,
        }
    }
}
