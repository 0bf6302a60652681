//! The column of a shard: tenant and facets of the device in each slot, so that a list finds devices without their
//! shard thread.
//!
//! Written by the writer thread, read by any thread. A lock is held to grow, and to copy the references to the chunks;
//! neither waits for a scan. A scan reads each slot as of some time during it, and a slot that changes meanwhile may be
//! read half before and half after, so whoever reads a device that a scan has found checks its tenant again. Bounded by
//! the slots of the shard: [`SLOT_BYTES`] each, in chunks of as many slots as those of the records. Never shrinks, like
//! them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use muster_engine::{FacetWord, SLAB_CHUNK_RECORDS, SlotIndex, TenantIndex};

use super::packed::{pack, unpack};

/// Memory of a slot.
pub(crate) const SLOT_BYTES: usize = size_of::<AtomicU64>() + size_of::<AtomicU16>();

/// A run of slots.
#[derive(Debug)]
struct Chunk {
    facets: Box<[AtomicU64]>,
    tenants: Box<[AtomicU16]>,
}

impl Chunk {
    fn empty() -> Arc<Self> {
        let slots = 0..SLAB_CHUNK_RECORDS;
        Arc::new(Self {
            facets: slots.clone().map(|_| AtomicU64::new(pack(None))).collect(),
            tenants: slots.map(|_| AtomicU16::new(0)).collect(),
        })
    }
}

/// The column of one shard.
#[derive(Debug, Default)]
pub(super) struct Column(RwLock<Vec<Arc<Chunk>>>);

/// A column that has all slots that the writer is about to set.
#[derive(Debug)]
pub(super) struct OpenColumn<'a>(RwLockReadGuard<'a, Vec<Arc<Chunk>>>);

impl Column {
    /// Opens the column to set slots up to and including `last`.
    pub(super) fn open(&self, last: SlotIndex) -> OpenColumn<'_> {
        let chunks = last.0 as usize / SLAB_CHUNK_RECORDS + 1;
        let open = self.read();
        if open.len() >= chunks {
            return OpenColumn(open);
        }
        drop(open);
        let mut growing = self.0.write().unwrap_or_else(PoisonError::into_inner);
        growing.resize_with(chunks, Chunk::empty);
        drop(growing);
        OpenColumn(self.read())
    }

    /// Passes the devices from a slot on to `each`, in the order of slots, until it breaks.
    pub(super) fn visit<B>(
        &self,
        from: SlotIndex,
        mut each: impl FnMut(SlotIndex, TenantIndex, FacetWord) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let chunks = self.read().clone();
        let first = from.0 as usize / SLAB_CHUNK_RECORDS;
        let mut skipped = from.0 as usize % SLAB_CHUNK_RECORDS;
        for (number, chunk) in chunks.iter().enumerate().skip(first) {
            let base = (number * SLAB_CHUNK_RECORDS) as u32;
            let slots = chunk.facets.iter().zip(&chunk.tenants).enumerate();
            for (slot, (facets, tenant)) in slots.skip(std::mem::take(&mut skipped)) {
                // Relaxed: whoever needs one state of all slots keeps the writer from changing them, by a lock.
                if let Some(facets) = unpack(facets.load(Ordering::Relaxed)) {
                    let tenant = TenantIndex(tenant.load(Ordering::Relaxed));
                    each(SlotIndex(base + slot as u32), tenant, facets)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Chunk>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenColumn<'_> {
    /// Sets a slot that the column has been opened for: its device, or none.
    pub(super) fn set(&self, slot: SlotIndex, tenant: TenantIndex, facets: Option<FacetWord>) {
        let slot = slot.0 as usize;
        let chunk = &self.0[slot / SLAB_CHUNK_RECORDS];
        let slot = slot % SLAB_CHUNK_RECORDS;
        chunk.tenants[slot].store(tenant.0, Ordering::Relaxed);
        chunk.facets[slot].store(pack(facets), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The devices from a slot on, at most two.
    fn two_from(column: &Column, from: u32) -> Vec<(u32, u16, u64)> {
        let mut found = Vec::new();
        let _ = column.visit(SlotIndex(from), |slot, tenant, facets| {
            found.push((slot.0, tenant.0, facets.0));
            match found.len() {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        found
    }

    #[test]
    fn devices_are_visited_in_the_order_of_slots_from_any_slot_on() {
        let column = Column::default();
        assert_eq!(two_from(&column, 0), []);
        let far = 2 * SLAB_CHUNK_RECORDS as u32 + 7;
        let open = column.open(SlotIndex(far));
        for (slot, tenant, facets) in [(far, 3, 30), (0, 1, 10), (5, 2, 0)] {
            open.set(
                SlotIndex(slot),
                TenantIndex(tenant),
                Some(FacetWord(facets)),
            );
        }
        drop(open);
        assert_eq!(two_from(&column, 0), [(0, 1, 10), (5, 2, 0)]);
        assert_eq!(two_from(&column, 1), [(5, 2, 0), (far, 3, 30)]);
        assert_eq!(two_from(&column, far), [(far, 3, 30)]);
        assert_eq!(two_from(&column, far + 1), []);
        assert_eq!(two_from(&column, u32::MAX), []);
        column
            .open(SlotIndex(5))
            .set(SlotIndex(5), TenantIndex(2), None);
        assert_eq!(two_from(&column, 0), [(0, 1, 10), (far, 3, 30)]);
    }
}
