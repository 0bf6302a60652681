//! The window of one session: its unacknowledged frames, which of them are durable, and the outcome of their records.
//!
//! The session opens a slot per frame, in order, and collects slots in the same order; shards and the writer only
//! access the slots of open frames. Lock-free; bounded by the window that the server granted in its Hello, so a session
//! never has more frames in flight than slots, each of at most [`FRAME_BYTES_MAX`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use muster_engine::Outcome;
use muster_wire::Rejection;
use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use tokio::sync::Notify;

use crate::clock::Stamp;

/// Maximum number of stale records of a frame that an ack can list.
const STALE_PER_FRAME_MAX: usize = 16;

/// Maximum memory of one frame in flight: its slot, as many rejections as one ack carries, and its stale records.
pub const FRAME_BYTES_MAX: usize = size_of::<FrameSlot>()
    + 2 * size_of::<ArrayQueue<Rejection>>()
    // An element of `ArrayQueue` is a sequence number and a value.
    + (REJECTIONS_PER_ACK_MAX + STALE_PER_FRAME_MAX) * (size_of::<usize>() + size_of::<Rejection>());

/// One frame in flight.
#[derive(Debug, Default)]
struct FrameSlot {
    /// Shard batches that are not durable yet, plus one while the session is still reading the frame.
    open: AtomicU32,
    accepted: AtomicU32,
    duplicate: AtomicU32,
    stale: AtomicU32,
    rejected: AtomicU32,
    /// When the last shard batch became durable, a [`Stamp`].
    durable_at: AtomicU64,
    /// Rejections; allocated with the first one, because most slots never have any. Boxed, because the queue's padding
    /// against false sharing would be most of a slot.
    rejections: OnceLock<Box<ArrayQueue<Rejection>>>,
    /// The same for stale records. A separate queue, because there may be many, and rejections come first.
    stale_records: OnceLock<Box<ArrayQueue<Rejection>>>,
}

/// The records that an ack can list.
#[derive(Debug, Default)]
pub struct Listed {
    /// Rejected ones, at most as many as one ack carries.
    pub rejections: Vec<Rejection>,
    /// Stale ones, at most as many as one ack carries.
    pub stale: Vec<Rejection>,
}

impl FrameSlot {
    /// Drops rejections beyond those that one ack carries, and stale records beyond their maximum; the counts stay
    /// exact.
    fn note_rejection(&self, rejection: Rejection) {
        let (queue, max) = if rejection.is_stale() {
            (&self.stale_records, STALE_PER_FRAME_MAX)
        } else {
            (&self.rejections, REJECTIONS_PER_ACK_MAX)
        };
        let queue = queue.get_or_init(|| Box::new(ArrayQueue::new(max)));
        let _ = queue.push(rejection);
    }
}

