//! The device records of one shard, in slots that never move.
//!
//! Two parallel arrays: hot records, one cache line each, and cold ones, which check-ins of known devices leave alone.
//! Memory grows by one chunk at a time, so growth neither copies the records nor doubles their footprint. A device
//! keeps its slot for life; slots are assigned in ascending order, so that a replay assigns the same ones. A page is a
//! fixed run of slots, the unit of a checkpoint.
//!
//! Owned by the shard, which bounds the number of devices. Frees nothing: devices are not deleted.

use crate::device::{ColdRecord, DeviceRecord};
use crate::ids::{PAGE_RECORDS, PageNumber, SlotIndex};

/// Records in one chunk (512 KiB hot, 64 KiB cold); a whole number of pages.
const CHUNK_RECORDS: usize = 64 * PAGE_RECORDS;

/// An array, not a slice: its length is a constant, so finding a record loads one pointer.
type Chunk<R> = [R; CHUNK_RECORDS];

/// The records of one shard.
#[derive(Debug, Default)]
pub(crate) struct DeviceSlab {
    chunks: Vec<Box<Chunk<DeviceRecord>>>,
    cold: Vec<Box<Chunk<ColdRecord>>>,
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

    /// The cold record in an existing slot.
    pub(crate) fn cold(&self, slot: SlotIndex) -> &ColdRecord {
        let slot = slot.0 as usize;
        &self.cold[slot / CHUNK_RECORDS][slot % CHUNK_RECORDS]
    }

    /// The cold record in an existing slot, for writing.
    pub(crate) fn cold_mut(&mut self, slot: SlotIndex) -> &mut ColdRecord {
        let slot = slot.0 as usize;
        &mut self.cold[slot / CHUNK_RECORDS][slot % CHUNK_RECORDS]
    }

    /// Inserts a new device into the lowest empty slot.
    pub(crate) fn insert(&mut self, record: DeviceRecord, cold: ColdRecord) -> SlotIndex {
        while self.next < self.slots() && self.get(SlotIndex(self.next)).is_occupied() {
            self.next += 1;
        }
        let slot = SlotIndex(self.next);
        self.insert_at(slot, record, cold);
        self.next += 1;
        slot
    }

    /// Inserts a device into a given empty slot.
    pub(crate) fn insert_at(&mut self, slot: SlotIndex, record: DeviceRecord, cold: ColdRecord) {
        while self.slots() <= slot.0 {
            self.chunks.push(empty_chunk());
            self.cold.push(empty_chunk());
        }
        self.devices += 1;
        *self.get_mut(slot) = record;
        *self.cold_mut(slot) = cold;
    }

    /// The records of one page, empty slots included; `None` past the end.
    pub(crate) fn page(&self, page: PageNumber) -> Option<PageRecords<'_>> {
        let first = page.0 as usize * PAGE_RECORDS;
        let (chunk, offset) = (first / CHUNK_RECORDS, first % CHUNK_RECORDS);
        let hot = self.chunks.get(chunk)?[offset..].first_chunk()?;
        let cold = self.cold.get(chunk)?[offset..].first_chunk()?;
        Some((hot, cold))
    }

    /// The slot of every device, in ascending order.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = SlotIndex> + '_ {
        let slots = SlotIndex(0).until(SlotIndex(self.slots()));
        slots.filter(|slot| self.get(*slot).is_occupied())
    }
}

/// The records of a page and their cold records.
pub(crate) type PageRecords<'a> = (
    &'a [DeviceRecord; PAGE_RECORDS],
    &'a [ColdRecord; PAGE_RECORDS],
);

/// Allocated on the heap directly, because a chunk is too large for a stack.
fn empty_chunk<R: Clone + Default>() -> Box<Chunk<R>> {
    let records = vec![R::default(); CHUNK_RECORDS].into_boxed_slice();
    let chunk = records.try_into().ok();
    chunk.expect("the slice has the length of a chunk")
}
