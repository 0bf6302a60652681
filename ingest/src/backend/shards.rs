//! Questions to shards, over their control channels.
//!
//! A question is offered, never waited with: a full channel is an error at once. An answer has a deadline.
//! All shards are asked before the first answer is awaited, so they answer side by side.

use std::time::Duration;

use crossbeam::channel::TrySendError;
use muster_api::ApiError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::ServerBackend;
use crate::phase::Phase;
use crate::shard::Control;

impl ServerBackend {
    /// Asks one shard.
    pub(super) async fn ask<T>(
        &self,
        shard: usize,
        question: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<T, ApiError> {
        let deadline = Instant::now() + self.deadlines.answer;
        let answer = self.offer(shard, question)?;
        self.answer(shard, answer, deadline).await
    }

    /// Asks every shard; by shard, its answer or why there is none.
    pub(super) async fn ask_each<T>(
        &self,
        within: Duration,
        question: impl Fn(oneshot::Sender<T>) -> Control,
    ) -> Vec<Result<T, ApiError>> {
        let deadline = Instant::now() + within;
        let shards = 0..self.context.controls.len();
        let offered: Vec<_> = shards.map(|shard| self.offer(shard, &question)).collect();
        let mut answers = Vec::with_capacity(offered.len());
        for (shard, offered) in offered.into_iter().enumerate() {
            answers.push(match offered {
                Ok(answer) => self.answer(shard, answer, deadline).await,
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// Asks every shard; an answer is whole or there is none.
    pub(super) async fn ask_all<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Control,
    ) -> Result<Vec<T>, ApiError> {
        self.ask_each(self.deadlines.answer, question)
            .await
            .into_iter()
            .collect()
    }

    fn offer<T>(
        &self,
        shard: usize,
        question: impl FnOnce(oneshot::Sender<T>) -> Control,
    ) -> Result<oneshot::Receiver<T>, ApiError> {
        let unknown = || ApiError::Internal(format!("there is no shard {shard}"));
        let control = self.context.controls.get(shard).ok_or_else(unknown)?;
        let (reply, answer) = oneshot::channel();
        match control.try_send(question(reply)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(ApiError::Busy { shard }),
            Err(TrySendError::Disconnected(_)) => Err(self.unanswered()),
        }
    }

    async fn answer<T>(
        &self,
        shard: usize,
        answer: oneshot::Receiver<T>,
        deadline: Instant,
    ) -> Result<T, ApiError> {
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.unanswered()),
            Err(_) => Err(ApiError::Timeout {
                what: format!("shard {shard}"),
            }),
        }
    }

    /// A stop closes the store: what would hold on to it for long is not begun any more.
    pub(super) fn refuse_while_draining(&self) -> Result<(), ApiError> {
        match self.context.phase.get() {
            Phase::Draining => Err(ApiError::Draining),
            _ => Ok(()),
        }
    }

    /// Why a shard drops a question: it has ended, or what it would answer from is not durable.
    fn unanswered(&self) -> ApiError {
        match self.context.phase.get() {
            Phase::Draining => ApiError::Draining,
            _ => ApiError::StorePoisoned,
        }
    }
}
