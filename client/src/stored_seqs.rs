//! The stored seqs that the server has reported in its acks, so that a device continues after them.
//!
//! Purpose: a device whose seq went back (a restored disk, a reset counter) or far ahead (a wrong clock) repairs itself
//! with the next check-in. Owner: a client, or a connector and all its clients. Bounds: [`DEVICES_MAX`] devices, each
//! forgotten when its next seq is requested. What it does not do: renumber a check-in that was read before; it is
//! dropped.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use muster_wire::{
    CheckInRecord, DeviceId, FrameHeader, FrameKind, Rejection, Stored,
    limits::{CHECK_IN_BYTES, HEADER_BYTES},
};

/// Maximum number of devices behind one client; further ones are only in [`crate::Rejections`].
const DEVICES_MAX: usize = 4096;

/// What the server has reported of one device.
#[derive(Debug, Clone, Copy)]
struct StoredSeq {
    stored: u64,
    /// Whether the device was too far ahead, so that its own next seq must not be used.
    is_ahead: bool,
}

/// Shared by the tasks of a client and its handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredSeqs {
    by_device: Arc<Mutex<HashMap<DeviceId, StoredSeq>>>,
    /// Whether check-ins were stale and not listed, because the session began with early data.
    waits_for_handshake: Arc<AtomicBool>,
}

impl StoredSeqs {
    /// Remembers the stored seqs in the entries of an ack.
    pub(crate) fn note(&self, entries: &[Rejection]) {
        for entry in entries {
            let Some(Stored::Seq(stored)) = entry.stored else {
                continue;
            };
            let is_ahead = !entry.is_stale();
            let mut known = self.lock();
            if known.len() < DEVICES_MAX || known.contains_key(&entry.device_id) {
                known.insert(entry.device_id, StoredSeq { stored, is_ahead });
            }
        }
    }

    /// The seq of the next check-in of a device, which would itself use `own`. Forgets the stored seq.
    pub(crate) fn next(&self, device_id: DeviceId, own: u64) -> u64 {
        match self.lock().remove(&device_id) {
            None => own,
            Some(known) if known.is_ahead => known.stored.saturating_add(1),
            Some(known) => own.max(known.stored.saturating_add(1)),
        }
    }

    /// Sets whether the next connection waits for the handshake, so that the server lists the stored seqs.
    pub(crate) fn wait_for_handshake(&self, waits: bool) {
        // Relaxed: a hint for the next connection.
        self.waits_for_handshake.store(waits, Ordering::Relaxed);
    }

    /// Whether the next connection waits for the handshake.
    pub(crate) fn waits_for_handshake(&self) -> bool {
        self.waits_for_handshake.load(Ordering::Relaxed)
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, StoredSeq>> {
        self.by_device
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server would refuse every check-in of this frame for the same reason as that of the entry.
pub(crate) fn is_futile(frame: &[u8], entry: &Rejection) -> bool {
    let Some(Stored::Seq(stored)) = entry.stored else {
        return false;
    };
    let Some((header, payload)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    if !FrameHeader::from_bytes(header).is_ok_and(|header| header.kind == FrameKind::CheckIns) {
        return false;
    }
    let (records, _) = payload.as_chunks::<CHECK_IN_BYTES>();
    records.iter().all(|record| {
        let (device_id, seq) = CheckInRecord::peek(record);
        let is_refused = if entry.is_stale() {
            seq <= stored
        } else {
            seq >= entry.seq
        };
        device_id == entry.device_id && is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([7; 16]);

    #[test]
    fn a_device_continues_after_the_stored_seq_once() {
        let seqs = StoredSeqs::default();
        assert_eq!(seqs.next(DEVICE, 3), 3);
        seqs.note(&[Rejection::stale(DEVICE, 2, Stored::Seq(41))]);
        assert_eq!(seqs.next(DEVICE, 3), 42);
        assert_eq!(seqs.next(DEVICE, 43), 43);
        seqs.note(&[Rejection::stale(DEVICE, 2, Stored::Seq(5))]);
        assert_eq!(seqs.next(DEVICE, 44), 44, "a record that was sent again");
        seqs.note(&[Rejection::ahead(DEVICE, u64::MAX, Stored::Seq(9))]);
        assert_eq!(seqs.next(DEVICE, u64::MAX), 10);
        seqs.note(&[Rejection::stale(DEVICE, 2, Stored::Revision(5))]);
        assert_eq!(seqs.next(DEVICE, 11), 11, "an inventory has its own number");
    }

    #[test]
    fn the_number_of_devices_is_bounded() {
        let seqs = StoredSeqs::default();
        for number in 1..=2 * DEVICES_MAX as u128 {
            let device = DeviceId::from_bytes(number.to_be_bytes());
            seqs.note(&[Rejection::stale(device, 1, Stored::Seq(9))]);
        }
        assert_eq!(seqs.lock().len(), DEVICES_MAX);
    }
}
