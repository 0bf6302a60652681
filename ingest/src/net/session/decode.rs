//! Bytes to parts: the session's share of the hot path.
//!
//! Each 48-byte record is checked where it lies in the chunk and copied once, into the buffer of its
//! shard.

use muster_wire::{
    CheckInBytes, CheckInRecord, DeviceId, Inventory, Item, RejectReason, Rejection,
};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

use super::{End, Session, poisoned};
use crate::route::{InventoryPart, Part};
use muster_wire::CloseCode;

/// How long an inbox may be full before the client is told to hold back.
const BUSY_AFTER: Duration = Duration::from_millis(250);

/// For how long it is told to.
const BUSY_RETRY_AFTER_MS: u32 = 500;

impl Session {
    /// Takes the chunks that were read.
    pub(super) async fn take(&mut self, count: usize) -> Result<(), End> {
        for index in 0..count {
            let chunk = std::mem::take(&mut self.chunks[index]);
            self.take_chunk(&chunk).await?;
        }
        Ok(())
    }

    /// Takes everything a chunk holds.
    pub(super) async fn take_chunk(&mut self, chunk: &[u8]) -> Result<(), End> {
        let mut rest = chunk;
        loop {
            let item = self
                .decoder
                .next(&mut rest)
                .map_err(|error| error.close_code())?;
            match item {
                None => break,
                Some(Item::CheckInsBegin { .. }) => self.begin_frame()?,
                Some(Item::Records(records)) => self.route(records),
                Some(Item::Record(record)) => self.route(std::slice::from_ref(&record)),
                Some(Item::CheckInsEnd) => self.end_check_ins().await?,
                Some(Item::Inventory(archive)) => self.inventory(archive).await?,
                Some(Item::Goodbye(_)) => self.client_is_done = true,
                // The decoder lets nothing else through in this role.
                Some(_) => return Err(CloseCode::UnexpectedFrame.into()),
            }
        }
        // One reading of the clock a chunk, and only while a frame is incomplete.
        self.frame_since = match self.decoder.is_mid_frame() {
            true => Some(self.frame_since.unwrap_or_else(Instant::now)),
            false => None,
        };
        Ok(())
    }

    /// Opens a frame in the window. What fills the window has not been acknowledged yet, so a client
    /// that begins a frame all the same does not keep to it.
    fn begin_frame(&mut self) -> Result<(), End> {
        if !self.window.has_room() {
            return Err(CloseCode::WindowExceeded.into());
        }
        self.window.open_frame();
        self.frame_is_open = true;
        Ok(())
    }

    fn route(&mut self, records: &[CheckInBytes]) {
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
    }

    fn speaks_for(&self, device_id: DeviceId) -> bool {
        self.own_device.is_none_or(|own| own == device_id)
    }

    fn reject(&mut self, device_id: DeviceId, seq: u64, reason: RejectReason) {
        self.context.metrics.rejected[reason.index()].add(1);
        self.window.reject(Rejection::new(device_id, seq, reason));
    }

    async fn end_check_ins(&mut self) -> Result<(), End> {
        for shard in 0..self.router.shards() {
            if let Some(part) = self.router.part(shard, &self.window, self.read_at) {
                self.deliver(shard, part).await?;
            }
        }
        self.end_frame();
        Ok(())
    }

    async fn inventory(&mut self, archive: Vec<u8>) -> Result<(), End> {
        self.begin_frame()?;
        self.frame_records = 1;
        match Inventory::from_bytes(&archive) {
            Ok(inventory) if self.speaks_for(inventory.device_id) => {
                let inventory = Box::new(InventoryPart { inventory, archive });
                let (shard, part) = self.router.inventory(inventory, &self.window, self.read_at);
                self.deliver(shard, part).await?;
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
        Ok(())
    }

    fn end_frame(&mut self) {
        self.window.close_frame();
        self.frame_is_open = false;
        let records = std::mem::take(&mut self.frame_records);
        self.context.metrics.frames.add(1);
        self.context.metrics.received.add(records);
        self.entry
            .records_received
            .fetch_add(records, Ordering::Relaxed);
        self.entry
            .frames_in_flight
            .store(self.window.in_flight() as u64, Ordering::Relaxed);
    }

    /// Hands a part to its shard, waiting for room; after a while the client is told to hold back.
    async fn deliver(&mut self, shard: usize, part: Part) -> Result<(), End> {
        let mut part = part;
        let mut busy_at = Instant::now() + BUSY_AFTER;
        loop {
            let inbox = self.router.inbox(shard);
            part = match inbox.try_send(part) {
                Ok(None) => return Ok(()),
                Ok(Some(part)) => part,
                Err(_) => return Err(CloseCode::Draining.into()),
            };
            let in_flight = self.window.in_flight() > 1;
            let full_for_long = tokio::select! {
                () = inbox.room() => false,
                // Earlier frames are acknowledged meanwhile; this one is still open.
                () = self.window.progress(), if in_flight => false,
                () = tokio::time::sleep_until(busy_at) => true,
                end = poisoned(&mut self.phase) => return Err(end),
            };
            self.acknowledge().await?;
            if full_for_long {
                self.say_busy(BUSY_RETRY_AFTER_MS).await?;
                busy_at = Instant::now() + BUSY_AFTER;
            }
        }
    }
}