/// Moves a queue into an ack, up to its maximum. Drains the queue: what one ack omits must not appear in a later one.
fn take(queue: &OnceLock<Box<ArrayQueue<Rejection>>>, ack: &mut Vec<Rejection>) {
    let queue = queue.get();
    while let Some(rejection) = queue.and_then(|queue| queue.pop()) {
        if ack.len() < REJECTIONS_PER_ACK_MAX {
            ack.push(rejection);
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
    /// Creates a window of `frames` frames, at least one, and returns the session's cursor into it.
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
        // AcqRel: the session that reads 0 also sees all counts added before.
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

/// Completes one shard batch in its frame's slot.
#[derive(Debug)]
pub struct Completion {
    window: Arc<Window>,
    frame: u64,
}

impl Completion {
    /// Marks the shard batch as durable and adds its outcome to its frame's.
    pub fn complete(self, outcome: Outcome, durable_at: Stamp) {
        self.window.add(self.frame, outcome);
        self.window
            .slot(self.frame)
            .durable_at
            .fetch_max(durable_at.0, Ordering::Relaxed);
        self.window.close_one(self.frame);
    }

    /// Adds a record that the shard rejected or found stale, for the ack that covers the frame. Call before
    /// [`Completion::complete`].
    pub fn note_rejection(&self, rejection: Rejection) {
        self.window.slot(self.frame).note_rejection(rejection);
    }
}

/// A frame that has become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableFrame {
    /// The outcome of its records.
    pub outcome: Outcome,
    /// When its last shard batch became durable; zero for a frame without shard batches.
    pub durable_at: Stamp,
}

/// The session's side of its window.
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
        // Release: completions on other threads come after these stores of zero.
        slot.open.store(1, Ordering::Release);
        self.next += 1;
    }

    /// Creates the completion of one shard batch of the frame opened last.
    pub fn completion(&self) -> Completion {
        let frame = self.next - 1;
        // Relaxed: the shard batch reaches its shard through a channel, which orders this before it.
        self.window.slot(frame).open.fetch_add(1, Ordering::Relaxed);
        Completion {
            window: Arc::clone(&self.window),
            frame,
        }
    }

    /// Adds a record of the frame opened last that the session itself rejected.
    pub fn reject(&self, rejection: Rejection) {
        let slot = self.window.slot(self.next - 1);
        slot.rejected.fetch_add(1, Ordering::Relaxed);
        slot.note_rejection(rejection);
    }

    /// Marks the frame opened last as read: no more shard batches follow.
    pub fn close_frame(&self) {
        self.window.close_one(self.next - 1);
    }

    /// Takes the oldest frame if it is durable, and its rejected and stale records, up to the maximum of the ack that
    /// covers it.
    pub fn collect(&mut self, listed: &mut Listed) -> Option<DurableFrame> {
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
            take(&slot.rejections, &mut listed.rejections);
        }
        if outcome.stale > 0 {
            take(&slot.stale_records, &mut listed.stale);
        }
        Some(DurableFrame {
            outcome,
            durable_at: Stamp(slot.durable_at.load(Ordering::Relaxed)),
        })
    }

    /// Waits until a frame may have become durable. Supports one waiter, the session.
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

    /// Collects the oldest frame if it is durable, with the sequence numbers of its rejections.
    fn collect(cursor: &mut WindowCursor) -> Option<(DurableFrame, Vec<u64>)> {
        let mut listed = Listed::default();
        let frame = cursor.collect(&mut listed)?;
        let rejections = listed.rejections.iter();
        Some((frame, rejections.map(|one| one.seq).collect()))
    }

    #[test]
    fn frames_are_collected_in_order_once_every_shard_batch_is_durable() {
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
    fn a_frame_without_shard_batches_is_durable_at_once() {
        let mut cursor = Window::open(1);
        cursor.open_frame();
        assert_eq!(collect(&mut cursor), None, "still being read");
        cursor.reject(rejection(1));
        cursor.close_frame();
        let (frame, rejections) = collect(&mut cursor).unwrap();
        assert_eq!((frame.outcome.rejected, rejections), (1, vec![1]));
    }

    #[test]
    fn rejection_details_are_bounded_and_counts_exact() {
        let mut cursor = Window::open(1);
        let total = REJECTIONS_PER_ACK_MAX as u32 + 10;
        // A reused slot keeps nothing of its previous frame.
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
    fn rejections_of_session_and_shard_stay_with_their_frame_in_any_order_of_completion() {
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
        let rejected = |frame: u64| (2, vec![10 * frame, 10 * frame + 1]);
        assert_eq!(all, [(0, vec![]), rejected(1), rejected(2), rejected(3)]);
    }

    #[test]
    fn an_ack_of_several_frames_carries_their_first_rejections_up_to_its_maximum() {
        let mut cursor = Window::open(3);
        for frame in 0..3 {
            cursor.open_frame();
            for seq in 0..40 {
                cursor.reject(rejection(100 * frame + seq));
            }
            cursor.close_frame();
        }
        let mut ack = Listed::default();
        while cursor.collect(&mut ack).is_some() {}
        let expected: Vec<_> = (0..40).chain((100..140).take(24)).collect();
        let found: Vec<_> = ack.rejections.iter().map(|one| one.seq).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn stale_records_take_no_place_of_rejections_and_are_bounded_by_frame() {
        let mut cursor = Window::open(1);
        cursor.open_frame();
        let completion = cursor.completion();
        for seq in 1..=100 {
            let stale = Rejection::stale(DeviceId::ZERO, seq, muster_wire::Stored::Seq(200));
            completion.note_rejection(stale);
        }
        completion.note_rejection(rejection(1));
        cursor.close_frame();
        let outcome = Outcome {
            stale: 100,
            rejected: 1,
            ..Outcome::default()
        };
        completion.complete(outcome, Stamp(1));
        let mut listed = Listed::default();
        let frame = cursor.collect(&mut listed).unwrap();
        assert_eq!(frame.outcome, outcome);
        assert_eq!(listed.rejections, [rejection(1)]);
        let stale: Vec<_> = listed.stale.iter().map(|one| one.seq).collect();
        assert_eq!(stale, (1..=16).collect::<Vec<_>>());
    }
}
