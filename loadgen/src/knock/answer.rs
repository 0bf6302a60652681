//! What the first datagram that comes back says, without its keys.
//!
//! Pure. Bounds: a byte for each attempt. A server pads whatever carries its part of a handshake to 1,200 bytes
//! (RFC 9000, 14.1); a first packet that is shorter carries nothing but the end of the connection.

/// Length of the connection ids that attempts have.
pub(super) const ID_BYTES: usize = size_of::<u64>();

/// What a datagram with the server's part of a handshake has at least.
const PADDED_BYTES: usize = 1200;

/// How an attempt was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It should prove its address.
    Retry,
    /// It is closed before it began.
    Refusal,
    /// The server goes on with it.
    TakenUp,
}

/// The first answer to each attempt.
#[derive(Debug)]
pub(super) struct Answers(Vec<Option<Answer>>);

impl Answers {
    /// None of so many.
    pub(super) fn of(attempts: u64) -> Self {
        Self(vec![None; usize::try_from(attempts).unwrap_or(usize::MAX)])
    }

    /// Takes in a datagram. A server repeats what is not acknowledged; only the first counts.
    pub(super) fn note(&mut self, datagram: &[u8]) {
        let Some((number, answer)) = read(datagram) else {
            return;
        };
        let place = usize::try_from(number).ok();
        if let Some(first) = place.and_then(|place| self.0.get_mut(place)) {
            first.get_or_insert(answer);
        }
    }

    /// How many were answered so.
    pub(super) fn count(&self, answer: Answer) -> u64 {
        let found = self.0.iter().filter(|found| **found == Some(answer));
        found.count() as u64
    }
}

/// The number of the attempt and the answer, if it is one: the header that all versions of QUIC share, and the
/// type of packet of version 1.
fn read(datagram: &[u8]) -> Option<(u64, Answer)> {
    let [first, _version @ .., length] = *datagram.first_chunk::<6>()?;
    let is_long = first & 0x80 != 0;
    if !is_long || usize::from(length) != ID_BYTES {
        return None;
    }
    let id = datagram.get(6..)?.first_chunk::<ID_BYTES>()?;
    let answer = match (first >> 4) & 0b11 {
        0b00 if datagram.len() < PADDED_BYTES => Answer::Refusal,
        0b00 | 0b10 => Answer::TakenUp,
        0b11 => Answer::Retry,
        _ => return None,
    };
    Some((u64::from_be_bytes(*id), answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, number: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![first, 0, 0, 0, 1, 8];
        bytes.extend(number.to_be_bytes());
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn an_attempt_is_answered_by_the_first_datagram_about_it() {
        let mut answers = Answers::of(4);
        answers.note(&datagram(0xc0, 0, 1200));
        // The end of the same handshake, once the server has waited long enough.
        answers.note(&datagram(0xc0, 0, 60));
        answers.note(&datagram(0xf0, 1, 60));
        answers.note(&datagram(0xc0, 2, 60));
        let counts = [Answer::TakenUp, Answer::Retry, Answer::Refusal].map(|of| answers.count(of));
        assert_eq!(counts, [1, 1, 1]);
    }

    #[test]
    fn what_is_no_answer_to_an_attempt_is_passed_over() {
        let mut answers = Answers::of(1);
        for bytes in [
            datagram(0x40, 0, 100),
            datagram(0xc0, 1, 1200),
            datagram(0xc0, u64::MAX, 1200),
            datagram(0xd0, 0, 100),
            datagram(0xc0, 0, 13),
            vec![0xc0; 5],
            Vec::new(),
        ] {
            answers.note(&bytes);
        }
        assert!(answers.0.iter().all(Option::is_none));
    }
}
