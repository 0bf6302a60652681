//! Resets the numbers of a device, which an operator requests, so that its next records are accepted again.
//!
//! Owned by the thread of the shard. An event like any other: journaled, and replayed. No allocation.

use muster_wire::DeviceId;

use super::Shard;
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::Effects;
use crate::ids::{SlotIndex, TenantIndex};
use crate::journal::DeviceAction;
use crate::time::Timestamp;

/// The numbers of a device before and after [`Shard::reset_sequence`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// in seconds if it is higher than that. What the device reported stays. `None` for an unknown or removed device.
    pub fn reset_sequence(
        &mut self,
        tenant: TenantIndex,
        device_id: &DeviceId,
        effects: &mut Effects,
    ) -> Option<SequenceReset> {
        let slot = self.look_up(tenant, device_id).slot?;
        if self.devices.get(slot).removed() {
            return None;
        }
        effects
            .journal
            .action(DeviceAction::Reset, tenant, slot, device_id);
        Some(self.reset_slot(slot, effects))
    }

    fn reset_slot(&mut self, slot: SlotIndex, effects: &mut Effects) -> SequenceReset {
        let (mut record, mut cold) = (*self.devices.get(slot), *self.devices.cold(slot));
        let (seq_before, inventory_revision_before) = (record.seq, cold.inventory_revision);
        reset(&mut record, &mut cold, effects.time);
        *self.devices.cold_mut(slot) = cold;
        self.write(slot, record);
        SequenceReset {
            seq_before,
            seq: record.seq,
            inventory_revision_before,
            inventory_revision: cold.inventory_revision,
        }
    }
}

/// Resets the numbers in the records of a device. One that has never checked in keeps the seq 0.
pub(super) fn reset(record: &mut DeviceRecord, cold: &mut ColdRecord, now: Timestamp) {
    if record.seq != 0 {
        record.seq = now.as_millis().max(1);
    }
    cold.inventory_revision = cold.inventory_revision.min(now.as_seconds());
}
