//! What a server must answer to the frames of one connection, record by record.
//!
//! A device is on one connection only, so the state that was recovered and the order of its records decide
//! every answer: newer is accepted, the same number is a duplicate, an older one is stale. A record that
//! is accepted twice, or a state that came back otherwise than it was read, shows in the totals. Pure.

use std::collections::{HashMap, VecDeque};

use muster_client::Progress;
use muster_wire::DeviceId;

use crate::check::Finding;
use crate::ledger::{Entry, Kind};

/// The last number of each device, by kind; 0 is nothing.
pub type Numbers = HashMap<(DeviceId, Kind), u64>;

/// Accepted, duplicate, stale.
type Totals = [u64; 3];

/// The answers of one connection.
#[derive(Debug, Default)]
pub struct Answers {
    numbers: Numbers,
    /// What is to be added for each frame that is not acknowledged.
    frames: VecDeque<Totals>,
    acknowledged: Totals,
}

impl Answers {
    /// For a server that begins with these numbers.
    pub fn from_state(numbers: Numbers) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }

    /// A frame was handed over, after all earlier ones.
    pub fn handed_over(&mut self, entries: &[Entry]) {
        let mut totals = [0; 3];
        for entry in entries {
            let (_, device) = entry.device;
            let last = self.numbers.entry((device, entry.kind)).or_default();
            let answer = match entry.number.cmp(last) {
                std::cmp::Ordering::Greater => {
                    *last = entry.number;
                    0
                }
                std::cmp::Ordering::Equal => 1,
                std::cmp::Ordering::Less => 2,
            };
            totals[answer] += 1;
        }
        self.frames.push_back(totals);
    }

    /// The oldest frame was acknowledged.
    pub fn acknowledged(&mut self) {
        let totals = self.frames.pop_front().unwrap_or_default();
        for (sum, more) in self.acknowledged.iter_mut().zip(totals) {
            *sum += more;
        }
    }

    /// Holds what the server said against it. Nothing can be said once a connection was lost and opened
    /// again: a record whose ack was lost is answered twice.
    pub fn check(&self, connection: &str, progress: &Progress) -> Option<Finding> {
        let answered = [
            progress.accepted,
            progress.duplicate,
            progress.stale,
            progress.rejected,
        ];
        let [accepted, duplicate, stale] = self.acknowledged;
        let is_decided = progress.connections <= 1 || progress.rejected > 0;
        (is_decided && answered != [accepted, duplicate, stale, 0]).then(|| Finding::Answers {
            connection: connection.to_owned(),
            expected: self.acknowledged,
            answered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_wire::Digest;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    fn check_in(number: u64) -> Entry {
        Entry {
            device: (0, DEVICE),
            kind: Kind::CheckIn,
            number,
            digest: Digest(0),
        }
    }

    fn answers() -> Answers {
        let recovered = Numbers::from([((DEVICE, Kind::CheckIn), 2)]);
        let mut answers = Answers::from_state(recovered);
        // Sent again after a crash, of which 1 and 2 had been durable; then news.
        answers.handed_over(&[check_in(1), check_in(2), check_in(3)]);
        answers.handed_over(&[check_in(4)]);
        answers
    }

    fn progress(accepted: u64, duplicate: u64, stale: u64) -> Progress {
        Progress {
            connections: 1,
            accepted,
            duplicate,
            stale,
            ..Progress::default()
        }
    }

    #[test]
    fn answers_follow_from_the_state_and_the_order() {
        let mut answers = answers();
        assert_eq!(answers.check("x", &progress(0, 0, 0)), None);
        answers.acknowledged();
        assert_eq!(answers.check("x", &progress(1, 1, 1)), None);
        answers.acknowledged();
        assert_eq!(answers.check("x", &progress(2, 1, 1)), None);
    }

    #[test]
    fn a_record_that_is_accepted_twice_is_a_finding() {
        let mut answers = answers();
        answers.acknowledged();
        assert!(answers.check("x", &progress(2, 0, 1)).is_some());
        let rejected = Progress {
            rejected: 1,
            connections: 2,
            ..progress(1, 1, 1)
        };
        assert!(answers.check("x", &rejected).is_some());
    }

    #[test]
    fn after_a_lost_connection_nothing_is_decided() {
        let reconnected = Progress {
            connections: 2,
            ..progress(9, 9, 9)
        };
        assert_eq!(answers().check("x", &reconnected), None);
    }
}
