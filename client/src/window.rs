//! The frames that are not acknowledged yet, and what cumulative acks say of them.
//!
//! Purpose: exactly the frames that a lost connection may have lost are sent again on the next one,
//! in the same order. Pure: no sockets, no clock. Owner: the driver task.
//!
//! Bounds: `window_frames` frames, the smaller number of the client's and the server's. The totals
//! of an Ack count from the start of its stream, so the window keeps what the present stream has
//! said and adds only the difference.

use std::collections::VecDeque;

use bytes::Bytes;
use muster_wire::{
    AckTotals,
    limits::{CHECK_IN_BYTES, HEADER_BYTES},
};

/// What one Ack added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Acknowledged {
    pub(crate) frames: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) stale: u64,
    pub(crate) rejected: u64,
}

/// Why an Ack cannot be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckFault {
    /// A total is lower than in an earlier Ack of the stream.
    #[error("an ack takes back what an earlier one said")]
    Backwards,
    /// More frames are acknowledged than were sent.
    #[error("an ack covers {acked} frames, but {sent} were sent")]
    Ahead {
        /// Frames the Ack covers.
        acked: u64,
        /// Frames sent on the stream.
        sent: u64,
    },
}

/// The unacknowledged frames, oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    frames: VecDeque<Bytes>,
    /// How many of `frames`, from the oldest, have been handed to the present connection.
    sent: usize,
    own_limit: usize,
    limit: usize,
    /// The last totals of the present connection.
    totals: AckTotals,
}

impl Window {
    pub(crate) fn new(own_limit: u16) -> Self {
        let limit = usize::from(own_limit);
        Self {
            frames: VecDeque::with_capacity(limit),
            sent: 0,
            own_limit: limit,
            limit,
            totals: AckTotals::default(),
        }
    }

    /// A new connection has opened: everything unacknowledged is to be sent again. Returns how many
    /// frames those are that an earlier connection had been handed.
    pub(crate) fn open(&mut self, server_limit: u16) -> usize {
        let resent = self.sent;
        self.sent = 0;
        self.limit = self.own_limit.min(usize::from(server_limit));
        self.totals = AckTotals::default();
        resent
    }

    /// Whether one more frame may be pushed.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < self.limit
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        debug_assert!(self.has_room(), "the caller asks for room first");
        self.frames.push_back(frame);
    }

    /// The next frame that the present connection has not been handed yet; `None` if there is none
    /// or its window is full, which a server with a smaller window than its predecessor can cause.
    pub(crate) fn take_unsent(&mut self) -> Option<Bytes> {
        if self.sent >= self.limit {
            return None;
        }
        let frame = self.frames.get(self.sent)?.clone();
        self.sent += 1;
        Some(frame)
    }

    /// Whether some frame waits to be handed to the present connection.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.frames.len()
    }

    /// Whether the present connection has been handed a frame that is not acknowledged.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// The oldest frame, if it is one check-in.
    pub(crate) fn oldest_if_small(&self) -> Option<Bytes> {
        let oldest = self.frames.front()?;
        (oldest.len() == HEADER_BYTES + CHECK_IN_BYTES).then(|| oldest.clone())
    }

    /// Unacknowledged frames.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes in an Ack and forgets the frames it covers.
    pub(crate) fn acknowledge(&mut self, totals: &AckTotals) -> Result<Acknowledged, AckFault> {
        let last = &self.totals;
        let added = |now: u64, before: u64| now.checked_sub(before).ok_or(AckFault::Backwards);
        let acknowledged = Acknowledged {
            frames: added(totals.frames, last.frames)?,
            accepted: added(totals.accepted, last.accepted)?,
            duplicate: added(totals.duplicate, last.duplicate)?,
            stale: added(totals.stale, last.stale)?,
            rejected: added(totals.rejected, last.rejected)?,
        };
        let sent = self.sent as u64;
        if acknowledged.frames > sent {
            return Err(AckFault::Ahead {
                acked: totals.frames,
                sent: last.frames + sent,
            });
        }
        // Not more than `sent`, which counts elements of the deque.
        let frames = usize::try_from(acknowledged.frames).unwrap_or(self.sent);
        self.frames.drain(..frames);
        self.sent -= frames;
        self.totals = *totals;
        Ok(acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u8) -> Bytes {
        Bytes::from(vec![number])
    }

    fn window_of(frames: u8, limit: u16) -> Window {
        let mut window = Window::new(limit);
        window.open(limit);
        for number in 0..frames {
            window.push(frame(number));
        }
        window
    }

    fn unsent(window: &mut Window) -> Vec<u8> {
        std::iter::from_fn(|| window.take_unsent())
            .map(|frame| frame[0])
            .collect()
    }

    fn frames(frames: u64) -> AckTotals {
        AckTotals {
            frames,
            accepted: frames * 10,
            ..AckTotals::default()
        }
    }

    #[test]
    fn the_smaller_window_of_both_sides_is_in_force() {
        let mut window = Window::new(8);
        window.open(2);
        window.push(frame(0));
        assert!(window.has_room());
        window.push(frame(1));
        assert!(!window.has_room());
    }

    #[test]
    fn an_ack_makes_room_and_adds_only_what_is_new() {
        let mut window = window_of(3, 3);
        assert_eq!(unsent(&mut window), [0, 1, 2]);
        let first = window.acknowledge(&frames(2)).unwrap();
        assert_eq!((first.frames, first.accepted), (2, 20));
        let second = window.acknowledge(&frames(3)).unwrap();
        assert_eq!((second.frames, second.accepted), (1, 10));
        assert!(window.is_empty() && window.has_room());
    }

    #[test]
    fn the_same_ack_twice_adds_nothing() {
        let mut window = window_of(2, 2);
        unsent(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(window.acknowledge(&frames(1)), Ok(Acknowledged::default()));
        assert_eq!(window.frames.len(), 1);
    }

    #[test]
    fn a_new_connection_gets_every_unacknowledged_frame_again() {
        let mut window = window_of(4, 4);
        unsent(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(window.open(4), 3);
        assert_eq!(unsent(&mut window), [1, 2, 3]);
        let acknowledged = window.acknowledge(&frames(3)).unwrap();
        assert_eq!(
            acknowledged.frames, 3,
            "acks of the new stream count from zero"
        );
        assert!(window.is_empty());
    }

    #[test]
    fn a_smaller_window_after_a_reconnect_holds_frames_back() {
        let mut window = window_of(4, 4);
        unsent(&mut window);
        window.open(1);
        assert_eq!(unsent(&mut window), [0]);
        assert!(window.has_unsent() && !window.has_room());
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(unsent(&mut window), [1]);
    }

    #[test]
    fn an_ack_of_frames_that_were_never_sent_is_a_fault() {
        let mut window = window_of(2, 2);
        window.take_unsent();
        assert_eq!(
            window.acknowledge(&frames(2)),
            Err(AckFault::Ahead { acked: 2, sent: 1 })
        );
        assert_eq!(window.frames.len(), 2, "nothing is forgotten");
    }

    #[test]
    fn totals_that_go_back_are_a_fault() {
        let mut window = window_of(2, 2);
        unsent(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        let back = AckTotals {
            frames: 2,
            accepted: 9,
            ..AckTotals::default()
        };
        assert_eq!(window.acknowledge(&back), Err(AckFault::Backwards));
    }
}
