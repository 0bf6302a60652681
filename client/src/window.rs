//! The unacknowledged frames, and how cumulative acks change them.
//!
//! Purpose: after a reconnect, exactly the frames that may have been lost are sent again, in the same order. Pure: no
//! sockets, no clock. Owner: the driver task.
//!
//! Bounds: `window_frames` frames, the lower of the client's and the server's limit. The totals of an Ack count from
//! the start of its stream, so the window keeps the last totals of the current stream and adds only the difference.

use std::collections::VecDeque;

use bytes::Bytes;
use muster_wire::{
    AckTotals,
    limits::{CHECK_IN_BYTES, HEADER_BYTES},
};

/// The increase of the totals by one Ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Acknowledged {
    /// Frames that the ack covers, with those dropped behind them.
    pub(crate) frames: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) stale: u64,
    pub(crate) rejected: u64,
}

/// What [`Window::drop_unsent`] has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dropped {
    /// Frames removed.
    pub(crate) frames: u64,
    /// Frames that are done at once, because none before them is unacknowledged. A later ack counts the others.
    pub(crate) done: u64,
}

/// Why an Ack is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// A total is lower than in an earlier Ack of the stream.
    #[error("an ack has a lower total than an earlier ack")]
    Backwards,
    /// It acknowledges more frames than were sent.
    #[error("an ack covers {acked} frames, but {sent} were sent")]
    Ahead {
        /// Frames acknowledged.
        acked: u64,
        /// Frames sent on the stream.
        sent: u64,
    },
}

/// An unacknowledged frame.
#[derive(Debug)]
struct Unacknowledged {
    frame: Bytes,
    /// Frames right behind it that were dropped: they are done once this one is, because whoever waits counts in order.
    dropped_behind: u64,
}

/// The unacknowledged frames, oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    frames: VecDeque<Unacknowledged>,
    /// How many of `frames`, from the oldest, were sent on the current connection.
    in_flight: usize,
    client_limit: usize,
    /// The limit in force: the client's, or the server's if that is lower.
    limit: usize,
    /// The last totals of the current connection.
    totals: AckTotals,
}

impl Window {
    pub(crate) fn new(client_limit: u16) -> Self {
        let limit = usize::from(client_limit);
        Self {
            frames: VecDeque::with_capacity(limit),
            in_flight: 0,
            client_limit: limit,
            limit,
            totals: AckTotals::default(),
        }
    }

    /// Begins a connection, on which every unacknowledged frame is to be sent again. Returns how many of them had been
    /// sent on the previous connection.
    pub(crate) fn begin_connection(&mut self, server_limit: u16) -> usize {
        let resent = self.in_flight;
        self.in_flight = 0;
        self.limit = self.client_limit.min(usize::from(server_limit));
        self.totals = AckTotals::default();
        resent
    }

    /// Whether another frame may be pushed.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < self.limit
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        debug_assert!(self.has_room(), "the caller checks for room first");
        self.frames.push_back(Unacknowledged {
            frame,
            dropped_behind: 0,
        });
    }

    /// The next frame to send on the current connection, which is then in flight. `None` if all were sent, or if the
    /// server's window is full, which is smaller than `frames` if the previous server allowed more.
    pub(crate) fn send_next(&mut self) -> Option<Bytes> {
        if self.in_flight >= self.limit {
            return None;
        }
        let frame = self.frames.get(self.in_flight)?.frame.clone();
        self.in_flight += 1;
        Some(frame)
    }

    /// Removes frames that were not sent on the current connection.
    pub(crate) fn drop_unsent(&mut self, is_futile: impl Fn(&Bytes) -> bool) -> Dropped {
        let mut dropped = Dropped::default();
        for unsent in self.frames.split_off(self.in_flight) {
            if !is_futile(&unsent.frame) {
                self.frames.push_back(unsent);
                continue;
            }
            dropped.frames += 1;
            let done = 1 + unsent.dropped_behind;
            match self.frames.back_mut() {
                Some(before) => before.dropped_behind += done,
                None => dropped.done += done,
            }
        }
        dropped
    }

    /// Whether a frame has not been sent on the current connection.
    pub(crate) fn has_unsent(&self) -> bool {
        self.in_flight < self.frames.len()
    }

    /// Whether a frame was sent on the current connection and is not acknowledged.
    pub(crate) fn has_in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// The oldest frame, if it is a single check-in.
    pub(crate) fn oldest_if_single(&self) -> Option<Bytes> {
        let oldest = &self.frames.front()?.frame;
        (oldest.len() == HEADER_BYTES + CHECK_IN_BYTES).then(|| oldest.clone())
    }

    /// The number of unacknowledged frames.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Applies an Ack: removes the frames it covers and returns the increase of the totals.
    pub(crate) fn acknowledge(&mut self, totals: &AckTotals) -> Result<Acknowledged, AckError> {
        let last = &self.totals;
        let mut acknowledged = Acknowledged {
            frames: added(totals.frames, last.frames)?,
            accepted: added(totals.accepted, last.accepted)?,
            duplicate: added(totals.duplicate, last.duplicate)?,
            stale: added(totals.stale, last.stale)?,
            rejected: added(totals.rejected, last.rejected)?,
        };
        let sent = self.in_flight as u64;
        if acknowledged.frames > sent {
            return Err(AckError::Ahead {
                acked: totals.frames,
                sent: last.frames + sent,
            });
        }
        // At most `in_flight`, which counts elements of the deque.
        let frames = usize::try_from(acknowledged.frames).unwrap_or(self.in_flight);
        let covered = self.frames.drain(..frames);
        acknowledged.frames += covered.map(|covered| covered.dropped_behind).sum::<u64>();
        self.in_flight -= frames;
        self.totals = *totals;
        Ok(acknowledged)
    }
}

