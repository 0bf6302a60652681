//! A session that fills the disk of its server, frame by frame, so that it is known what was acknowledged when
//! there was no room left.

use muster_wire::CheckInRecord;

use super::fleet::{device, random_check_in};
use super::raw::{Reply, Session};
use crate::random::Random;

/// Records of a frame.
pub const FRAME_RECORDS: usize = 500;

/// Far more than a small disk has room for.
const FRAMES_MAX: u64 = 1_000;

/// What was sent, and how that ended.
#[derive(Debug)]
pub struct Filled {
    /// Frame by frame; the seq of its records is the number of the frame, from 1.
    pub sent: Vec<Vec<CheckInRecord>>,
    /// Frames acknowledged.
    pub acked: usize,
    /// What the server said instead of an ack.
    pub end: Reply,
}

impl Filled {
    /// Sends until there is no ack. A full disk makes a frame wait, so the server may ask for patience.
    #[track_caller]
    pub fn by(session: &mut Session) -> Self {
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
        panic!("the disk never gets full");
    }
}
