//! Targets for single records: check-ins and inventories.
//!
//! Properties: a second validator, written from the tables of docs/reference/PROTOCOL.md, agrees; a valid record
//! encodes back to its bytes; the id and number of an invalid record can still be read for its rejection.

use muster_wire::{CheckInBytes, CheckInRecord, DeviceId, Inventory, RejectReason, limits};

use crate::Input;

/// Validates 48 bytes as a check-in.
pub fn check_in(data: &[u8]) {
    let bytes: CheckInBytes = Input(data).array();
    let validated = CheckInRecord::validate(&bytes);
    assert_eq!(validated.as_ref().err().copied(), reject_reason(&bytes));
    let (device_id, seq) = CheckInRecord::peek(&bytes);
    assert_eq!(device_id.as_bytes()[..], bytes[..16]);
    assert_eq!(seq.to_le_bytes()[..], bytes[16..24]);
    let Ok(record) = validated else { return };
    assert_eq!((record.device_id(), record.seq()), (device_id, seq));
    let check_in = record.to_check_in();
    assert_eq!(check_in.to_bytes(), bytes);
    assert_eq!(check_in.to_record(), Ok(record));
    let view = record.view();
    assert_eq!(
        (
            view.sent_at_ms.to_native(),
            view.boot_id.to_native(),
            view.payload.to_native()
        ),
        (record.sent_at_ms(), record.boot_id(), record.payload())
    );
    assert_eq!(view.flags.to_native(), record.flags().bits());
}

/// Why a check-in is invalid by the tables of the protocol, in their order. Uses codes and offsets only, so that it
/// shares nothing with the validator.
fn reject_reason(bytes: &CheckInBytes) -> Option<RejectReason> {
    let agents = [1, 2, 3, 4, 5, 8, 10, 11, 16, 32, 64, 128, 129];
    let reasons = [
        (bytes[..16] == [0; 16], RejectReason::DeviceIdZero),
        (bytes[16..24] == [0; 8], RejectReason::SeqZero),
        (bytes[45] > 8, RejectReason::UnknownPlatform),
        (
            !agents.contains(&bytes[46]),
            RejectReason::UnknownManagementAgent,
        ),
        (bytes[42] > 5, RejectReason::UnknownRisk),
        (bytes[43] > 9, RejectReason::UnknownPartnerThreatState),
        (bytes[44] > 1, RejectReason::UnknownOnboarding),
        (
            bytes[41] > 0x0f || bytes[47] != 0,
            RejectReason::ReservedNotZero,
        ),
    ];
    reasons
        .into_iter()
        .find_map(|(applies, reason)| applies.then_some(reason))
}

/// Decodes bytes as an inventory archive.
pub fn inventory(data: &[u8]) {
    let decoded = Inventory::from_bytes(data);
    let (device_id, revision) = Inventory::peek(data);
    if data.len() < limits::INVENTORY_ROOT_BYTES {
        assert_eq!((device_id, revision), (DeviceId::ZERO, 0));
    }
    let inventory = match decoded {
        Ok(inventory) => inventory,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(RejectReason::ALL.contains(&error.reject_reason()));
            return;
        }
    };
    assert_eq!(
        (inventory.device_id, inventory.revision),
        (device_id, revision)
    );
    assert_eq!(
        inventory.check(),
        Ok(()),
        "a decoded inventory is within the limits"
    );
    let bytes = inventory
        .to_bytes()
        .expect("a decoded inventory can be encoded");
    assert!(bytes.len() <= limits::INVENTORY_BYTES_MAX);
    assert_eq!(bytes, data, "an inventory has exactly one archive");
}
