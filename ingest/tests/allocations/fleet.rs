//! The check-ins of a fleet as a stream of frames, which each round overwrites in place, without allocating.
//!
//! Every device checks in once per round with another risk than in the previous round, so every check-in moves its
//! device to another cell. There are four risks, so after four rounds no cell is new.

use muster_wire::limits::{CHECK_IN_BYTES, HEADER_BYTES};
use muster_wire::{
    CheckIn, DeviceId, Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk,
    encode_check_ins,
};

const RISKS: [Risk; 4] = [Risk::None, Risk::Low, Risk::Medium, Risk::High];

/// Rounds after which every device has been in all its cells.
pub(crate) const ROUNDS_OF_CELLS: u64 = RISKS.len() as u64;

/// Offsets of the fields that change from round to round.
const SEQ_AT: usize = 16;
const RISK_AT: usize = 42;

/// The frames of one round, and the position in them.
pub(crate) struct Fleet {
    bytes: Vec<u8>,
    frame_len: usize,
    frames: usize,
    next: usize,
    /// Number of the round, from 1; also the seq of its check-ins.
    round: u64,
}

impl Fleet {
    /// A fleet that sends `frames` frames of `frame_len` check-ins per round, each of another device.
    pub(crate) fn new(frame_len: usize, frames: usize) -> Self {
        let mut bytes = Vec::with_capacity(frames * (HEADER_BYTES + frame_len * CHECK_IN_BYTES));
        let records: Vec<_> = (0..frames * frame_len)
            .map(|number| check_in(number as u64).to_record().unwrap())
            .collect();
        for frame in records.chunks(frame_len) {
            encode_check_ins(&mut bytes, frame).unwrap();
        }
        Self {
            bytes,
            frame_len,
            frames,
            next: 0,
            round: 1,
        }
    }

    /// Check-ins in a round.
    pub(crate) fn round_len(&self) -> u64 {
        (self.frames * self.frame_len) as u64
    }

    /// The next `frames` frames, or fewer at the end of a round. Allocates nothing.
    pub(crate) fn take(&mut self, frames: usize) -> &[u8] {
        let first = self.next;
        let end = (first + frames).min(self.frames);
        let frame_bytes = HEADER_BYTES + self.frame_len * CHECK_IN_BYTES;
        let burst = &mut self.bytes[first * frame_bytes..end * frame_bytes];
        let mut number = first * self.frame_len;
        for frame in burst.chunks_mut(frame_bytes) {
            for record in frame[HEADER_BYTES..].as_chunks_mut::<CHECK_IN_BYTES>().0 {
                let risk = RISKS[(number + self.round as usize) % RISKS.len()];
                record[SEQ_AT..SEQ_AT + 8].copy_from_slice(&self.round.to_le_bytes());
                record[RISK_AT] = risk.code();
                number += 1;
            }
        }
        self.next = end;
        if end == self.frames {
            (self.next, self.round) = (0, self.round + 1);
        }
        burst
    }
}

/// The first check-in of a device.
pub(crate) fn check_in(number: u64) -> CheckIn {
    let low = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = u128::from(low) << 64 | u128::from(low.rotate_left(32) ^ number);
    CheckIn {
        device_id: DeviceId::from_bytes(id.to_le_bytes()),
        seq: 1,
        sent_at_ms: 1_700_000_000_000,
        boot_id: 1,
        payload: 1,
        flags: Flags::SENSOR_RUNNING
            | Flags::COMMAND_AND_CONTROL_OK
            | Flags::TELEMETRY_OK
            | Flags::REGISTERED,
        risk: Risk::None,
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: Onboarding::Onboarded,
        platform: Platform::ALL[number as usize % Platform::ALL.len()],
        management_agent: ManagementAgent::Mdm,
    }
}
