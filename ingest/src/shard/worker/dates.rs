//! Finds the devices that come first by a date of their records, for a list in that order.
//!
//! Owner: the shard thread, at a batch boundary. It passes over the records of a tenant, 64 bytes each, and copies only
//! those that are wanted. Bounded by [`SLOTS_MAX`] slots for a query, about 2 ms, and by the limit of the query; the next
//! query continues.

use std::collections::BinaryHeap;

use muster_api::{DateQuery, Dated, Position};
use muster_engine::{SlotIndex, TenantIndex};

use super::Worker;
use crate::shard::control::{DatedSlice, DeviceKey};

/// Slots that a query passes over before check-ins have their turn again.
pub(super) const SLOTS_MAX: u32 = 1 << 18;

impl Worker {
    /// The first devices of the next slots from a position on.
    pub(super) fn dated(
        &self,
        tenant: TenantIndex,
        from: Position,
        query: &DateQuery,
    ) -> DatedSlice {
        let mut slice = DatedSlice::default();
        let mut first = BinaryHeap::new();
        let mut left = SLOTS_MAX;
        for shard in self
            .shards
            .shards()
            .filter(|shard| shard.id() >= from.shard)
        {
            let begin = if shard.id() == from.shard {
                from.slot.0
            } else {
                0
            };
            let end = shard.slots().min(begin.saturating_add(left));
            for slot in (begin..end).map(SlotIndex) {
                let Some((record, cold)) = shard.device_in(slot) else {
                    continue;
                };
                if record.tenant != tenant || record.removed() {
                    continue;
                }
                let dated = Dated {
                    key: query.key(record, cold),
                    device_id: record.device_id,
                    position: Position {
                        shard: shard.id(),
                        slot,
                    },
                };
                if query.wants(&dated, first.peek(), first.len()) && (query.matches)(record.facets)
                {
                    slice.count += 1;
                    first.push(dated);
                    if first.len() > query.limit {
                        first.pop();
                    }
                }
            }
            left -= end.saturating_sub(begin);
            if left == 0 && end < shard.slots() {
                slice.next = Some(Position {
                    shard: shard.id(),
                    slot: SlotIndex(end),
                });
                break;
            }
        }
        let view =
            |dated: Dated| Some((dated, self.device(tenant, DeviceKey::At(dated.position))?));
        slice.first = first.into_iter().filter_map(view).collect();
        slice
    }
}
