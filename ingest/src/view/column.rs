//! The column of a shard: tenant, facets and profile of the device in each slot, so that a list finds devices without
//! their shard thread, and the targets for which the numbers of profiles stand.
//!
//! Written by the writer thread, read by any thread. A lock is held to grow, and to copy the references to the chunks;
//! neither waits for a scan. A scan of the devices of some groups holds the numbers of profiles, so a commit that gives
//! a number another meaning waits for the rest of the shard, less than a millisecond. A scan reads each slot as of some
//! time during it, and a slot that changes meanwhile may be read half before and half after, so whoever reads a device
//! that a scan has found checks its tenant again. Bounded by the slots of the shard: [`SLOT_BYTES`] each, in chunks of
//! as many slots as those of the records. Never shrinks, like them. The numbers of profiles are as many as in the
//! shard.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use muster_control::Sight;
use muster_engine::{
    FacetWord, ProfileDefinition, ProfileId, SLAB_CHUNK_RECORDS, SlotIndex, TenantIndex,
};

use super::packed::{pack, unpack};

/// Memory of a slot.
pub(crate) const SLOT_BYTES: usize =
    size_of::<AtomicU64>() + size_of::<AtomicU16>() + size_of::<AtomicU32>();

/// A run of slots.
#[derive(Debug)]
struct Chunk {
    facets: Box<[AtomicU64]>,
    tenants: Box<[AtomicU16]>,
    profiles: Box<[AtomicU32]>,
}

impl Chunk {
    fn empty() -> Arc<Self> {
        let slots = 0..SLAB_CHUNK_RECORDS;
        Arc::new(Self {
            facets: slots.clone().map(|_| AtomicU64::new(pack(None))).collect(),
            tenants: slots.clone().map(|_| AtomicU16::new(0)).collect(),
            profiles: slots.map(|_| AtomicU32::new(0)).collect(),
        })
    }
}

/// The column of one shard.
#[derive(Debug, Default)]
pub(super) struct Column {
    chunks: RwLock<Vec<Arc<Chunk>>>,
    profiles: RwLock<Profiles>,
}

/// What the numbers of the profiles of a shard stand for.
#[derive(Debug, Default)]
pub(super) struct Profiles(Vec<Option<ProfileDefinition>>);

impl Profiles {
    /// For each number, whether the devices of a tenant with this profile are seen.
    fn seen(&self, tenant: TenantIndex, sight: &Sight) -> Vec<bool> {
        let none = std::iter::once(sight.has(&[]));
        let sets = self.0.iter().map(|set| {
            let set = set.as_ref().filter(|set| set.tenant == tenant);
            set.is_some_and(|set| sight.has(&set.targets))
        });
        none.chain(sets).collect()
    }

    fn define(&mut self, definition: &ProfileDefinition) {
        // 0 is the number of no targets and is not defined.
        let Some(index) = (definition.profile.0 as usize).checked_sub(1) else {
            return;
        };
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        self.0[index] = Some(definition.clone());
    }
}

/// The numbers of profiles, which stay the same while this is held.
pub(super) struct Defining<'a>(RwLockWriteGuard<'a, Profiles>);

impl Defining<'_> {
    /// Gives numbers of profiles a meaning.
    pub(super) fn define(&mut self, definitions: &[ProfileDefinition]) {
        definitions
            .iter()
            .for_each(|definition| self.0.define(definition));
    }
}

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
        let mut growing = self.chunks.write().unwrap_or_else(PoisonError::into_inner);
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
        self.visit_all(from, |slot, tenant, facets, _| each(slot, tenant, facets))
    }

    /// Passes the devices of a tenant that are seen to `each`, like [`Column::visit`].
    pub(super) fn visit_seen<B>(
        &self,
        from: SlotIndex,
        of: TenantIndex,
        sight: &Sight,
        mut each: impl FnMut(SlotIndex, FacetWord) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let profiles = self.profiles.read();
        let profiles = profiles.unwrap_or_else(PoisonError::into_inner);
        let seen = profiles.seen(of, sight);
        self.visit_all(from, |slot, tenant, facets, profile| {
            let profile = || profile.load(Ordering::Relaxed) as usize;
            if tenant == of && seen.get(profile()) == Some(&true) {
                each(slot, facets)?;
            }
            ControlFlow::Continue(())
        })
    }

    /// Keeps the numbers of profiles from being read while they and the slots change.
    pub(super) fn define(&self) -> Defining<'_> {
        let profiles = self.profiles.write();
        Defining(profiles.unwrap_or_else(PoisonError::into_inner))
    }

    #[inline(always)]
    fn visit_all<B>(
        &self,
        from: SlotIndex,
        mut each: impl FnMut(SlotIndex, TenantIndex, FacetWord, &AtomicU32) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let chunks = self.read().clone();
        let first = from.0 as usize / SLAB_CHUNK_RECORDS;
        let mut skipped = from.0 as usize % SLAB_CHUNK_RECORDS;
        for (number, chunk) in chunks.iter().enumerate().skip(first) {
            let base = (number * SLAB_CHUNK_RECORDS) as u32;
            let slots = chunk.facets.iter().zip(&chunk.tenants);
            let slots = slots.zip(&chunk.profiles).enumerate();
            for (slot, ((facets, tenant), profile)) in slots.skip(std::mem::take(&mut skipped)) {
                // Relaxed: whoever needs one state of all slots keeps the writer from changing them, by a lock.
                if let Some(facets) = unpack(facets.load(Ordering::Relaxed)) {
                    let tenant = TenantIndex(tenant.load(Ordering::Relaxed));
                    each(SlotIndex(base + slot as u32), tenant, facets, profile)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Chunk>>> {
        self.chunks.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenColumn<'_> {
    /// Sets a slot that the column has been opened for: its device, or none.
    pub(super) fn set(
        &self,
        slot: SlotIndex,
        tenant: TenantIndex,
        facets: Option<FacetWord>,
        profile: ProfileId,
    ) {
        let slot = slot.0 as usize;
        let chunk = &self.0[slot / SLAB_CHUNK_RECORDS];
        let slot = slot % SLAB_CHUNK_RECORDS;
        chunk.tenants[slot].store(tenant.0, Ordering::Relaxed);
        chunk.profiles[slot].store(profile.0, Ordering::Relaxed);
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
                ProfileId(0),
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
            .set(SlotIndex(5), TenantIndex(2), None, ProfileId(0));
        assert_eq!(two_from(&column, 0), [(0, 1, 10), (far, 3, 30)]);
    }
}
