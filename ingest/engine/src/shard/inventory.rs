//! Applies an inventory: stores it and moves its device to the cohort it describes.
//!
//! Owned by the thread of the shard. Bounded by [`super::ShardLimits`]. Not on the hot path: inventories are rare, so
//! it may allocate.

use std::sync::Arc;

use muster_wire::{Inventory, RejectReason, Rejection};

use super::Shard;
use super::apply::Verdict;
use super::evaluation::evaluate;
use super::lookup::Lookup;
use crate::cell::CellKey;
use crate::cohort::Cohort;
use crate::device::DeviceRecord;
use crate::effects::{Effects, InventoryWrite, Outcome};
use crate::facet::Facets;
use crate::ids::TenantIndex;

impl Shard {
    /// Stores an inventory and moves its device to the cohort it describes. `archive` is the encoded form of
    /// `inventory`.
    pub fn apply_inventory(
        &mut self,
        tenant: TenantIndex,
        inventory: &Inventory,
        archive: &[u8],
        effects: &mut Effects,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        match self.inventory(tenant, inventory, effects) {
            Verdict::Accepted { .. } => {
                effects.journal.inventory(tenant, archive);
                effects.inventories.push(InventoryWrite {
                    tenant,
                    device_id: inventory.device_id,
                    bytes: archive.to_vec(),
                });
                outcome.accepted = 1;
            }
            Verdict::Duplicate => outcome.duplicate = 1,
            Verdict::Stale => outcome.stale = 1,
            Verdict::Rejected(reason) => {
                let revision = u64::from(inventory.revision);
                let rejection = Rejection::new(inventory.device_id, revision, reason);
                effects.rejections.push(rejection);
                outcome.rejected = 1;
            }
        }
        outcome
    }

    pub(super) fn inventory(
        &mut self,
        tenant: TenantIndex,
        inventory: &Inventory,
        effects: &mut Effects,
    ) -> Verdict {
        let policy = Arc::clone(&self.policy);
        let Some(policy) = policy.tenant(tenant) else {
            return Verdict::Rejected(RejectReason::UnknownDevice);
        };
        let Lookup { hash, slot } = self.look_up(tenant, &inventory.device_id);
        let stored = slot
            .map(|slot| self.devices.get(slot).inventory_revision)
            .unwrap_or(0);
        if inventory.revision <= stored {
            return if inventory.revision == stored {
                Verdict::Duplicate
            } else {
                Verdict::Stale
            };
        }
        if slot.is_none()
            && let Some(reason) = self.refuses_new_device(policy)
        {
            return Verdict::Rejected(reason);
        }
        let described = Cohort::new(inventory.owner, inventory.tags.iter().cloned());
        let Some(cohort) = self.cohorts.id_of(&described) else {
            return Verdict::Rejected(RejectReason::CohortLimit);
        };
        let inventory_revision = inventory.revision;
        let verdict = match slot {
            Some(slot) => {
                let record = *self.devices.get(slot);
                let key = CellKey {
                    cohort,
                    ..self.cells.key(record.cell)
                };
                self.update(
                    slot,
                    DeviceRecord {
                        inventory_revision,
                        ..record
                    },
                    key,
                    effects,
                )
            }
            None => {
                let record = DeviceRecord {
                    device_id: inventory.device_id,
                    tenant,
                    inventory_revision,
                    first_seen: effects.now,
                    ..DeviceRecord::default()
                };
                let facets = evaluate(&record, Facets::default(), policy, record.first_seen);
                self.create(
                    hash,
                    record,
                    CellKey {
                        tenant,
                        cohort,
                        facets: facets.word(),
                    },
                    effects,
                )
            }
        };
        // Cohorts are never freed, so a rejected inventory must not add one.
        if matches!(verdict, Verdict::Accepted { .. }) && self.cohorts.get(cohort).is_none() {
            effects.cohorts.push((cohort, described.encode()));
            self.cohorts.intern(described);
        }
        verdict
    }
}
