//! The trace of a world: a hash over all events, and the last ones as text.
//!
//! The hash makes determinism testable: a seed has the same hash in every run and on every machine. Bounded: only
//! the last events are kept.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Events kept for the report of a failure.
const LAST_EVENTS: usize = 40;

/// One event.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// The client, shard or the like that it happened to; 0 if there is only one.
    pub subject: usize,
    /// Up to three numbers with their names.
    pub numbers: [(&'static str, u64); 3],
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.subject)?;
        for (name, number) in self.numbers.iter().filter(|(name, _)| !name.is_empty()) {
            write!(formatter, " {name}={number}")?;
        }
        Ok(())
    }
}

/// The events of a world.
#[derive(Debug)]
pub struct Trace {
    hasher: DefaultHasher,
    events: u64,
    last: VecDeque<(u64, Event)>,
    on_event: Option<fn(u64, &Event)>,
}

impl Trace {
    /// An empty trace, which calls `on_event` with the number of each event and the event.
    pub fn new(on_event: Option<fn(u64, &Event)>) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            events: 0,
            last: VecDeque::with_capacity(LAST_EVENTS),
            on_event,
        }
    }

    /// Records an event.
    pub fn record(&mut self, name: &'static str, subject: usize, numbers: &[(&'static str, u64)]) {
        let mut padded = [("", 0); 3];
        for (slot, number) in padded.iter_mut().zip(numbers) {
            *slot = *number;
        }
        let event = Event {
            name,
            subject,
            numbers: padded,
        };
        self.events += 1;
        event.hash(&mut self.hasher);
        if let Some(on_event) = self.on_event {
            on_event(self.events, &event);
        }
        if self.last.len() == LAST_EVENTS {
            self.last.pop_front();
        }
        self.last.push_back((self.events, event));
    }

    /// The hash of all events so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The last events, oldest first.
    pub fn last(&self) -> Vec<String> {
        let last = self.last.iter();
        last.map(|(number, event)| format!("{number:>6} {event}"))
            .collect()
    }
}
