//! The measured phase of one connection: makes frames, sends each when it is due, notes when its ack came.
//!
//! One task. Bounds: one frame in the making, and the client's window of due times. On the hot path: the clock is
//! read a few times a frame, never for a check-in.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use muster_client::{Client, ClientError, Progress};
use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use tokio::time::{Instant, sleep_until};

use super::{Live, connected::Connected, pace::Pace};
use muster_testkit::{clock, fleet::Part};

use crate::{
    latency_lanes::LatencyLanes,
    lateness::{LateFrames, Lateness},
};

/// A frame that is about to be sent.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    due: Instant,
    made: Instant,
    check_ins: u64,
    /// Whether every device of the connection had checked in before it was made.
    is_of_known_fleet: bool,
}

impl Frame {
    /// When it could leave at the earliest: it was due, and made.
    fn ready(&self) -> Instant {
        self.due.max(self.made)
    }

    /// Waits until it is due. Cancel safe.
    async fn until_due(&self) {
        // A timer for a time that has passed still waits for the end of its millisecond, and every frame of a closed
        // loop is due when it is made: for those not even the clock is read.
        if self.made < self.due && Instant::now() < self.due {
            sleep_until(self.due).await;
        }
    }
}

/// A frame that was handed over.
#[derive(Debug)]
struct InFlight {
    due: Instant,
    check_ins: u64,
    is_of_known_fleet: bool,
    /// How late it left for reasons of the generator.
    own_delay: Duration,
}

/// When a connection sends.
#[derive(Debug)]
pub(super) struct Times {
    /// When the phase begins.
    pub(super) start: Instant,
    /// When it ends, if it does by itself.
    pub(super) end: Option<Instant>,
    /// When its frames are due, unless that is up to its devices or to the server.
    pub(super) pace: Option<Pace>,
}

/// What one connection did.
#[derive(Debug)]
pub(super) struct Sent {
    /// What the schedule had due by the end; without a schedule what was sent.
    pub(super) offered: u64,
    /// What was due by the end and not made.
    pub(super) held_back: u64,
    /// Check-ins handed to the connection.
    pub(super) sent: u64,
    /// Check-ins acknowledged.
    pub(super) acked: u64,
    /// When the last of them was, or the start.
    pub(super) last_ack: Instant,
    /// Frames that left late.
    pub(super) late: LateFrames,
    /// How long a frame was ready and the server had no room for it.
    pub(super) waiting: Duration,
}

/// The measured phase of one connection.
#[derive(Debug)]
pub(super) struct Sender {
    frame: usize,
    times: Times,
    /// When everything was due that has no time of its own.
    due_since: Option<Instant>,
    live: Arc<Live>,
    lanes: Arc<LatencyLanes>,
    number: usize,
    /// Frames that the client keeps at most, and one on the way to it.
    room: usize,
    window: u16,
    in_flight: VecDeque<InFlight>,
    /// Since when there is no room.
    full_since: Option<Instant>,
    /// Whether the server has asked for a pause, or was gone, since the last frame left.
    is_held: bool,
    /// How long the next frame had to wait for the server so far.
    pressure: Duration,
    last: Progress,
    last_due: Option<Instant>,
    lateness: Lateness,
    sent: Sent,
}

impl Sender {
    /// For this connection with its number, by which latencies are kept.
    pub(super) fn new(
        connected: &Connected,
        times: Times,
        window: u16,
        (number, lanes): (usize, &Arc<LatencyLanes>),
        live: &Arc<Live>,
    ) -> Self {
        let last_ack = times.start;
        let mut sender = Self {
            frame: connected.frame,
            times,
            due_since: None,
            live: Arc::clone(live),
            lanes: Arc::clone(lanes),
            number,
            room: 0,
            window,
            in_flight: VecDeque::new(),
            full_since: None,
            is_held: false,
            pressure: Duration::ZERO,
            last: Progress::default(),
            last_due: None,
            lateness: Lateness::default(),
            sent: Sent {
                offered: 0,
                held_back: 0,
                sent: 0,
                acked: 0,
                last_ack,
                late: LateFrames::default(),
                waiting: Duration::ZERO,
            },
        };
        sender.sent.offered = sender.due(&connected.part).unwrap_or(0);
        sender
    }

    /// Says that everything was due at this time.
    pub(super) const fn due_since(&mut self, at: Instant) {
        self.due_since = Some(at);
    }

    /// Check-ins that are due from here on, of those that remain; none without a schedule.
    fn due(&self, part: &Part) -> Option<u64> {
        let remaining = part.remaining();
        if part.has_calendar() {
            return Some(remaining);
        }
        let pace = self.times.pace.as_ref()?;
        Some(match self.times.end {
            Some(end) => remaining.min(pace.frames_before(end).saturating_mul(self.frame as u64)),
            None => remaining,
        })
    }

