//! The measured phase of one connection: makes frames, sends each when it is due, notes when its ack came.
//!
//! One task. Bounds: one frame in the making, and the client's window of due times. On the hot path.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use muster_client::{Client, ClientError};
use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use tokio::time::{Instant, sleep_until};

use super::{Connected, Live, pace::Pace};
use crate::{clock, fleet::Part, latency::LatencyLanes};

/// A frame that is on its way or about to be.
#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    due: Instant,
    check_ins: u64,
}

/// The measured phase of one connection.
#[derive(Debug)]
pub(super) struct Sender {
    frame: usize,
    pace: Option<Pace>,
    end: Option<Instant>,
    /// What the schedule has due by the end; none without a schedule.
    pub(super) offered: Option<u64>,
    /// What was due by the end and not made.
    pub(super) held_back: u64,
    live: Arc<Live>,
    lanes: Arc<LatencyLanes>,
    number: usize,
    /// Due time and check-ins of the frames that are not acknowledged, oldest first.
    in_flight: VecDeque<(Instant, u64)>,
    frames_acked: u64,
    /// Check-ins handed to the connection.
    pub(super) sent: u64,
    /// Check-ins acknowledged.
    pub(super) acked: u64,
    /// When the last of them was, or the start.
    pub(super) last_ack: Instant,
}

impl Sender {
    /// For this connection, between these times, with its number, by which latencies are kept.
    pub(super) fn new(
        connected: &Connected,
        pace: Option<Pace>,
        (start, end): (Instant, Option<Instant>),
        (number, lanes): (usize, &Arc<LatencyLanes>),
        live: &Arc<Live>,
    ) -> Self {
        let mut sender = Self {
            frame: connected.frame,
            pace,
            end,
            offered: None,
            held_back: 0,
            live: Arc::clone(live),
            lanes: Arc::clone(lanes),
            number,
            in_flight: VecDeque::new(),
            frames_acked: 0,
            sent: 0,
            acked: 0,
            last_ack: start,
        };
        sender.offered = sender.due(connected.part.remaining());
        sender
    }

    /// Check-ins that are due from here on, of so many that remain; none without a schedule.
    fn due(&self, remaining: u64) -> Option<u64> {
        let pace = self.pace.as_ref()?;
        Some(match self.end {
            Some(end) => remaining.min(pace.frames_before(end).saturating_mul(self.frame as u64)),
            None => remaining,
        })
    }

    /// Sends until there is nothing more to send or the end has come, and waits for all acks.
    pub(super) async fn run(
        mut self,
        mut connected: Connected,
    ) -> Result<(Connected, Self), ClientError> {
        let Connected { client, part, .. } = &mut connected;
        let mut watch = client.watch();
        self.frames_acked = watch.progress().frames_acked;
        let mut next = self.make(part);
        while next.is_some() || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                progress = watch.changed() => match progress {
                    Some(progress) => self.acknowledged(progress.frames_acked),
                    // The client has ended; its own call says why.
                    None => return Err(client.flush().await.err().unwrap_or(ClientError::Stopped)),
                },
                result = send(client, next.as_ref()), if next.is_some() => {
                    result?;
                    if let Some(frame) = next.take() {
                        self.in_flight.push_back((frame.due, frame.check_ins));
                        self.sent += frame.check_ins;
                    }
                    next = self.make(part);
                }
            }
        }
        self.held_back = self.due(part.remaining()).unwrap_or(0);
        Ok((connected, self))
    }

    /// The next frame, unless nothing remains or the end comes before it. What is made counts as sent
    /// for the prediction, so it must be.
    fn make(&mut self, part: &mut Part) -> Option<Frame> {
        if let Some(end) = self.end {
            let is_late = Instant::now() >= end;
            if is_late || self.pace.as_ref().is_some_and(|pace| pace.next() >= end) {
                return None;
            }
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.frame * CHECK_IN_BYTES);
        let check_ins = part.make_frame(&mut bytes, self.frame, clock::millis()) as u64;
        let due = self.pace.as_mut().map_or_else(Instant::now, Pace::take);
        (check_ins > 0).then(|| Frame {
            bytes: bytes.into(),
            due,
            check_ins,
        })
    }

    fn acknowledged(&mut self, frames_acked: u64) {
        let frames = frames_acked - self.frames_acked;
        if frames == 0 {
            return;
        }
        self.frames_acked = frames_acked;
        let now = Instant::now();
        self.last_ack = now;
        let mut lane = self.lanes.lane(self.number);
        for _ in 0..frames {
            let Some((due, check_ins)) = self.in_flight.pop_front() else {
                break;
            };
            lane.record(now.saturating_duration_since(due));
            self.acked += check_ins;
            // A gauge for the progress bar; nothing is decided by it.
            self.live.acked.fetch_add(check_ins, Ordering::Relaxed);
        }
    }
}

/// Sends a frame when it is due. Cancel safe.
async fn send(client: &Client, frame: Option<&Frame>) -> Result<(), ClientError> {
    let Some(frame) = frame else { return Ok(()) };
    sleep_until(frame.due).await;
    client.send_frame(frame.bytes.clone()).await
}
