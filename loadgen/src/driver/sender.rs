//! The measured phase of one connection: makes frames, sends each when it is due, and records when it is acknowledged.
//!
//! One task. Bounds: one frame being made, and the due times of the frames in the client's window. On the hot path: the
//! clock is read a few times per frame, never per check-in.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use muster_client::{Client, ClientError, Progress};
use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use tokio::time::{Instant, sleep_until};

use super::{LiveCounters, fleet_connection::FleetConnection, pacer::Pacer};
use muster_testkit::{clock, fleet::FleetPart};

use crate::{
    lateness::{DelayAttribution, LateFrames},
    striped_histograms::StripedHistograms,
};

/// A frame that is not sent yet.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    due: Instant,
    made: Instant,
    check_ins: u64,
    /// Whether every device of the connection had checked in before this frame was made.
    is_of_known_fleet: bool,
}

impl Frame {
    /// The earliest time at which it can be sent: when it is due and made.
    fn ready(&self) -> Instant {
        self.due.max(self.made)
    }

    /// Waits until the frame is due. Cancel safe.
    async fn wait_until_due(&self) {
        // A timer that has already expired still waits for the next millisecond tick. In a closed loop every frame is
        // due when it is made, so even reading the clock is avoided.
        if self.made < self.due && Instant::now() < self.due {
            sleep_until(self.due).await;
        }
    }
}

/// A frame that was sent and is not acknowledged yet.
#[derive(Debug)]
struct InFlight {
    due: Instant,
    check_ins: u64,
    is_of_known_fleet: bool,
    /// The part of the frame's delay that the generator caused.
    generator_delay: Duration,
}

/// When a connection sends.
#[derive(Debug)]
pub(super) struct SendTimes {
    /// When the phase starts.
    pub(super) start: Instant,
    /// When the phase ends, if the end is fixed.
    pub(super) end: Option<Instant>,
    /// When frames are due. `None` with a schedule of the devices, and in a closed loop.
    pub(super) pacer: Option<Pacer>,
}

/// The results of one connection.
#[derive(Debug)]
pub(super) struct SendResult {
    /// Check-ins that were due by the end. In a closed loop, the check-ins that were sent.
    pub(super) offered: u64,
    /// Check-ins that were due by the end but not made.
    pub(super) held_back: u64,
    /// Check-ins submitted to the client.
    pub(super) sent: u64,
    /// Acknowledged check-ins.
    pub(super) acked: u64,
    /// The time of the last ack, or the start of the phase.
    pub(super) last_ack: Instant,
    /// Frames that were sent late.
    pub(super) late: LateFrames,
    /// The total time for which a frame was ready but the server did not allow it to be sent.
    pub(super) waiting: Duration,
}

/// The measured phase of one connection.
#[derive(Debug)]
pub(super) struct Sender {
    frame: usize,
    times: SendTimes,
    /// The due time of all frames in a reconnect storm.
    due_since: Option<Instant>,
    live: Arc<LiveCounters>,
    histograms: Arc<StripedHistograms>,
    number: usize,
    /// The maximum number of frames in flight: those in the window, and one that the client holds.
    in_flight_max: usize,
    window: u16,
    in_flight: VecDeque<InFlight>,
    /// Since when the maximum number of frames is in flight.
    full_since: Option<Instant>,
    /// Whether the server has sent a busy frame or was disconnected since the last frame was sent.
    is_paused: bool,
    /// How long the next frame has been delayed by the server so far.
    backpressure: Duration,
    last: Progress,
    last_due: Option<Instant>,
    attribution: DelayAttribution,
    result: SendResult,
}

impl Sender {
    /// A sender for this connection. `number` selects the histograms for its latencies.
    pub(super) fn new(
        connection: &FleetConnection,
        times: SendTimes,
        window: u16,
        (number, histograms): (usize, &Arc<StripedHistograms>),
        live: &Arc<LiveCounters>,
    ) -> Self {
        let last_ack = times.start;
        let mut sender = Self {
            frame: connection.frame,
            times,
            due_since: None,
            live: Arc::clone(live),
            histograms: Arc::clone(histograms),
            number,
            in_flight_max: 0,
            window,
            in_flight: VecDeque::new(),
            full_since: None,
            is_paused: false,
            backpressure: Duration::ZERO,
            last: Progress::default(),
            last_due: None,
            attribution: DelayAttribution::default(),
            result: SendResult {
                offered: 0,
                held_back: 0,
                sent: 0,
                acked: 0,
                last_ack,
                late: LateFrames::default(),
                waiting: Duration::ZERO,
            },
        };
        sender.result.offered = sender.due_check_ins(&connection.part).unwrap_or(0);
        sender
    }

    /// Sets the due time of all frames.
    pub(super) const fn due_since(&mut self, at: Instant) {
        self.due_since = Some(at);
    }

    /// The number of remaining check-ins that are due by the end; `None` in a closed loop.
    fn due_check_ins(&self, part: &FleetPart) -> Option<u64> {
        let remaining = part.remaining();
        if part.has_schedule() {
            return Some(remaining);
        }
        let pacer = self.times.pacer.as_ref()?;
        Some(match self.times.end {
            Some(end) => remaining.min(pacer.frames_before(end).saturating_mul(self.frame as u64)),
            None => remaining,
        })
    }

