//! The expected answers of a server to the frames of one connection, record by record.
//!
//! A device uses one connection only, so the recovered state and the order of its records determine every answer: a
//! higher number is accepted, an equal one is a duplicate, a lower one is stale. The totals differ if a record is
//! accepted twice, or if the recovered state is not the one that was read from disk. Pure.

use std::collections::{HashMap, VecDeque};

use muster_client::Progress;
use muster_wire::DeviceId;

use crate::check::Finding;
use crate::ledger::{Entry, Kind};

/// The last number of each device and kind; 0 if there is none.
pub type Numbers = HashMap<(DeviceId, Kind), u64>;

/// Accepted, duplicate, stale.
type Totals = [u64; 3];

/// The expected answers on one connection.
#[derive(Debug, Default)]
pub struct ExpectedAnswers {
    numbers: Numbers,
    /// The answers to each unacknowledged frame, oldest first.
    frames: VecDeque<Totals>,
    acknowledged: Totals,
}

impl ExpectedAnswers {
    /// The answers of a server that recovered these numbers.
    pub fn from_recovered(numbers: Numbers) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }

    /// The next frame is sent.
    pub fn sent(&mut self, entries: &[Entry]) {
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

    /// The oldest frame is acknowledged.
    pub fn acknowledged(&mut self) {
        let totals = self.frames.pop_front().unwrap_or_default();
        for (sum, more) in self.acknowledged.iter_mut().zip(totals) {
            *sum += more;
        }
    }

    /// Compares the totals of the server with the expected ones. A reconnect makes them unpredictable, because a record
    /// whose ack was lost is answered twice; but no record may be rejected.
    pub fn check(&self, connection: &str, progress: &Progress) -> Option<Finding> {
        let answered = [
            progress.accepted,
            progress.duplicate,
            progress.stale,
            progress.rejected,
        ];
        let [accepted, duplicate, stale] = self.acknowledged;
        let is_comparable = progress.connections <= 1 || progress.rejected > 0;
        let is_different = answered != [accepted, duplicate, stale, 0];
        (is_comparable && is_different).then(|| Finding::Answers {
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

    fn answers() -> ExpectedAnswers {
        let recovered = Numbers::from([((DEVICE, Kind::CheckIn), 2)]);
        let mut answers = ExpectedAnswers::from_recovered(recovered);
        // A resent frame, of which 1 and 2 were durable before the crash; then a new one.
        answers.sent(&[check_in(1), check_in(2), check_in(3)]);
        answers.sent(&[check_in(4)]);
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
    fn recovered_state_and_order_determine_the_answers() {
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
    fn after_a_reconnect_totals_are_not_compared() {
        let reconnected = Progress {
            connections: 2,
            ..progress(9, 9, 9)
        };
        assert_eq!(answers().check("x", &reconnected), None);
    }
}
