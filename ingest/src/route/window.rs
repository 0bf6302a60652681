//! The unacknowledged frames of one session: which are durable, and how their records fared.
//!
//! The session opens a slot per frame, in order, and reads slots back in the same order; shards and
//! the writer only ever touch the slots of frames that are open. Lock-free; bounded by the window the
//! server granted in its Hello, so a session never has more frames in flight than slots, each of at most
//! [`FRAME_BYTES_MAX`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use muster_engine::Outcome;
use muster_wire::Rejection;
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use tokio::sync::Notify;

use crate::clock::Stamp;

/// The memory of one frame in flight, at most: its slot, and as many details as one ack carries.
pub const FRAME_BYTES_MAX: usize = size_of::<FrameSlot>()
    + size_of::<ArrayQueue<Rejection>>()
    // A place of the queue is a number and a value.
    + REJECTIONS_PER_ACK_MAX * (size_of::<usize>() + size_of::<Rejection>());

/// One frame in flight.
#[derive(Debug, Default)]
struct FrameSlot {
    /// Shard batches that are not durable yet, plus one while the session still cuts the frame.
    open: AtomicU32,
    accepted: AtomicU32,
    duplicate: AtomicU32,
    stale: AtomicU32,
    rejected: AtomicU32,
    /// When the last shard batch became durable, a [`Stamp`].
    durable_at: AtomicU64,
    /// Details of refused records; made with the first one, because most slots never have any. Boxed, because
    /// its padding against false sharing would be most of a slot.
    rejections: OnceLock<Box<ArrayQueue<Rejection>>>,
}

impl FrameSlot {
    /// Details beyond what one ack carries are left out; the count of rejected records is exact all the same.
    fn note_rejection(&self, rejection: Rejection) {
        let queue = self
            .rejections
            .get_or_init(|| Box::new(ArrayQueue::new(REJECTIONS_PER_ACK_MAX)));
        let _ = queue.push(rejection);
    }

    /// Moves the details into an ack, as far as that has room for them. The slot is empty afterwards: what an ack
    /// leaves out must not stand in a later one.
    fn take_rejections(&self, ack: &mut Vec<Rejection>) {
        let queue = self.rejections.get();
        while let Some(rejection) = queue.and_then(|queue| queue.pop()) {
            if ack.len() < REJECTIONS_PER_ACK_MAX {
                ack.push(rejection);
            }
        }
    }
}

/// Shared by a session, the shards and the writer.
#[derive(Debug)]
pub struct Window {
    slots: Box<[FrameSlot]>,
    progress: Notify,
}

