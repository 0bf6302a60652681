//! Encodes frames: one function per kind, each of which appends to the caller's buffer.
//!
//! Bounds: a frame within [`crate::limits`]. A frame that cannot be encoded leaves the buffer unchanged. What it does
//! not do: session rules; the caller decides which frame it may send.

use crate::{
    ack::{AckTotals, Busy, Goodbye},
    check_in::CheckInRecord,
    error::EncodeError,
    frame::FrameHeader,
    frame_kind::FrameKind,
    hello::{ClientHello, MAGIC, ServerHello},
    limits::{
        ACK_TOTALS_BYTES, BUSY_BYTES, CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, CLIENT_HELLO_BYTES,
        GOODBYE_BYTES, HEADER_BYTES, INVENTORY_BYTES_MAX, REJECTION_BYTES, REJECTIONS_PER_ACK_MAX,
        SERVER_HELLO_BYTES,
    },
    reject::{Rejection, Stored},
};

/// Appends a frame header. The limits keep count and length far below the maxima of `u16` and `u32`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "limits.rs asserts that the largest values fit"
)]
fn push_header(out: &mut Vec<u8>, kind: FrameKind, count: usize, length: usize) {
    out.reserve(HEADER_BYTES + length);
    let header = FrameHeader {
        kind,
        count: count as u16,
        length: length as u32,
    };
    out.extend_from_slice(&header.to_bytes());
}

/// Appends a client's Hello.
pub fn encode_client_hello(out: &mut Vec<u8>, hello: &ClientHello) {
    push_header(out, FrameKind::Hello, 0, CLIENT_HELLO_BYTES);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&hello.version_min.to_le_bytes());
    out.extend_from_slice(&hello.version_max.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
}

/// Appends a server's Hello.
pub fn encode_server_hello(out: &mut Vec<u8>, hello: &ServerHello) {
    push_header(out, FrameKind::Hello, 0, SERVER_HELLO_BYTES);
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&hello.version.to_le_bytes());
    out.extend_from_slice(&hello.window_frames.to_le_bytes());
    out.extend_from_slice(&hello.check_ins_per_frame_max.to_le_bytes());
    out.extend_from_slice(&hello.inventory_bytes_max.to_le_bytes());
    out.extend_from_slice(&hello.server_time_ms.to_le_bytes());
    out.extend_from_slice(&hello.next_check_in_seconds.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// The header of a CheckIns frame, for callers that append the `count` records themselves.
///
/// # Errors
/// If `count` is 0 or over [`CHECK_INS_PER_FRAME_MAX`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "limits.rs asserts that the largest values fit"
)]
pub const fn encode_check_ins_header(count: usize) -> Result<[u8; HEADER_BYTES], EncodeError> {
    if count == 0 {
        return Err(EncodeError::Empty);
    }
    if count > CHECK_INS_PER_FRAME_MAX {
        return Err(EncodeError::TooLarge {
            given: count,
            limit: CHECK_INS_PER_FRAME_MAX,
        });
    }
    let length = count * CHECK_IN_BYTES;
    let header = FrameHeader {
        kind: FrameKind::CheckIns,
        count: count as u16,
        length: length as u32,
    };
    Ok(header.to_bytes())
}

/// Appends a CheckIns frame.
///
/// # Errors
/// If there is no record or more than [`CHECK_INS_PER_FRAME_MAX`].
pub fn encode_check_ins(out: &mut Vec<u8>, records: &[CheckInRecord]) -> Result<(), EncodeError> {
    let header = encode_check_ins_header(records.len())?;
    out.reserve(HEADER_BYTES + records.len() * CHECK_IN_BYTES);
    out.extend_from_slice(&header);
    for record in records {
        out.extend_from_slice(record.as_bytes());
    }
    Ok(())
}

/// Appends an Inventory frame with an archive from [`crate::Inventory::to_bytes`].
///
/// # Errors
/// If the archive is empty or over [`INVENTORY_BYTES_MAX`].
pub fn encode_inventory(out: &mut Vec<u8>, archive: &[u8]) -> Result<(), EncodeError> {
    if archive.is_empty() {
        return Err(EncodeError::Empty);
    }
    if archive.len() > INVENTORY_BYTES_MAX {
        return Err(EncodeError::TooLarge {
            given: archive.len(),
            limit: INVENTORY_BYTES_MAX,
        });
    }
    push_header(out, FrameKind::Inventory, 1, archive.len());
    out.extend_from_slice(archive);
    Ok(())
}

/// Appends an Ack with the first [`REJECTIONS_PER_ACK_MAX`] rejections. The totals count all of them.
pub fn encode_ack(out: &mut Vec<u8>, totals: &AckTotals, rejections: &[Rejection]) {
    let count = rejections.len().min(REJECTIONS_PER_ACK_MAX);
    push_header(
        out,
        FrameKind::Ack,
        count,
        ACK_TOTALS_BYTES + count * REJECTION_BYTES,
    );
    out.extend_from_slice(&totals.frames.to_le_bytes());
    out.extend_from_slice(&totals.accepted.to_le_bytes());
    out.extend_from_slice(&totals.duplicate.to_le_bytes());
    out.extend_from_slice(&totals.stale.to_le_bytes());
    out.extend_from_slice(&totals.rejected.to_le_bytes());
    out.extend_from_slice(&totals.next_check_in_seconds.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for rejection in rejections.iter().take(count) {
        out.extend_from_slice(rejection.device_id.as_bytes());
        out.extend_from_slice(&rejection.seq.to_le_bytes());
        let (code, number) = Stored::encode(rejection.stored);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&[rejection.reason_code, code, 0, 0, 0, 0, 0, 0]);
    }
}

/// Appends a Busy.
pub fn encode_busy(out: &mut Vec<u8>, busy: Busy) {
    push_header(out, FrameKind::Busy, 0, BUSY_BYTES);
    out.extend_from_slice(&busy.retry_after_ms.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Appends a Goodbye.
pub fn encode_goodbye(out: &mut Vec<u8>, goodbye: Goodbye) {
    push_header(out, FrameKind::Goodbye, 0, GOODBYE_BYTES);
    out.extend_from_slice(&goodbye.code.to_le_bytes());
    out.extend_from_slice(&goodbye.retry_after_ms.to_le_bytes());
}
