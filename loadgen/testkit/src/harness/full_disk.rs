//! Fills the disk of a server through a session, frame by frame, and records which frames were acknowledged before the
//! disk was full.

use muster_wire::CheckInRecord;

use super::fleet::{device, random_check_in};
use super::raw::{Reply, Session};
use crate::random::Random;

/// Records in a frame.
pub const FRAME_RECORDS: usize = 500;

/// Far more than fits on a small disk.
const FRAMES_MAX: u64 = 1_000;

/// What was sent, and how the server reacted.
#[derive(Debug)]
pub struct FilledDisk {
    /// The records by frame. Their seq is the number of the frame, from 1.
    pub sent: Vec<Vec<CheckInRecord>>,
    /// The number of acknowledged frames.
    pub acked: usize,
    /// The reply to the first frame that was not acknowledged.
    pub end: Reply,
}

impl FilledDisk {
    /// Sends until a frame is not acknowledged. A full disk delays frames, so the server may send busy frames.
    #[track_caller]
    pub fn fill(session: &mut Session) -> Self {
        let (mut random, mut sent, mut acked) = (Random::new(9, 0), Vec::new(), 0);
        for seq in 1..=FRAMES_MAX {
            let records: Vec<_> = (0..FRAME_RECORDS as u64)
                .map(|number| random_check_in(&mut random, device(number), seq))
                .collect();
            session.check_ins(&records);
            sent.push(records);
            let end = loop {
                match session.reply() {
                    Reply::Busy(_) => (),
                    reply => break reply,
                }
            };
            match end {
                Reply::Ack(ack) => acked = ack.totals.frames as usize,
                end => return Self { sent, acked, end },
            }
        }
        panic!("the disk never became full");
    }
}
