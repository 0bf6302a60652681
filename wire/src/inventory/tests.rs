//! Round trips, every limit, and archives that were not written by rkyv.

use super::*;

fn sample() -> Inventory {
    Inventory {
        device_id: DeviceId::from_bytes([0xd1; 16]),
        os_version: Inventory::pack_version([10, 0, 22631, 4317]),
        revision: 7,
        owner: Owner::Personal,
        device_name: "laptop-7".to_owned(),
        os_name: "Windows 11".to_owned(),
        model: String::new(),
        manufacturer: "Contoso Computers".to_owned(),
        serial_number: "SN-0000000042".to_owned(),
        user_principal_name: "ana@contoso.example".to_owned(),
        tags: vec!["pilot".to_owned(), "a tag that is longer".to_owned()],
    }
}

fn fault(change: impl FnOnce(&mut Inventory)) -> InventoryError {
    let mut inventory = sample();
    change(&mut inventory);
    inventory.to_bytes().unwrap_err()
}

/// The archive of an inventory without checking its limits, as a hostile client would send it.
fn unchecked(inventory: &Inventory) -> Vec<u8> {
    rkyv::to_bytes::<Failure>(inventory).unwrap().to_vec()
}

#[test]
fn an_inventory_round_trips_at_any_alignment() {
    let archive = sample().to_bytes().unwrap();
    for shift in 0..16 {
        let shifted = [vec![0xaa; shift], archive.clone()].concat();
        assert_eq!(
            Inventory::from_bytes(&shifted[shift..]),
            Ok(sample()),
            "shifted by {shift}"
        );
    }
    assert_eq!(Inventory::peek(&archive), (sample().device_id, 7));
}

#[test]
fn the_largest_inventory_fits_its_frame() {
    let longest = "x".repeat(STRING_BYTES_MAX);
    let inventory = Inventory {
        device_name: longest.clone(),
        os_name: longest.clone(),
        model: longest.clone(),
        manufacturer: longest.clone(),
        serial_number: longest.clone(),
        user_principal_name: longest,
        tags: vec!["t".repeat(TAG_BYTES_MAX); TAGS_MAX],
        ..sample()
    };
    let archive = inventory.to_bytes().unwrap();
    assert!(archive.len() <= INVENTORY_BYTES_MAX);
    assert_eq!(Inventory::from_bytes(&archive), Ok(inventory));
}

#[test]
fn every_limit_is_checked_when_writing() {
    use InventoryError as E;
    let long = "x".repeat(STRING_BYTES_MAX + 1);
    assert_eq!(fault(|it| it.device_id = DeviceId::ZERO), E::DeviceIdZero);
    assert_eq!(fault(|it| it.revision = 0), E::RevisionZero);
    let too_long = E::StringTooLong {
        field: "model",
        bytes: 257,
    };
    assert_eq!(fault(|it| it.model = long), too_long);
    let control = E::ControlCharacter { field: "os_name" };
    assert_eq!(fault(|it| it.os_name = "\u{1b}[2J".to_owned()), control);
    assert_eq!(
        fault(|it| it.tags = vec!["t".to_owned(); 17]),
        E::TooManyTags { count: 17 }
    );
    assert_eq!(
        fault(|it| it.tags = vec![String::new()]),
        E::TagLength { bytes: 0 }
    );
    assert_eq!(
        fault(|it| it.tags = vec!["t".repeat(201)]),
        E::TagLength { bytes: 201 }
    );
}

#[test]
fn every_limit_is_checked_when_reading() {
    let long = Inventory {
        serial_number: "x".repeat(257),
        ..sample()
    };
    let many = Inventory {
        tags: vec![String::new(); 1000],
        ..sample()
    };
    let no_device = Inventory {
        device_id: DeviceId::ZERO,
        ..sample()
    };
    let first = Inventory {
        revision: 0,
        ..sample()
    };
    for (inventory, reason) in [
        (long, RejectReason::InvalidInventory),
        (many, RejectReason::InvalidInventory),
        (no_device, RejectReason::DeviceIdZero),
        (first, RejectReason::SeqZero),
    ] {
        let error = Inventory::from_bytes(&unchecked(&inventory)).unwrap_err();
        assert_eq!(error.reject_reason(), reason, "{error}");
    }
}

#[test]
fn archives_that_are_too_short_or_too_long_are_rejected() {
    for bytes in [0, 1, INVENTORY_ROOT_BYTES - 1, INVENTORY_BYTES_MAX + 1] {
        let error = Inventory::from_bytes(&vec![0; bytes]).unwrap_err();
        assert_eq!(error, InventoryError::Length { bytes });
        assert_eq!(error.reject_reason(), RejectReason::InvalidInventory);
    }
    assert_eq!(Inventory::peek(&[1; 10]), (DeviceId::ZERO, 0));
}

#[test]
fn codes_and_reserved_bytes_of_the_root_are_checked() {
    let archive = sample().to_bytes().unwrap();
    let root = archive.len() - INVENTORY_ROOT_BYTES;
    let with = |at: usize, byte: u8| {
        let mut damaged = archive.clone();
        damaged[root + at] = byte;
        Inventory::from_bytes(&damaged).unwrap_err()
    };
    let owner = with(OWNER_AT, 3);
    assert_eq!(owner, InventoryError::UnknownOwner { code: 3 });
    assert_eq!(owner.reject_reason(), RejectReason::UnknownOwner);
    for at in 29..32 {
        assert_eq!(with(at, 1).reject_reason(), RejectReason::ReservedNotZero);
    }
}

#[test]
fn damaged_pointers_lengths_and_strings_are_rejected() {
    let archive = sample().to_bytes().unwrap();
    let root = archive.len() - INVENTORY_ROOT_BYTES;
    // The pointer and length of the manufacturer, which is out of line, and of the tags.
    for at in [
        root + 56,
        root + 57,
        root + 60,
        root + 63,
        root + 80,
        root + 84,
        root + 87,
    ] {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x40;
        let error = Inventory::from_bytes(&damaged).unwrap_err();
        assert_eq!(
            error.reject_reason(),
            RejectReason::InvalidInventory,
            "byte {at}"
        );
    }
    let mut text = archive;
    let name = text
        .windows(7)
        .position(|bytes| bytes == b"Contoso")
        .unwrap();
    text[name] = 0xff;
    assert_eq!(Inventory::from_bytes(&text), Err(InventoryError::Archive));
}

#[test]
fn packed_versions_sort_like_versions() {
    let older = Inventory::pack_version([10, 0, 9999, 1]);
    let newer = Inventory::pack_version([10, 0, 10000, 0]);
    assert!(older < newer);
    assert_eq!(Inventory::unpack_version(newer), [10, 0, 10000, 0]);
}
