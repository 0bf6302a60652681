//! Applies an inventory: stores it, and its revision in the record of its device.
//!
//! Owned by the thread of the shard. Bounded by [`super::ShardLimits`]. Not on the hot path: inventories are rare, so
//! it may allocate.

use std::cmp::Ordering;

use muster_wire::{Inventory, RejectReason, Stored};

use super::Shard;
use super::apply::Verdict;
use super::evaluation::evaluate;
use super::lookup::Lookup;
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::{Effects, InventoryWrite, Outcome, Transition};
use crate::facet::Facets;
use crate::ids::{ProfileId, TenantIndex};
use crate::numbers::is_leap;
use crate::policy::TenantPolicy;

impl Shard {
    /// Stores an inventory. `archive` is the encoded form of `inventory`.
    pub fn apply_inventory(
        &mut self,
        tenant: TenantIndex,
        inventory: &Inventory,
        archive: &[u8],
        effects: &mut Effects,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        match self.inventory(tenant, inventory, effects) {
            Verdict::Accepted { slot, .. } => {
                effects.journal.inventory(tenant, slot, archive);
                effects.inventories.push(InventoryWrite {
                    tenant,
                    device_id: inventory.device_id,
                    bytes: archive.to_vec(),
                });
                outcome.accepted = 1;
            }
            Verdict::Duplicate => outcome.duplicate = 1,
            Verdict::Stale => {
                effects.note_stale(inventory.device_id, u64::from(inventory.revision));
                outcome.stale = 1;
            }
            Verdict::Rejected(reason) => {
                let revision = u64::from(inventory.revision);
                effects.note_rejected(inventory.device_id, revision, reason);
                outcome.rejected = 1;
            }
        }
        outcome
    }

    fn inventory(
        &mut self,
        tenant: TenantIndex,
        inventory: &Inventory,
        effects: &mut Effects,
    ) -> Verdict {
        let policies = self.policies.clone();
        let Some(policies) = policies.of(tenant) else {
            return Verdict::Rejected(RejectReason::UnknownDevice);
        };
        let Lookup { hash, slot } = self.look_up(tenant, &inventory.device_id);
        let is_ahead = |stored: u32| {
            inventory.revision > effects.numbers_max.revision
                && is_leap(u64::from(stored), u64::from(inventory.revision))
        };
        let accepted = |slot| Verdict::Accepted {
            slot,
            repeats: false,
        };
        let Some(slot) = slot else {
            let policy = policies.of(self.devices.next_slot(), ProfileId::default());
            if let Some(reason) = self.refuses_new_device(policy) {
                return Verdict::Rejected(reason);
            }
            if is_ahead(0) {
                effects.stored = Some(Stored::Revision(0));
                return Verdict::Rejected(RejectReason::SeqAhead);
            }
            let (record, cold) = created_by_inventory(tenant, inventory, policy, effects.now);
            return accepted(self.create(hash, record, cold, policy, effects));
        };
        if self.devices.get(slot).removed() {
            return Verdict::Rejected(RejectReason::DeviceRemoved);
        }
        let stored = self.devices.cold(slot).inventory_revision;
        match inventory.revision.cmp(&stored) {
            Ordering::Less => {
                effects.stored = Some(Stored::Revision(stored));
                Verdict::Stale
            }
            Ordering::Equal => Verdict::Duplicate,
            Ordering::Greater if is_ahead(stored) => {
                effects.stored = Some(Stored::Revision(stored));
                Verdict::Rejected(RejectReason::SeqAhead)
            }
            Ordering::Greater => {
                self.devices.cold_mut(slot).set_inventory(inventory);
                self.checkpoint.dirty.insert(slot.page());
                let (before, profile) = {
                    let record = self.devices.get(slot);
                    (record.facets, record.profile())
                };
                let moves = effects.transitions.len();
                let policy = policies.of(slot, profile);
                self.reevaluate(slot, policy, self.time.of(slot), effects);
                // Whoever follows the changes of devices learns of it, also if it stays in its cell.
                effects.transitions.truncate(moves);
                effects.transitions.push(Transition {
                    slot,
                    device_id: inventory.device_id,
                    tenant,
                    before: Some(before),
                    after: Some(self.devices.get(slot).facets),
                    profile,
                    has_new_inventory: true,
                });
                accepted(slot)
            }
        }
    }
}

/// The records of a device whose first record is an inventory.
pub(super) fn created_by_inventory(
    tenant: TenantIndex,
    inventory: &Inventory,
    policy: &TenantPolicy,
    now: u32,
) -> (DeviceRecord, ColdRecord) {
    let mut record = DeviceRecord {
        device_id: inventory.device_id,
        tenant,
        ..DeviceRecord::default()
    };
    let mut cold = ColdRecord {
        first_seen: now,
        ..ColdRecord::default()
    };
    cold.set_inventory(inventory);
    record.facets = evaluate(&record, &cold, Facets::default(), policy, now).word();
    (record, cold)
}
