//! Non-blocking stepping of a worker, for a simulation that drives all workers on one thread.
//!
//! Handles the same events, tasks and commits as [`Worker::run`](super::Worker::run), but polls where `run` blocks. Not
//! used by the server.

use muster_engine::ShardSet;

use super::task::Task;
use super::{Event, TICK_EVERY, Worker};

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// The step made progress.
    Worked,
    /// The worker would block: no event, no free commit, or paused.
    Idle,
    /// The worker has ended.
    Ended,
}

/// The channel that a step polls first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Queries and commands.
    Control,
    /// Shard batches.
    Inbox,
}

impl Worker {
    /// Makes the next step that does not block.
    pub fn step(&mut self, first: Input) -> Stepped {
        let has_commit = !self.returned.is_empty();
        match std::mem::replace(&mut self.task, Task::Serve) {
            Task::Serve if !has_commit => Stepped::Idle,
            Task::Serve => match self.poll(first) {
                Some(event) => {
                    self.apply(event);
                    Stepped::Worked
                }
                None => Stepped::Idle,
            },
            Task::Paused(paused) => match paused.poll(self) {
                Some(paused) => {
                    self.task = Task::Paused(paused);
                    Stepped::Idle
                }
                None => Stepped::Worked,
            },
            Task::Drain(drain) if !has_commit => {
                self.task = Task::Drain(drain);
                Stepped::Idle
            }
            Task::Drain(drain) => {
                self.drain(drain);
                Stepped::Worked
            }
            Task::Ended => {
                self.task = Task::Ended;
                Stepped::Ended
            }
        }
    }

    /// The state of the shards in memory, which may be ahead of the durable one.
    pub fn shards(&self) -> &ShardSet {
        &self.shards
    }

    fn poll(&mut self, first: Input) -> Option<Event> {
        let (control, inbox) = (&self.control, &mut self.inbox);
        let control = || match control.try_recv() {
            Ok(control) => Some(Event::Control(control)),
            Err(crossbeam::channel::TryRecvError::Disconnected) => Some(Event::Closed),
            Err(crossbeam::channel::TryRecvError::Empty) => None,
        };
        let mut inbox = || inbox.try_take().map(Event::ShardBatch);
        let event = match first {
            Input::Control => control().or_else(inbox),
            Input::Inbox => inbox().or_else(control),
        };
        let now = self.clock.stamp();
        let is_due =
            self.is_behind() || now.since(self.ticked_at) >= TICK_EVERY || self.audited.is_due(now);
        event.or_else(|| is_due.then_some(Event::Tick))
    }
}
