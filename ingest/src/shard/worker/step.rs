//! One step of a shard at a time, without waiting: how a simulation drives it on a thread of its own choosing.
//!
//! The same events, tasks and commits as [`Worker::run`](super::Worker::run); only what that waits for is looked
//! at instead. Not used by the server.

use muster_engine::Shard;

use super::task::Task;
use super::{Event, SWEEP_EVERY, Worker};

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Something was done.
    Worked,
    /// Nothing can be done now: no event, no free commit, or standing still.
    Idle,
    /// The shard has ended.
    Ended,
}

/// Where a step looks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Questions and orders.
    Control,
    /// Shard batches of frames.
    Inbox,
}

impl Worker {
    /// Does the next thing that can be done without waiting.
    pub fn step(&mut self, first: Input) -> Stepped {
        let has_commit = !self.returned.is_empty();
        match std::mem::replace(&mut self.task, Task::Serve) {
            Task::Serve if !has_commit => Stepped::Idle,
            Task::Serve => match self.look(first) {
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

    /// The state that the shard is in, which may be ahead of what is durable.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    fn look(&mut self, first: Input) -> Option<Event> {
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
        let is_due = now.since(self.swept_at) >= SWEEP_EVERY || self.audited.is_due(now);
        event.or_else(|| is_due.then_some(Event::Tick))
    }
}