fn added(now: u64, before: u64) -> Result<u64, AckError> {
    now.checked_sub(before).ok_or(AckError::Backwards)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u8) -> Bytes {
        Bytes::from(vec![number])
    }

    fn window_of(frames: u8, limit: u16) -> Window {
        let mut window = Window::new(limit);
        window.begin_connection(limit);
        for number in 0..frames {
            window.push(frame(number));
        }
        window
    }

    fn send_all(window: &mut Window) -> Vec<u8> {
        std::iter::from_fn(|| window.send_next())
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
    fn the_lower_limit_of_client_and_server_applies() {
        let mut window = Window::new(8);
        window.begin_connection(2);
        window.push(frame(0));
        assert!(window.has_room());
        window.push(frame(1));
        assert!(!window.has_room());
    }

    #[test]
    fn an_ack_makes_room_and_adds_the_difference() {
        let mut window = window_of(3, 3);
        assert_eq!(send_all(&mut window), [0, 1, 2]);
        let first = window.acknowledge(&frames(2)).unwrap();
        assert_eq!((first.frames, first.accepted), (2, 20));
        let second = window.acknowledge(&frames(3)).unwrap();
        assert_eq!((second.frames, second.accepted), (1, 10));
        assert!(window.is_empty() && window.has_room());
    }

    #[test]
    fn the_same_ack_twice_adds_nothing() {
        let mut window = window_of(2, 2);
        send_all(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(window.acknowledge(&frames(1)), Ok(Acknowledged::default()));
        assert_eq!(window.frames.len(), 1);
    }

    #[test]
    fn every_unacknowledged_frame_is_sent_again_on_a_new_connection() {
        let mut window = window_of(4, 4);
        send_all(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(window.begin_connection(4), 3);
        assert_eq!(send_all(&mut window), [1, 2, 3]);
        let acknowledged = window.acknowledge(&frames(3)).unwrap();
        assert_eq!(
            acknowledged.frames, 3,
            "acks of the new stream count from zero"
        );
        assert!(window.is_empty());
    }

    #[test]
    fn a_smaller_window_after_a_reconnect_limits_frames_in_flight() {
        let mut window = window_of(4, 4);
        send_all(&mut window);
        window.begin_connection(1);
        assert_eq!(send_all(&mut window), [0]);
        assert!(window.has_unsent() && !window.has_room());
        window.acknowledge(&frames(1)).unwrap();
        assert_eq!(send_all(&mut window), [1]);
    }

    #[test]
    fn only_unsent_frames_are_dropped() {
        let mut window = window_of(4, 4);
        assert!(window.send_next().is_some() && window.send_next().is_some());
        let dropped = window.drop_unsent(|frame| frame[0] % 2 == 0);
        assert_eq!((dropped.frames, dropped.done), (1, 0));
        assert_eq!(send_all(&mut window), [3]);
        assert_eq!(window.acknowledge(&frames(3)).unwrap().frames, 4);
        assert!(window.is_empty());
    }

    /// Whoever waits for the first frames must not return because later ones are gone.
    #[test]
    fn a_dropped_frame_counts_once_those_before_it_are_done() {
        let mut window = window_of(6, 6);
        assert!(window.send_next().is_some() && window.send_next().is_some());
        for number in [3, 2, 5] {
            let dropped = window.drop_unsent(|frame| frame[0] == number);
            assert_eq!((dropped.frames, dropped.done), (1, 0));
        }
        assert_eq!(window.acknowledge(&frames(1)).unwrap().frames, 1);
        assert_eq!(window.acknowledge(&frames(2)).unwrap().frames, 3);
        let dropped = window.drop_unsent(|frame| frame[0] == 4);
        assert_eq!(
            (dropped.frames, dropped.done),
            (1, 2),
            "none is before them"
        );
        assert!(window.is_empty());
    }

    #[test]
    fn an_ack_for_frames_that_were_never_sent_is_an_error() {
        let mut window = window_of(2, 2);
        window.send_next();
        assert_eq!(
            window.acknowledge(&frames(2)),
            Err(AckError::Ahead { acked: 2, sent: 1 })
        );
        assert_eq!(window.frames.len(), 2, "no frame is removed");
    }

    #[test]
    fn totals_that_go_backwards_are_an_error() {
        let mut window = window_of(2, 2);
        send_all(&mut window);
        window.acknowledge(&frames(1)).unwrap();
        let back = AckTotals {
            frames: 2,
            accepted: 9,
            ..AckTotals::default()
        };
        assert_eq!(window.acknowledge(&back), Err(AckError::Backwards));
    }
}