    /// Sends until no check-ins remain or the phase ends, and waits for all acks.
    pub(super) async fn run(
        mut self,
        connection: &mut FleetConnection,
    ) -> Result<SendResult, ClientError> {
        let FleetConnection { client, part, .. } = connection;
        let client = client.as_ref().ok_or(ClientError::Stopped)?;
        let mut watch = client.watch();
        self.last = watch.progress();
        let limit = self.window.min(self.last.window_frames.max(1));
        self.in_flight_max = usize::from(limit) + 1;
        let mut next = self.make_frame(part);
        while next.is_some() || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                progress = watch.changed() => match progress {
                    Some(progress) => self.on_progress(&progress, next.as_ref()),
                    // The client has stopped. A call on it returns the reason.
                    None => return Err(client.flush().await.err().unwrap_or(ClientError::Stopped)),
                },
                result = send(client, next.as_ref()), if next.is_some() => {
                    result?;
                    if let Some(frame) = next.take() {
                        self.on_sent(&frame);
                    }
                    next = self.make_frame(part);
                }
            }
        }
        match self.due_check_ins(part) {
            Some(held_back) => self.result.held_back = held_back,
            None => self.result.offered = self.result.sent,
        }
        Ok(self.result)
    }

    /// Makes the next frame, unless no check-ins remain or the phase ends first. The expected counts include a frame
    /// once it is made, so it must be sent.
    fn make_frame(&mut self, part: &mut FleetPart) -> Option<Frame> {
        let now = Instant::now();
        if let Some(end) = self.times.end {
            let is_late = now >= end;
            if is_late
                || self
                    .times
                    .pacer
                    .as_ref()
                    .is_some_and(|pacer| pacer.next() >= end)
            {
                return None;
            }
        }
        let limit = part.remaining().min(self.frame as u64) as usize;
        // Read before the frame is made: the frame with the last first check-in still contains an unknown device.
        let is_of_known_fleet = part.is_known();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + limit * CHECK_IN_BYTES);
        let (check_ins, at) = part.make_due_frame(&mut bytes, self.frame, clock::millis());
        let due = match (&mut self.times.pacer, at) {
            (Some(pacer), _) => pacer.advance(),
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

    /// Records that a frame was sent.
    fn on_sent(&mut self, frame: &Frame) {
        let now = Instant::now();
        if self.is_paused {
            self.backpressure = now.saturating_duration_since(frame.ready());
        } else if let Some(since) = self.full_since {
            self.backpressure += now.saturating_duration_since(since.max(frame.ready()));
        }
        self.is_paused = false;
        let delay = now.saturating_duration_since(frame.due);
        let backpressure = std::mem::take(&mut self.backpressure).min(delay);
        self.result.waiting += backpressure;
        let last_due = self.last_due.replace(frame.due).unwrap_or(frame.due);
        let gap = frame.due.saturating_duration_since(last_due);
        let attributed = self.attribution.attribute(delay, gap, backpressure);
        self.result.late.count(attributed.late);
        self.live.add_sent(frame.check_ins, attributed.late);
        self.result.sent += frame.check_ins;
        self.in_flight.push_back(InFlight {
            due: frame.due,
            check_ins: frame.check_ins,
            is_of_known_fleet: frame.is_of_known_fleet,
            generator_delay: attributed.generator,
        });
        self.full_since = (self.in_flight.len() >= self.in_flight_max).then_some(now);
    }

    /// Handles a progress update of the client while `next` waits to be sent.
    fn on_progress(&mut self, progress: &Progress, next: Option<&Frame>) {
        let busy = progress.busy - self.last.busy;
        let reconnects = progress.connections - self.last.connections;
        if busy > 0 || reconnects > 0 || !progress.is_connected {
            self.is_paused = true;
            self.live.add_interruptions(busy, reconnects);
        }
        let frames = progress.frames_acked - self.last.frames_acked;
        self.last = *progress;
        if frames > 0 {
            self.on_acked(frames, next);
        }
    }

    fn on_acked(&mut self, frames: u64, next: Option<&Frame>) {
        let now = Instant::now();
        self.result.last_ack = now;
        let mut histograms = self.histograms.of_connection(self.number);
        let mut acked = 0;
        for _ in 0..frames {
            let Some(frame) = self.in_flight.pop_front() else {
                break;
            };
            let latency = now.saturating_duration_since(frame.due);
            histograms.record(latency, frame.is_of_known_fleet);
            histograms.generator_delay.record(frame.generator_delay);
            acked += frame.check_ins;
        }
        drop(histograms);
        self.result.acked += acked;
        self.live.add_acked(acked);
        // The server no longer delays the next frame.
        if self.in_flight.len() < self.in_flight_max
            && let (Some(since), Some(next)) = (self.full_since.take(), next)
        {
            self.backpressure += now.saturating_duration_since(since.max(next.ready()));
        }
    }
}

/// Sends a frame once it is due. Cancel safe.
async fn send(client: &Client, frame: Option<&Frame>) -> Result<(), ClientError> {
    let Some(frame) = frame else { return Ok(()) };
    frame.wait_until_due().await;
    client.send_frame(frame.bytes.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_already_due_does_not_wait_for_a_timer() {
        let made = Instant::now();
        let frame = |due| Frame {
            bytes: Bytes::new(),
            due,
            made,
            check_ins: 1,
            is_of_known_fleet: true,
        };
        let late = frame(made - Duration::from_millis(5));
        // Creating a timer panics on a runtime without a time driver.
        let without_timers = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        without_timers.block_on(frame(made).wait_until_due());
        without_timers.block_on(late.wait_until_due());
        assert_eq!(late.ready(), made);
        let early = frame(made + Duration::from_hours(1));
        let with_timers = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let is_due = with_timers.block_on(async {
            tokio::select! {
                biased;
                () = early.wait_until_due() => true,
                () = std::future::ready(()) => false,
            }
        });
        assert!(!is_due);
    }
}
