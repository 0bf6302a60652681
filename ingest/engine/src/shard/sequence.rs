//! Resets the numbers of a device, which an operator requests, so that its next records are accepted again.
//!
//! Owned by the thread of the shard. An event like any other: journaled, and replayed. No allocation.

use muster_wire::DeviceId;

use super::Shard;
use crate::effects::Effects;
use crate::ids::{SlotIndex, TenantIndex};

/// The numbers of a device before and after [`Shard::reset_sequence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceReset {
    /// Seq before.
    pub seq_before: u64,
    /// Seq now.
    pub seq: u64,
    /// Inventory revision before.
    pub inventory_revision_before: u32,
    /// Inventory revision now.
    pub inventory_revision: u32,
}

impl Shard {
    /// Sets the stored seq of a device to the time of the batch in milliseconds, and its inventory revision to the time
    /// in seconds if it is higher than that. What the device reported stays. `None` for an unknown device.
    pub fn reset_sequence(
        &mut self,
        tenant: TenantIndex,
        device_id: &DeviceId,
        effects: &mut Effects,
    ) -> Option<SequenceReset> {
        let slot = self.look_up(tenant, device_id).slot?;
        effects.journal.reset(tenant, slot, device_id);
        Some(self.reset_slot(slot, effects))
    }

    /// [`Shard::reset_sequence`] of the device in a slot. A device that has never checked in keeps the seq 0.
    pub(super) fn reset_slot(&mut self, slot: SlotIndex, effects: &mut Effects) -> SequenceReset {
        let mut record = *self.devices.get(slot);
        let seq_before = record.seq;
        if seq_before != 0 {
            record.seq = effects.time.as_millis().max(1);
        }
        self.update(slot, record, effects);
        let revision = &mut self.devices.cold_mut(slot).inventory_revision;
        let inventory_revision_before = *revision;
        *revision = inventory_revision_before.min(effects.now);
        SequenceReset {
            seq_before,
            seq: record.seq,
            inventory_revision_before,
            inventory_revision: *revision,
        }
    }
}