impl Window {
    /// A window of `frames` frames, at least one, and the session's cursor into it.
    pub fn open(frames: u16) -> WindowCursor {
        let slots = (0..frames.max(1)).map(|_| FrameSlot::default()).collect();
        let window = Arc::new(Self {
            slots,
            progress: Notify::new(),
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
}

/// The claim of one shard batch on the frame it came from.
#[derive(Debug)]
pub struct Completion {
    window: Arc<Window>,
    frame: u64,
}

impl Completion {
    /// The shard batch is durable: its outcome counts.
    pub fn complete(self, outcome: Outcome, durable_at: Stamp) {
        self.window.add(self.frame, outcome);
        self.window
            .slot(self.frame)
            .durable_at
            .fetch_max(durable_at.0, Ordering::Relaxed);
        self.window.close_one(self.frame);
    }

    /// Notes a record of the frame that the shard refused, for the ack that covers it. Call before
    /// [`Completion::complete`].
    pub fn note_rejection(&self, rejection: Rejection) {
        self.window.slot(self.frame).note_rejection(rejection);
    }
}

/// A frame that has become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableFrame {
    /// How its records fared.
    pub outcome: Outcome,
    /// When its last shard batch became durable; zero for a frame that had no shard batch.
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
        // Release: a shard batch that is completed elsewhere is completed after these zeros.
        slot.open.store(1, Ordering::Release);
        self.next += 1;
    }

    /// A claim on the frame opened last, for one shard batch.
    pub fn completion(&self) -> Completion {
        let frame = self.next - 1;
        // Relaxed: the shard batch reaches its shard through a channel, which orders this before it.
        self.window.slot(frame).open.fetch_add(1, Ordering::Relaxed);
        Completion {
            window: Arc::clone(&self.window),
            frame,
        }
    }

    /// Counts a record of the frame opened last that the session itself refused.
    pub fn reject(&self, rejection: Rejection) {
        let slot = self.window.slot(self.next - 1);
        slot.rejected.fetch_add(1, Ordering::Relaxed);
        slot.note_rejection(rejection);
    }

    /// The frame opened last has no more shard batches.
    pub fn close_frame(&self) {
        self.window.close_one(self.next - 1);
    }

    /// Takes the oldest frame if it is durable, and the details of its refused records, as far as there is room for
    /// them in the ack that will cover it.
    pub fn collect(&mut self, rejections: &mut Vec<Rejection>) -> Option<DurableFrame> {
        if self.first == self.next {
            return None;
        }
        let slot = self.window.slot(self.first);
        if slot.open.load(Ordering::Acquire) != 0 {
            return None;
        }
        self.first += 1;
        let outcome = Outcome {
            accepted: slot.accepted.load(Ordering::Relaxed),
            duplicate: slot.duplicate.load(Ordering::Relaxed),
            stale: slot.stale.load(Ordering::Relaxed),
            rejected: slot.rejected.load(Ordering::Relaxed),
        };
        if outcome.rejected > 0 {
            slot.take_rejections(rejections);
        }
        Some(DurableFrame {
            outcome,
            durable_at: Stamp(slot.durable_at.load(Ordering::Relaxed)),
        })
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

    fn rejection(seq: u64) -> Rejection {
        Rejection::new(DeviceId::ZERO, seq, RejectReason::SeqZero)
    }

    /// The oldest frame if it is durable, and the numbers of the rejections that an ack for it alone has.
    fn collect(cursor: &mut WindowCursor) -> Option<(DurableFrame, Vec<u64>)> {
        let mut rejections = Vec::new();
        let frame = cursor.collect(&mut rejections)?;
        Some((frame, rejections.iter().map(|one| one.seq).collect()))
    }

    #[test]
    fn frames_are_collected_in_order_once_every_part_is_durable() {
        let mut cursor = Window::open(2);
        cursor.open_frame();
        let (one, two) = (cursor.completion(), cursor.completion());
        cursor.close_frame();
        cursor.open_frame();
        let three = cursor.completion();
        cursor.close_frame();
        assert!(!cursor.has_room());
        three.complete(accepted(3), Stamp(9));
        one.complete(accepted(1), Stamp(5));
        assert_eq!(
            collect(&mut cursor),
            None,
            "the first frame still has an open shard batch"
        );
        two.complete(accepted(2), Stamp(4));
        let frame = |count, at| DurableFrame {
            outcome: accepted(count),
            durable_at: Stamp(at),
        };
        assert_eq!(collect(&mut cursor), Some((frame(3, 5), Vec::new())));
        assert_eq!(collect(&mut cursor), Some((frame(3, 9), Vec::new())));
        assert_eq!(collect(&mut cursor), None);
        assert!(cursor.has_room());
    }

    #[test]
    fn a_slot_starts_from_zero_when_it_is_used_again() {
        let mut cursor = Window::open(1);
        for count in 1..4 {
            cursor.open_frame();
            let completion = cursor.completion();
            cursor.close_frame();
            completion.complete(accepted(count), Stamp(u64::from(count)));
            let (frame, _) = collect(&mut cursor).unwrap();
            assert_eq!(frame.outcome, accepted(count));
        }
    }

    #[test]
    fn a_frame_without_parts_is_durable_as_it_is() {
        let mut cursor = Window::open(1);
        cursor.open_frame();
        assert_eq!(collect(&mut cursor), None, "still being cut");
        cursor.reject(rejection(1));
        cursor.close_frame();
        let (frame, rejections) = collect(&mut cursor).unwrap();
        assert_eq!((frame.outcome.rejected, rejections), (1, vec![1]));
    }

    #[test]
    fn rejection_details_are_bounded_and_counts_exact() {
        let mut cursor = Window::open(1);
        let total = REJECTIONS_PER_ACK_MAX as u32 + 10;
        // In a slot that is used again nothing is left of the frame before.
        for first in [0, 1000] {
            cursor.open_frame();
            for seq in first..first + u64::from(total) {
                cursor.reject(rejection(seq));
            }
            cursor.close_frame();
            let (frame, rejections) = collect(&mut cursor).unwrap();
            assert_eq!(frame.outcome.rejected, total);
            let expected: Vec<_> = (first..).take(REJECTIONS_PER_ACK_MAX).collect();
            assert_eq!(rejections, expected);
        }
    }

    #[test]
    fn rejections_stay_with_their_frame_whoever_refused_and_whichever_is_durable_first() {
        let mut cursor = Window::open(4);
        let mut completions = Vec::new();
        for frame in 0..4 {
            cursor.open_frame();
            let completion = cursor.completion();
            if frame > 0 {
                cursor.reject(rejection(10 * frame));
                completion.note_rejection(rejection(10 * frame + 1));
            }
            cursor.close_frame();
            completions.push(completion);
        }
        let refused = Outcome {
            rejected: 1,
            ..Outcome::default()
        };
        for (completion, outcome) in completions
            .into_iter()
            .zip([accepted(1), refused, refused, refused])
            .rev()
        {
            completion.complete(outcome, Stamp(1));
        }
        let all: Vec<_> = std::iter::from_fn(|| collect(&mut cursor))
            .map(|(frame, rejections)| (frame.outcome.rejected, rejections))
            .collect();
        let of = |frame: u64| (2, vec![10 * frame, 10 * frame + 1]);
        assert_eq!(all, [(0, vec![]), of(1), of(2), of(3)]);
    }

    #[test]
    fn an_ack_of_several_frames_has_room_for_the_first_of_their_rejections() {
        let mut cursor = Window::open(3);
        for frame in 0..3 {
            cursor.open_frame();
            for seq in 0..40 {
                cursor.reject(rejection(100 * frame + seq));
            }
            cursor.close_frame();
        }
        let mut ack = Vec::new();
        while cursor.collect(&mut ack).is_some() {}
        let expected: Vec<_> = (0..40).chain((100..140).take(24)).collect();
        let found: Vec<_> = ack.iter().map(|one| one.seq).collect();
        assert_eq!(found, expected);
    }
}
