//! Which stale records the acks of a session list, so that a device learns the number at which it should continue.
//!
//! Owned by the session. Bounded by [`DEVICES_MAX`]. Allocates nothing until a record is stale.

use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use muster_wire::{DeviceId, Rejection, Stored};

/// Devices of a session that are listed, each once for check-ins and once for its inventory; 6 KiB. Enough for every
/// device behind a small gateway; a large gateway learns of the others in its next sessions.
const DEVICES_MAX: usize = 256;

/// The stale records that a session has listed.
#[derive(Debug, Default)]
pub(super) struct StaleRecords {
    /// Device, and whether its inventory was stale.
    listed: Vec<(DeviceId, bool)>,
}

impl StaleRecords {
    /// Adds to an ack the records of `stale` that were not listed before, as far as it has room.
    pub(super) fn list(&mut self, stale: &[Rejection], ack: &mut Vec<Rejection>) {
        for record in stale {
            if ack.len() >= REJECTIONS_PER_ACK_MAX || self.listed.len() >= DEVICES_MAX {
                return;
            }
            let is_inventory = matches!(record.stored, Some(Stored::Revision(_)));
            let key = (record.device_id, is_inventory);
            if !self.listed.contains(&key) {
                self.listed.push(key);
                ack.push(*record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale(number: u128, stored: Stored) -> Rejection {
        Rejection::stale(DeviceId::from_bytes(number.to_be_bytes()), 1, stored)
    }

    #[test]
    fn a_device_is_listed_once_for_each_kind_of_record() {
        let (mut records, mut ack) = (StaleRecords::default(), Vec::new());
        let seq = stale(1, Stored::Seq(9));
        let inventory = stale(1, Stored::Revision(9));
        records.list(&[seq, seq, inventory], &mut ack);
        records.list(&[stale(1, Stored::Seq(10)), inventory], &mut ack);
        assert_eq!(ack, [seq, inventory]);
    }

    #[test]
    fn rejections_come_first_and_what_was_omitted_is_listed_later() {
        let (mut records, mut ack) = (StaleRecords::default(), Vec::new());
        let rejected = stale(0, Stored::Seq(0));
        ack.resize(REJECTIONS_PER_ACK_MAX - 1, rejected);
        let both = [stale(1, Stored::Seq(9)), stale(2, Stored::Seq(9))];
        records.list(&both, &mut ack);
        assert_eq!((ack.len(), ack.last()), (64, Some(&both[0])));
        ack.clear();
        records.list(&both, &mut ack);
        assert_eq!(ack, [both[1]]);
    }

    #[test]
    fn a_session_lists_a_bounded_number_of_devices() {
        let mut records = StaleRecords::default();
        let mut listed = 0;
        for device in 1..=2 * DEVICES_MAX as u128 {
            let mut ack = Vec::new();
            records.list(&[stale(device, Stored::Seq(1))], &mut ack);
            listed += ack.len();
        }
        assert_eq!((listed, records.listed.len()), (DEVICES_MAX, DEVICES_MAX));
    }
}