    /// Sends until there is nothing more to send or the end has come, and waits for all acks.
    pub(super) async fn run(mut self, connected: &mut Connected) -> Result<Sent, ClientError> {
        let Connected { client, part, .. } = connected;
        let client = client.as_ref().ok_or(ClientError::Stopped)?;
        let mut watch = client.watch();
        self.last = watch.progress();
        let limit = self.window.min(self.last.window_frames.max(1));
        self.room = usize::from(limit) + 1;
        let mut next = self.make(part);
        while next.is_some() || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                progress = watch.changed() => match progress {
                    Some(progress) => self.heard(&progress, next.as_ref()),
                    // The client has ended; its own call says why.
                    None => return Err(client.flush().await.err().unwrap_or(ClientError::Stopped)),
                },
                result = send(client, next.as_ref()), if next.is_some() => {
                    result?;
                    if let Some(frame) = next.take() {
                        self.handed_over(&frame);
                    }
                    next = self.make(part);
                }
            }
        }
        match self.due(part) {
            Some(held_back) => self.sent.held_back = held_back,
            None => self.sent.offered = self.sent.sent,
        }
        Ok(self.sent)
    }

    /// The next frame, unless nothing remains or the end comes before it. What is made counts as sent
    /// for the prediction, so it must be.
    fn make(&mut self, part: &mut Part) -> Option<Frame> {
        let now = Instant::now();
        if let Some(end) = self.times.end {
            let is_late = now >= end;
            if is_late
                || self
                    .times
                    .pace
                    .as_ref()
                    .is_some_and(|pace| pace.next() >= end)
            {
                return None;
            }
        }
        let limit = part.remaining().min(self.frame as u64) as usize;
        // Before it is made: a frame with the last first check-in still brings the server a device that it does not know.
        let is_of_known_fleet = part.is_known();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + limit * CHECK_IN_BYTES);
        let (check_ins, at) = part.make_due_frame(&mut bytes, self.frame, clock::millis());
        let due = match (&mut self.times.pace, at) {
            (Some(pace), _) => pace.take(),
            (None, Some(at)) => self.times.start + at,
            (None, None) => self.due_since.unwrap_or(now),
        };
        (check_ins > 0).then(|| Frame {
            bytes: bytes.into(),
            due,
            made: now,
            check_ins: check_ins as u64,
            is_of_known_fleet,
        })
    }

    /// Takes note of a frame that left.
    fn handed_over(&mut self, frame: &Frame) {
        let now = Instant::now();
        if self.is_held {
            self.pressure = now.saturating_duration_since(frame.ready());
        } else if let Some(since) = self.full_since {
            self.pressure += now.saturating_duration_since(since.max(frame.ready()));
        }
        self.is_held = false;
        let delay = now.saturating_duration_since(frame.due);
        let pressure = std::mem::take(&mut self.pressure).min(delay);
        self.sent.waiting += pressure;
        let last_due = self.last_due.replace(frame.due).unwrap_or(frame.due);
        let gap = frame.due.saturating_duration_since(last_due);
        let start = self.lateness.left(delay, gap, pressure);
        self.sent.late.count(start.late);
        self.live.add_sent(frame.check_ins, start.late);
        self.sent.sent += frame.check_ins;
        self.in_flight.push_back(InFlight {
            due: frame.due,
            check_ins: frame.check_ins,
            is_of_known_fleet: frame.is_of_known_fleet,
            own_delay: start.own,
        });
        self.full_since = (self.in_flight.len() >= self.room).then_some(now);
    }

    /// Takes note of what the client says, while this frame waits to leave.
    fn heard(&mut self, progress: &Progress, next: Option<&Frame>) {
        let busy = progress.busy - self.last.busy;
        let reconnects = progress.connections - self.last.connections;
        if busy > 0 || reconnects > 0 || !progress.is_connected {
            self.is_held = true;
            self.live.add_trouble(busy, reconnects);
        }
        let frames = progress.frames_acked - self.last.frames_acked;
        self.last = *progress;
        if frames > 0 {
            self.acknowledged(frames, next);
        }
    }

    fn acknowledged(&mut self, frames: u64, next: Option<&Frame>) {
        let now = Instant::now();
        self.sent.last_ack = now;
        let mut lane = self.lanes.lane(self.number);
        let mut acked = 0;
        for _ in 0..frames {
            let Some(frame) = self.in_flight.pop_front() else {
                break;
            };
            let latency = now.saturating_duration_since(frame.due);
            lane.record(latency, frame.is_of_known_fleet);
            lane.start_delay.record(frame.own_delay);
            acked += frame.check_ins;
        }
        drop(lane);
        self.sent.acked += acked;
        self.live.add_acked(acked);
        // From here on the next frame waits for nobody but us.
        if self.in_flight.len() < self.room
            && let (Some(since), Some(next)) = (self.full_since.take(), next)
        {
            self.pressure += now.saturating_duration_since(since.max(next.ready()));
        }
    }
}

/// Sends a frame when it is due. Cancel safe.
async fn send(client: &Client, frame: Option<&Frame>) -> Result<(), ClientError> {
    let Some(frame) = frame else { return Ok(()) };
    frame.until_due().await;
    client.send_frame(frame.bytes.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_due_when_it_is_made_waits_for_no_timer() {
        let made = Instant::now();
        let frame = |due| Frame {
            bytes: Bytes::new(),
            due,
            made,
            check_ins: 1,
            is_of_known_fleet: true,
        };
        let late = frame(made - Duration::from_millis(5));
        // Without a clock that wakes tasks, a timer would be a panic.
        let without_timers = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        without_timers.block_on(frame(made).until_due());
        without_timers.block_on(late.until_due());
        assert_eq!(late.ready(), made);
        let early = frame(made + Duration::from_hours(1));
        let with_timers = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let has_left = with_timers.block_on(async {
            tokio::select! {
                biased;
                () = early.until_due() => true,
                () = std::future::ready(()) => false,
            }
        });
        assert!(!has_left);
    }
}
