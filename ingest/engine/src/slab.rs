//! The device records of one shard, in slots that never move.
//!
//! Memory grows by one chunk at a time, so growth neither copies the records nor doubles their footprint. A device
//! keeps its slot for life; slots are assigned in ascending order, so that a replay assigns the same ones. A page is a
//! fixed run of slots, the unit of a checkpoint.
//!
//! Owned by the shard, which bounds the number of devices. Frees nothing: devices are not deleted.

use crate::device::DeviceRecord;
use crate::ids::{PAGE_RECORDS, PageNumber, SlotIndex};

/// Records in one chunk (512 KiB); a whole number of pages.
const CHUNK_RECORDS: usize = 64 * PAGE_RECORDS;

/// An array, not a slice: its length is a constant, so finding a record loads one pointer.
type Chunk = [DeviceRecord; CHUNK_RECORDS];

/// The records of one shard.
#[derive(Debug, Default)]
pub(crate) struct DeviceSlab {
    chunks: Vec<Box<Chunk>>,
    /// The slots below this one are occupied: an insert searches from here.
    next: u32,
    devices: u32,
}

impl DeviceSlab {
    /// Number of devices.
    pub(crate) fn devices(&self) -> u32 {
        self.devices
    }

    /// One past the highest slot that can hold a device.
    pub(crate) fn slots(&self) -> u32 {
        (self.chunks.len() * CHUNK_RECORDS) as u32
    }

    /// The record in an existing slot.
    pub(crate) fn get(&self, slot: SlotIndex) -> &DeviceRecord {
        let slot = slot.0 as usize;
        &self.chunks[slot / CHUNK_RECORDS][slot % CHUNK_RECORDS]
    }

    /// Reads a word of a record to load its cache line; 0 if the slot does not exist.
    pub(crate) fn touch(&self, slot: SlotIndex) -> u64 {
        let slot = slot.0 as usize;
        let chunk = self.chunks.get(slot / CHUNK_RECORDS);
        chunk.map_or(0, |chunk| chunk[slot % CHUNK_RECORDS].seq)
    }

    /// The record in an existing slot, for writing.
    pub(crate) fn get_mut(&mut self, slot: SlotIndex) -> &mut DeviceRecord {
        let slot = slot.0 as usize;
        &mut self.chunks[slot / CHUNK_RECORDS][slot % CHUNK_RECORDS]
    }

    /// Inserts a new device into the lowest empty slot.
    pub(crate) fn insert(&mut self, record: DeviceRecord) -> SlotIndex {
        while self.next < self.slots() && self.get(SlotIndex(self.next)).is_occupied() {
            self.next += 1;
        }
        let slot = SlotIndex(self.next);
        self.insert_at(slot, record);
        self.next += 1;
        slot
    }

    /// Inserts a device into a given empty slot.
    pub(crate) fn insert_at(&mut self, slot: SlotIndex, record: DeviceRecord) {
        while self.slots() <= slot.0 {
            self.chunks.push(empty_chunk());
        }
        self.devices += 1;
        *self.get_mut(slot) = record;
    }

    /// The records of one page, empty slots included; `None` past the end.
    pub(crate) fn page(&self, page: PageNumber) -> Option<&[DeviceRecord; PAGE_RECORDS]> {
        let first = page.0 as usize * PAGE_RECORDS;
        let chunk = self.chunks.get(first / CHUNK_RECORDS)?;
        chunk[first % CHUNK_RECORDS..].first_chunk()
    }

    /// Every device with its slot, in the order of slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotIndex, &DeviceRecord)> {
        let records = self.chunks.iter().flat_map(|chunk| chunk.iter());
        (0..)
            .map(SlotIndex)
            .zip(records)
            .filter(|(_, record)| record.is_occupied())
    }
}

/// Allocated on the heap from the start, because a chunk is too large for a stack.
fn empty_chunk() -> Box<Chunk> {
    let records = vec![DeviceRecord::default(); CHUNK_RECORDS].into_boxed_slice();
    records
        .try_into()
        .expect("the slice has the length of a chunk")
}
