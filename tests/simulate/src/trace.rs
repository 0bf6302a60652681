//! What happened in a world: a hash over all of it, and the last steps in words.
//!
//! The hash makes determinism a check: the same seed gives the same hash, on every run and machine. Bounded: only
//! the last steps are kept.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Steps kept to be shown with a failure.
const LAST_STEPS: usize = 40;

/// One thing that happened.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Event {
    /// What.
    pub what: &'static str,
    /// To which client, shard, or the like; 0 where there is one only.
    pub of: usize,
    /// Up to three numbers with their names.
    pub numbers: [(&'static str, u64); 3],
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.what, self.of)?;
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
    shown: Option<fn(u64, &Event)>,
}

impl Trace {
    /// An empty trace; each event is shown as it happens, if somebody wants to see it.
    pub fn new(shown: Option<fn(u64, &Event)>) -> Self {
        Self {
            hasher: DefaultHasher::new(),
            events: 0,
            last: VecDeque::with_capacity(LAST_STEPS),
            shown,
        }
    }

    /// Notes an event.
    pub fn note(&mut self, what: &'static str, of: usize, numbers: &[(&'static str, u64)]) {
        let mut padded = [("", 0); 3];
        for (into, from) in padded.iter_mut().zip(numbers) {
            *into = *from;
        }
        let event = Event {
            what,
            of,
            numbers: padded,
        };
        self.events += 1;
        event.hash(&mut self.hasher);
        if let Some(show) = self.shown {
            show(self.events, &event);
        }
        if self.last.len() == LAST_STEPS {
            self.last.pop_front();
        }
        self.last.push_back((self.events, event));
    }

    /// A number for everything so far.
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
