//! The device records of one shard, in slots that never move.
//!
//! Two parallel arrays: hot records, one cache line each, and cold ones, which check-ins of known devices leave alone.
//! Memory grows by one chunk at a time, so growth neither copies the records nor doubles their footprint. A device
//! keeps its slot for life; the slot of a device that is gone is used again. Every event in the journal names its slot,
//! so a replay assigns none. A page is a fixed run of slots, the unit of a checkpoint.
//!
//! Owned by the shard, which bounds the number of devices. Returns no memory to the system.

use crate::device::{ColdRecord, DeviceRecord};
use crate::ids::{PAGE_RECORDS, PageNumber, SlotIndex};

/// Records in one chunk (256 KiB hot, 48 KiB cold); a whole number of pages. With larger chunks a small fleet takes more
/// memory, because each of 48 shards has one that is full in part; with smaller ones a check-in of a large fleet waits
/// for the pointer to its chunk.
pub const CHUNK_RECORDS: usize = 32 * PAGE_RECORDS;

/// An array, not a slice: its length is a constant, so finding a record loads one pointer.
type Chunk<R> = [R; CHUNK_RECORDS];

/// The records of one shard.
#[derive(Debug, Default)]
pub(crate) struct DeviceSlab {
    chunks: Vec<Box<Chunk<DeviceRecord>>>,
    cold: Vec<Box<Chunk<ColdRecord>>>,
    /// No slot from this one has ever been occupied.
    unused: SlotIndex,
    /// The empty slots below that.
    free: Vec<SlotIndex>,
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

    /// The slot that the next new device gets.
    pub(crate) fn next_slot(&self) -> SlotIndex {
        self.free.last().copied().unwrap_or(self.unused)
    }

    /// Inserts a new device into [`DeviceSlab::next_slot`].
    pub(crate) fn insert(&mut self, record: DeviceRecord, cold: ColdRecord) -> SlotIndex {
        let slot = self.next_slot();
        self.free.pop();
        self.write(slot, record, cold);
        slot
    }

    /// Replaces whatever a slot holds, and grows to it. Between a first write and [`DeviceSlab::find_free`], the slab
    /// does not know which slots are free.
    pub(crate) fn write(&mut self, slot: SlotIndex, record: DeviceRecord, cold: ColdRecord) {
        self.grow_to(slot.0 + 1);
        let stored = self.get_mut(slot);
        let (before, after) = (stored.is_occupied(), record.is_occupied());
        *stored = record;
        *self.cold_mut(slot) = cold;
        self.devices = self.devices + u32::from(after) - u32::from(before);
        self.unused = self.unused.max(SlotIndex(slot.0 + 1));
    }

    /// No slot from this one has ever been occupied.
    pub(crate) fn unused(&self) -> SlotIndex {
        self.unused
    }

    /// Notes that the slots of a page may have been occupied.
    pub(crate) fn use_page(&mut self, page: PageNumber) {
        let end = page.slots().last().map_or(0, |last| last.0 + 1);
        self.unused = self.unused.max(SlotIndex(end));
        self.grow_to(end);
    }

    /// Empties a slot, so that another device can have it.
    pub(crate) fn free(&mut self, slot: SlotIndex) {
        self.write(slot, DeviceRecord::default(), ColdRecord::default());
        self.free.push(slot);
    }

    /// Makes slots up to `end`.
    fn grow_to(&mut self, end: u32) {
        while self.slots() < end {
            self.chunks.push(empty_chunk());
            self.cold.push(empty_chunk());
        }
    }

    /// Finds the free slots after a recovery; the lowest are used first.
    pub(crate) fn find_free(&mut self) {
        let below = SlotIndex(0).until(self.unused);
        let free = below.filter(|slot| !self.get(*slot).is_occupied());
        let mut free: Vec<_> = free.collect();
        free.reverse();
        self.free = free;
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
        let slots = SlotIndex(0).until(self.unused);
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
