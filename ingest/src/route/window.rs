//! The unacknowledged frames of one session: which are durable, and how their records fared.
//!
//! The session opens a slot per frame, in order, and reads slots back in the same order; shards and
//! the writer only ever touch the slots of frames that are open. Lock-free; bounded by the window the
//! server granted in its Hello, so a session never has more frames in flight than slots.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use muster_engine::Outcome;
use muster_wire::Rejection;
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use tokio::sync::Notify;

use crate::clock::Stamp;

/// One frame in flight.
#[derive(Debug, Default)]
struct FrameSlot {
    /// Parts that are not durable yet, plus one while the session still cuts the frame.
    open: AtomicU32,
    accepted: AtomicU32,
    duplicate: AtomicU32,
    stale: AtomicU32,
    rejected: AtomicU32,
    /// When the last part became durable, a [`Stamp`].
    durable_at: AtomicU64,
}

/// Shared by a session, the shards and the writer.
#[derive(Debug)]
pub struct Window {
    slots: Box<[FrameSlot]>,
    progress: Notify,
    /// Details of refused records; made with the first one, because most sessions never have any. Boxed, because
    /// its padding against false sharing would be most of a window.
    rejections: OnceLock<Box<ArrayQueue<Rejection>>>,
}

impl Window {
    /// A window of `frames` frames, at least one, and the session's cursor into it.
    pub fn open(frames: u16) -> WindowCursor {
        let slots = (0..frames.max(1)).map(|_| FrameSlot::default()).collect();
        let window = Arc::new(Self {
            slots,
            progress: Notify::new(),
            rejections: OnceLock::new(),
        });
        WindowCursor {
            window,
            first: 0,
            next: 0,
        }
    }

    fn slot(&self, frame: u64) -> &FrameSlot {
        &self.slots[(frame % self.slots.len() as u64) as usize]
    }

    fn close_one(&self, frame: u64) {
        // AcqRel: the session that sees 0 sees every count that was added before it.
        if self.slot(frame).open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.progress.notify_one();
        }
    }

    fn add(&self, frame: u64, outcome: Outcome) {
        let slot = self.slot(frame);
        let counts = [
            (&slot.accepted, outcome.accepted),
            (&slot.duplicate, outcome.duplicate),
            (&slot.stale, outcome.stale),
            (&slot.rejected, outcome.rejected),
        ];
        for (counter, count) in counts {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Notes a refused record for the next ack. Details beyond what one ack carries are left out;
    /// the count of rejected records is exact all the same.
    pub fn note_rejection(&self, rejection: Rejection) {
        let queue = self
            .rejections
            .get_or_init(|| Box::new(ArrayQueue::new(REJECTIONS_PER_ACK_MAX)));
        let _ = queue.push(rejection);
    }
}

/// The claim of one part on the frame it came from.
#[derive(Debug)]
pub struct Receipt {
    window: Arc<Window>,
    frame: u64,
}

impl Receipt {
    /// The part is durable: its outcome counts.
    pub fn complete(self, outcome: Outcome, durable_at: Stamp) {
        self.window.add(self.frame, outcome);
        self.window
            .slot(self.frame)
            .durable_at
            .fetch_max(durable_at.0, Ordering::Relaxed);
        self.window.close_one(self.frame);
    }

    /// Notes a record that the shard refused.
    pub fn note_rejection(&self, rejection: Rejection) {
        self.window.note_rejection(rejection);
    }
}

/// A frame that has become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableFrame {
    /// How its records fared.
    pub outcome: Outcome,
    /// When its last part became durable; zero for a frame that had no part.
    pub durable_at: Stamp,
}

/// The session's own end of its window.
#[derive(Debug)]
pub struct WindowCursor {
    window: Arc<Window>,
    /// The oldest frame that is not acknowledged.
    first: u64,
    /// The next frame to open.
    next: u64,
}

