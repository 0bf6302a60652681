//! Classifies an attempt by the first datagram that comes back, without decrypting it.
//!
//! Pure. Bounds: one byte per attempt. A server pads every datagram with an ack-eliciting Initial packet to 1,200 bytes
//! (RFC 9000, 14.1); a shorter Initial packet only closes the connection.

/// The length of the connection ids of attempts.
pub(super) const ID_BYTES: usize = size_of::<u64>();

/// The minimum length of a datagram with the server's part of a handshake.
const PADDED_BYTES: usize = 1200;

/// How an attempt was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Retry: the client must validate its address.
    Retry,
    /// CONNECTION_CLOSE before the handshake.
    Refusal,
    /// The server's part of the handshake.
    Continued,
}

/// The first answer to each attempt.
#[derive(Debug)]
pub(super) struct Answers(Vec<Option<Answer>>);

impl Answers {
    /// No answers yet to `attempts` attempts.
    pub(super) fn new(attempts: u64) -> Self {
        Self(vec![None; usize::try_from(attempts).unwrap_or(usize::MAX)])
    }

    /// Records a datagram. A server retransmits, so only the first answer to an attempt counts.
    pub(super) fn record(&mut self, datagram: &[u8]) {
        let Some((number, answer)) = read(datagram) else {
            return;
        };
        let index = usize::try_from(number).ok();
        if let Some(first) = index.and_then(|index| self.0.get_mut(index)) {
            first.get_or_insert(answer);
        }
    }

    /// How many attempts got this answer.
    pub(super) fn count(&self, answer: Answer) -> u64 {
        let found = self.0.iter().filter(|found| **found == Some(answer));
        found.count() as u64
    }
}

/// The number of the attempt and the answer; `None` for any other datagram. Reads the header that all versions of QUIC
/// share, and the packet type of version 1.
fn read(datagram: &[u8]) -> Option<(u64, Answer)> {
    let [first, _version @ .., length] = *datagram.first_chunk::<6>()?;
    let is_long = first & 0x80 != 0;
    if !is_long || usize::from(length) != ID_BYTES {
        return None;
    }
    let id = datagram.get(6..)?.first_chunk::<ID_BYTES>()?;
    let answer = match (first >> 4) & 0b11 {
        0b00 if datagram.len() < PADDED_BYTES => Answer::Refusal,
        0b00 | 0b10 => Answer::Continued,
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
    fn the_first_datagram_answers_an_attempt() {
        let mut answers = Answers::new(4);
        answers.record(&datagram(0xc0, 0, 1200));
        // The server closes the same handshake after its timeout.
        answers.record(&datagram(0xc0, 0, 60));
        answers.record(&datagram(0xf0, 1, 60));
        answers.record(&datagram(0xc0, 2, 60));
        let counts =
            [Answer::Continued, Answer::Retry, Answer::Refusal].map(|of| answers.count(of));
        assert_eq!(counts, [1, 1, 1]);
    }

    #[test]
    fn other_datagrams_are_ignored() {
        let mut answers = Answers::new(1);
        for bytes in [
            datagram(0x40, 0, 100),
            datagram(0xc0, 1, 1200),
            datagram(0xc0, u64::MAX, 1200),
            datagram(0xd0, 0, 100),
            datagram(0xc0, 0, 13),
            vec![0xc0; 5],
            Vec::new(),
        ] {
            answers.record(&bytes);
        }
        assert!(answers.0.iter().all(Option::is_none));
    }
}
