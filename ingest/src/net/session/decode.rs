//! Decodes bytes into shard batches: the session's part of the hot path.
//!
//! Each 48-byte record is validated in place in the chunk and copied once, into the buffer of its thread. Nothing here
//! waits, allocates per check-in, locks or logs. Bounded by the window and the check-ins of a frame.

use std::sync::atomic::Ordering;

use muster_wire::{
    CheckInBytes, CheckInRecord, CloseCode, DeviceId, Inventory, Item, RejectReason, Rejection,
};

use super::core::{SessionCore, Take};
use super::delivery::Delivery;
use crate::route::{ReceivedInventory, ShardBatch};

impl SessionCore {
    /// Consumes bytes from the front of `rest` until all are consumed or the inbox of a shard batch is full. Goodbye is
    /// the last frame of a client: all bytes after it are discarded.
    pub fn take(&mut self, rest: &mut &[u8]) -> Result<Take, CloseCode> {
        if !self.offer()? {
            return Ok(Take::Blocked);
        }
        while !self.client_is_done {
            let item = self
                .decoder
                .next(rest)
                .map_err(|error| error.close_code())?;
            let delivered = match item {
                None => return Ok(Take::NeedsMore),
                Some(Item::CheckInsBegin { .. }) => self.begin_frame()?,
                Some(Item::Records(records)) => self.route(records),
                Some(Item::Record(record)) => self.route(std::slice::from_ref(&record)),
                Some(Item::CheckInsEnd) => {
                    self.count_frame();
                    self.deliver_from(0)?
                }
                Some(Item::Inventory(archive)) => self.inventory(archive)?,
                Some(Item::Goodbye(_)) => {
                    self.client_is_done = true;
                    true
                }
                // The decoder lets nothing else through in this role.
                Some(_) => return Err(CloseCode::UnexpectedFrame),
            };
            if !delivered {
                return Ok(Take::Blocked);
            }
        }
        *rest = &[];
        Ok(Take::NeedsMore)
    }

    /// Retries the blocked shard batch, and then delivers the rest of its frame. Returns whether nothing is blocked.
    pub fn offer(&mut self) -> Result<bool, CloseCode> {
        match self.delivery.take() {
            None => Ok(true),
            Some(Delivery {
                batch,
                thread,
                next,
            }) => Ok(self.deliver(batch, thread, next)? && self.deliver_from(next)?),
        }
    }

    /// The number of the incomplete frame, if one has begun.
    pub fn frame_being_read(&self) -> Option<u64> {
        self.decoder.is_mid_frame().then_some(self.frames_read)
    }

    /// Opens a frame in the window. Frames leave the window when their ack is encoded, so a client that begins a frame
    /// while the window is full violates it.
    fn begin_frame(&mut self) -> Result<bool, CloseCode> {
        if !self.window.has_room() {
            return Err(CloseCode::WindowExceeded);
        }
        self.window.open_frame();
        self.frame_is_open = true;
        Ok(true)
    }

    fn route(&mut self, records: &[CheckInBytes]) -> bool {
        for bytes in records {
            match CheckInRecord::validate(bytes) {
                Ok(record) if self.speaks_for(record.device_id()) => self.router.check_in(record),
                Ok(record) => {
                    let (device_id, seq) = (record.device_id(), record.seq());
                    self.reject(device_id, seq, RejectReason::IdentityMismatch);
                }
                Err(reason) => {
                    let (device_id, seq) = CheckInRecord::peek(bytes);
                    self.reject(device_id, seq, reason);
                }
            }
        }
        self.frame_records += records.len() as u64;
        true
    }

    fn speaks_for(&self, device_id: DeviceId) -> bool {
        self.own_device.is_none_or(|own| own == device_id)
    }

    fn reject(&mut self, device_id: DeviceId, seq: u64, reason: RejectReason) {
        self.context.metrics.rejected[reason.index()].add(1);
        self.window.reject(Rejection::new(device_id, seq, reason));
    }

    fn inventory(&mut self, archive: Vec<u8>) -> Result<bool, CloseCode> {
        self.begin_frame()?;
        self.frame_records = 1;
        self.count_frame();
        match Inventory::from_bytes(&archive) {
            Ok(inventory) if self.speaks_for(inventory.device_id) => {
                let inventory = Box::new(ReceivedInventory { inventory, archive });
                let (thread, batch) = self.router.inventory(inventory, &self.window, self.read_at);
                let none = self.router.threads();
                return Ok(self.deliver(batch, thread, none)? && self.deliver_from(none)?);
            }
            Ok(inventory) => {
                let revision = u64::from(inventory.revision);
                self.reject(
                    inventory.device_id,
                    revision,
                    RejectReason::IdentityMismatch,
                );
            }
            Err(error) => {
                let (device_id, revision) = Inventory::peek(&archive);
                self.reject(device_id, u64::from(revision), error.reject_reason());
            }
        }
        self.end_frame();
        Ok(true)
    }

    /// Sends the shard batches of the completed frame to their threads, from `first` on, and ends the frame.
    fn deliver_from(&mut self, first: usize) -> Result<bool, CloseCode> {
        for thread in first..self.router.threads() {
            if let Some(batch) = self.router.batch(thread, &self.window, self.read_at)
                && !self.deliver(batch, thread, thread + 1)?
            {
                return Ok(false);
            }
        }
        self.end_frame();
        Ok(true)
    }

    /// Sends a shard batch to its thread; if the inbox is full, keeps it and returns `false`.
    fn deliver(
        &mut self,
        batch: ShardBatch,
        thread: usize,
        next: usize,
    ) -> Result<bool, CloseCode> {
        match self.router.inbox(thread).try_send(batch) {
            Ok(None) => Ok(true),
            Ok(Some(batch)) => {
                self.delivery = Some(Delivery {
                    batch,
                    thread,
                    next,
                });
                Ok(false)
            }
            Err(_) => Err(CloseCode::Draining),
        }
    }

    /// Counts a completely read frame, before any of its shard batches can be acknowledged.
    fn count_frame(&mut self) {
        let records = std::mem::take(&mut self.frame_records);
        self.context.metrics.frames.add(1);
        self.context.metrics.received.add(records);
        self.entry
            .records_received
            .fetch_add(records, Ordering::Relaxed);
    }

    fn end_frame(&mut self) {
        self.window.close_frame();
        self.frame_is_open = false;
        self.frames_read += 1;
        self.entry
            .frames_in_flight
            .store(self.window.in_flight() as u64, Ordering::Relaxed);
    }
}