impl WindowCursor {
    /// Whether another frame may be opened.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.window.slots.len()
    }

    /// Frames opened and not collected.
    pub fn in_flight(&self) -> usize {
        (self.next - self.first) as usize
    }

    /// Opens the next frame. Call only while [`WindowCursor::has_room`].
    pub fn open_frame(&mut self) {
        assert!(
            self.has_room(),
            "a session opened more frames than its window has"
        );
        let slot = self.window.slot(self.next);
        for counter in [&slot.accepted, &slot.duplicate, &slot.stale, &slot.rejected] {
            counter.store(0, Ordering::Relaxed);
        }
        slot.durable_at.store(0, Ordering::Relaxed);
        // Release: a part that is completed elsewhere is completed after these zeros.
        slot.open.store(1, Ordering::Release);
        self.next += 1;
    }

    /// A claim on the frame opened last, for one part.
    pub fn receipt(&self) -> Receipt {
        let frame = self.next - 1;
        // Relaxed: the part reaches its shard through a channel, which orders this before it.
        self.window.slot(frame).open.fetch_add(1, Ordering::Relaxed);
        Receipt {
            window: Arc::clone(&self.window),
            frame,
        }
    }

    /// Counts a record that the session itself refused.
    pub fn reject(&self, rejection: Rejection) {
        let outcome = Outcome {
            rejected: 1,
            ..Outcome::default()
        };
        self.window.add(self.next - 1, outcome);
        self.window.note_rejection(rejection);
    }

    /// The frame opened last has no more parts.
    pub fn close_frame(&self) {
        self.window.close_one(self.next - 1);
    }

    /// Takes the oldest frame if it is durable.
    pub fn collect(&mut self) -> Option<DurableFrame> {
        if self.first == self.next {
            return None;
        }
        let slot = self.window.slot(self.first);
        if slot.open.load(Ordering::Acquire) != 0 {
            return None;
        }
        self.first += 1;
        Some(DurableFrame {
            outcome: Outcome {
                accepted: slot.accepted.load(Ordering::Relaxed),
                duplicate: slot.duplicate.load(Ordering::Relaxed),
                stale: slot.stale.load(Ordering::Relaxed),
                rejected: slot.rejected.load(Ordering::Relaxed),
            },
            durable_at: Stamp(slot.durable_at.load(Ordering::Relaxed)),
        })
    }

    /// Takes the next detail of a refused record.
    pub fn take_rejection(&self) -> Option<Rejection> {
        self.window.rejections.get()?.pop()
    }

    /// Waits until some frame may have become durable. One waiter only, the session.
    pub async fn progress(&self) {
        self.window.progress.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use muster_wire::{DeviceId, RejectReason};

    use super::*;

    fn accepted(count: u32) -> Outcome {
        Outcome {
            accepted: count,
            ..Outcome::default()
        }
    }

    #[test]
    fn frames_are_collected_in_order_once_every_part_is_durable() {
        let mut cursor = Window::open(2);
        cursor.open_frame();
        let (one, two) = (cursor.receipt(), cursor.receipt());
        cursor.close_frame();
        cursor.open_frame();
        let three = cursor.receipt();
        cursor.close_frame();
        assert!(!cursor.has_room());
        three.complete(accepted(3), Stamp(9));
        one.complete(accepted(1), Stamp(5));
        assert_eq!(
            cursor.collect(),
            None,
            "the first frame still has an open part"
        );
        two.complete(accepted(2), Stamp(4));
        let frame = |count, at| DurableFrame {
            outcome: accepted(count),
            durable_at: Stamp(at),
        };
        assert_eq!(cursor.collect(), Some(frame(3, 5)));
        assert_eq!(cursor.collect(), Some(frame(3, 9)));
        assert_eq!(cursor.collect(), None);
        assert!(cursor.has_room());
    }

    #[test]
    fn a_slot_starts_from_zero_when_it_is_used_again() {
        let mut cursor = Window::open(1);
        for count in 1..4 {
            cursor.open_frame();
            let receipt = cursor.receipt();
            cursor.close_frame();
            receipt.complete(accepted(count), Stamp(u64::from(count)));
            assert_eq!(cursor.collect().unwrap().outcome, accepted(count));
        }
    }

    #[test]
    fn a_frame_without_parts_is_durable_as_it_is() {
        let mut cursor = Window::open(1);
        cursor.open_frame();
        assert_eq!(cursor.collect(), None, "still being cut");
        let rejection = Rejection::new(DeviceId::ZERO, 1, RejectReason::SeqZero);
        cursor.reject(rejection);
        cursor.close_frame();
        assert_eq!(cursor.collect().unwrap().outcome.rejected, 1);
        assert_eq!(cursor.take_rejection(), Some(rejection));
        assert_eq!(cursor.take_rejection(), None);
    }

    #[test]
    fn rejection_details_are_bounded_and_counts_exact() {
        let mut cursor = Window::open(1);
        cursor.open_frame();
        let total = REJECTIONS_PER_ACK_MAX as u32 + 10;
        for seq in 0..u64::from(total) {
            cursor.reject(Rejection::new(DeviceId::ZERO, seq, RejectReason::SeqZero));
        }
        cursor.close_frame();
        assert_eq!(cursor.collect().unwrap().outcome.rejected, total);
        let details = std::iter::from_fn(|| cursor.take_rejection()).count();
        assert_eq!(details, REJECTIONS_PER_ACK_MAX);
    }
}
