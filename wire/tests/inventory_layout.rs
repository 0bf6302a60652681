//! Builds inventory archives from the rules of docs/reference/PROTOCOL.md without rkyv, like a client in another
//! language, and reads them with the crate.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use muster_wire::{DeviceId, Inventory, InventoryError, Owner};

/// The archive under construction: what the root points to, then the root.
struct Archive(Vec<u8>);

/// The eight bytes of a string in its slot, or where the string is.
enum Slot {
    Inline([u8; 8]),
    Outside { at: usize, length: usize },
}

impl Archive {
    fn align(&mut self, alignment: usize) {
        while !self.0.len().is_multiple_of(alignment) {
            self.0.push(0);
        }
    }

    /// Rule: up to 8 bytes of UTF-8 are in the slot, padded with 0xff; a longer string is before it.
    fn string(&mut self, text: &str) -> Slot {
        if text.len() <= 8 {
            let mut slot = [0xff; 8];
            slot[..text.len()].copy_from_slice(text.as_bytes());
            return Slot::Inline(slot);
        }
        let at = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        Slot::Outside {
            at,
            length: text.len(),
        }
    }

    /// Rule: the slot of a longer string is its length, with bits 6 and 7 set to `10` and the higher bits shifted up by
    /// two, then the distance from the start of the slot to the string.
    fn push_slot(&mut self, slot: &Slot) {
        match slot {
            Slot::Inline(bytes) => self.0.extend_from_slice(bytes),
            Slot::Outside { at, length } => {
                let distance = *at as i64 - self.0.len() as i64;
                let length = (length & 0x3f) | 0x80 | ((length & !0x3f) << 2);
                self.0.extend_from_slice(&(length as u32).to_le_bytes());
                self.0.extend_from_slice(&(distance as i32).to_le_bytes());
            }
        }
    }
}

fn by_hand(inventory: &Inventory) -> Vec<u8> {
    let mut archive = Archive(Vec::new());
    let strings = [
        &inventory.device_name,
        &inventory.os_name,
        &inventory.model,
        &inventory.manufacturer,
        &inventory.serial_number,
        &inventory.user_principal_name,
    ]
    .map(|text| archive.string(text));
    let tags: Vec<_> = inventory
        .tags
        .iter()
        .map(|tag| archive.string(tag))
        .collect();
    archive.align(4);
    let tags_at = archive.0.len();
    for tag in &tags {
        archive.push_slot(tag);
    }
    archive.align(8);
    let root = archive.0.len();
    archive.0.extend_from_slice(inventory.device_id.as_bytes());
    archive
        .0
        .extend_from_slice(&inventory.os_version.to_le_bytes());
    archive
        .0
        .extend_from_slice(&inventory.revision.to_le_bytes());
    archive
        .0
        .extend_from_slice(&[inventory.owner.code(), 0, 0, 0]);
    for slot in &strings {
        archive.push_slot(slot);
    }
    let distance = tags_at as i64 - archive.0.len() as i64;
    archive
        .0
        .extend_from_slice(&(distance as i32).to_le_bytes());
    archive
        .0
        .extend_from_slice(&u32::try_from(tags.len()).unwrap().to_le_bytes());
    assert_eq!(archive.0.len() - root, 88);
    archive.0
}

fn sample(length: usize) -> Inventory {
    let text = |letter: &str| letter.repeat(length);
    Inventory {
        device_id: DeviceId::from_bytes([9; 16]),
        os_version: 1 << 48,
        revision: 2,
        owner: Owner::Personal,
        device_name: text("a"),
        os_name: text("b"),
        model: String::new(),
        manufacturer: "ü".repeat(length / 2),
        serial_number: text("d"),
        user_principal_name: text("e"),
        tags: (0..length.min(16)).map(|_| text("t")).collect(),
    }
}

#[test]
fn an_archive_built_from_the_document_is_read_and_is_what_rkyv_writes() {
    for length in [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 199, 200] {
        let inventory = sample(length);
        let archive = by_hand(&inventory);
        assert_eq!(
            Inventory::from_bytes(&archive),
            Ok(inventory.clone()),
            "{length}"
        );
        assert_eq!(inventory.to_bytes(), Ok(archive), "{length}");
    }
    let longest = Inventory {
        tags: Vec::new(),
        ..sample(256)
    };
    assert_eq!(Inventory::from_bytes(&by_hand(&longest)), Ok(longest));
}

/// What a text of up to 8 bytes may look like in its slot: it, and nothing but 0xff behind it.
///
/// Row X26: inventory slot `ab ff 63 64 ff ff ff ff` was stored as "ab" -> refused. The row writes the
/// letters a and b; read as the byte 0xab the slot is the form of a long text, and refused as well.
#[test]
fn x26_a_slot_with_bytes_behind_the_end_of_its_text_is_refused() {
    let inventory = Inventory {
        tags: vec!["ab".to_owned(); 2],
        ..sample(2)
    };
    let archive = by_hand(&inventory);
    let root = archive.len() - 88;
    let fields = (32..80).step_by(8).map(|field| root + field);
    let tags = [root - 16, root - 8];
    for slot in fields.chain(tags) {
        for (spoiled, is_text) in [
            (*b"ab\xffcd\xff\xff\xff", true),
            (*b"ab\xff\xff\xff\xff\xffc", true),
            (*b"ab\xff\0\0\0\0\0", true),
            (*b"\xab\xffcd\xff\xff\xff\xff", false),
        ] {
            let mut archive = archive.clone();
            archive[slot..slot + 8].copy_from_slice(&spoiled);
            let expected = if is_text {
                InventoryError::NotCanonical
            } else {
                InventoryError::Archive
            };
            assert_eq!(
                Inventory::from_bytes(&archive),
                Err(expected),
                "{spoiled:x?} at {slot}"
            );
        }
    }
    assert_eq!(Inventory::from_bytes(&archive), Ok(inventory));
}

/// The kind of row X26: bytes of an archive that no field needs have one value.
#[test]
fn x26_padding_that_is_not_zero_is_refused() {
    // 20 bytes of each text: 6 x 20 and 2 x 11 bytes of text, padding to a multiple of 4, two slots, padding to 8.
    let inventory = Inventory {
        model: "c".repeat(20),
        tags: vec!["eleven byte".to_owned(); 2],
        ..sample(20)
    };
    let archive = by_hand(&inventory);
    let root = archive.len() - 88;
    let texts = 6 * 20 + 2 * 11;
    let slots = texts + 2..texts + 2 + 16;
    assert_eq!(root, slots.end, "no padding behind these slots");
    let with_padding_behind = Inventory {
        tags: vec!["twelve bytes".to_owned(); 3],
        ..inventory.clone()
    };
    let padded = by_hand(&with_padding_behind);
    let behind = padded.len() - 88 - 4;
    for (archive, padding) in [
        (&archive, texts..slots.start),
        (&padded, behind..behind + 4),
    ] {
        assert!(Inventory::from_bytes(archive).is_ok());
        for at in padding {
            let mut spoiled = archive.clone();
            assert_eq!(spoiled[at], 0, "byte {at} is padding");
            spoiled[at] = 1;
            let found = Inventory::from_bytes(&spoiled);
            assert_eq!(found, Err(InventoryError::NotCanonical), "byte {at}");
        }
    }
}

/// The kind of row X26: nothing stands before, between or behind what the record needs.
#[test]
fn x26_bytes_that_nothing_points_to_are_refused() {
    let archive = by_hand(&sample(20));
    let not_canonical = Err(InventoryError::NotCanonical);
    // Offsets are relative, so eight bytes more in front change none of them.
    for filling in [0, 0x55] {
        let padded = [vec![filling; 8], archive.clone()].concat();
        assert_eq!(Inventory::from_bytes(&padded), not_canonical);
    }
    // A gap between the first text and the slots: only the first text moves away from its slot.
    let inventory = Inventory {
        device_name: "a text of 20 bytes..".to_owned(),
        ..sample(0)
    };
    let archive = by_hand(&inventory);
    let gap = 8;
    let mut gapped = [&archive[..20], &[0; 8], &archive[20..]].concat();
    let slot = gapped.len() - 88 + 32;
    let offset = -i32::try_from(slot).unwrap();
    gapped[slot + 4..slot + 8].copy_from_slice(&offset.to_le_bytes());
    assert_eq!(
        offset,
        -i32::try_from(archive.len() - 88 + 32 + gap).unwrap()
    );
    assert_eq!(Inventory::from_bytes(&gapped), not_canonical);
}

/// The kind of row X26: an empty list has an offset, and one only.
#[test]
fn x26_an_empty_list_that_points_elsewhere_is_refused() {
    let inventory = Inventory {
        device_name: "a text of 20 bytes..".to_owned(),
        ..sample(0)
    };
    let archive = by_hand(&inventory);
    let tags = archive.len() - 8;
    for position in [0, 4, 8] {
        let mut spoiled = archive.clone();
        let offset = position - i32::try_from(tags).unwrap();
        spoiled[tags..tags + 4].copy_from_slice(&offset.to_le_bytes());
        assert!(Inventory::from_bytes(&spoiled).is_err(), "{position}");
    }
    assert_eq!(Inventory::from_bytes(&archive), Ok(inventory));
}

/// The kind of row X26, byte by byte: an archive that differs in one byte is another record or refused.
#[test]
fn x26_every_byte_of_an_archive_is_meant_or_refused() {
    for length in [0, 2, 8, 9, 20, 70] {
        let inventory = sample(length);
        let archive = by_hand(&inventory);
        for at in 0..archive.len() {
            for value in 0..=255 {
                let mut changed = archive.clone();
                changed[at] = value;
                if let Ok(read) = Inventory::from_bytes(&changed) {
                    assert_eq!(read.to_bytes(), Ok(changed), "{value:#x} at {at}");
                    assert_eq!(read == inventory, value == archive[at]);
                }
            }
        }
    }
}

#[test]
fn an_outside_string_of_eight_bytes_or_less_is_refused() {
    let inventory = Inventory {
        device_name: "nine byte".to_owned(),
        ..sample(0)
    };
    let mut archive = by_hand(&inventory);
    let slot = archive.len() - 88 + 32;
    assert_eq!(archive[slot], 0x80 | 9);
    archive[slot] = 0x80 | 8;
    assert_eq!(
        Inventory::from_bytes(&archive),
        Err(InventoryError::Archive)
    );
}

#[test]
fn two_strings_may_not_share_their_bytes() {
    let name = "shared by two fields".to_owned();
    let inventory = Inventory {
        device_name: name.clone(),
        os_name: name,
        ..sample(0)
    };
    let mut archive = by_hand(&inventory);
    let root = archive.len() - 88;
    // Both slots now point to the first text.
    let distance = i32::try_from(root + 40).unwrap();
    archive[root + 44..root + 48].copy_from_slice(&(-distance).to_le_bytes());
    assert_eq!(
        Inventory::from_bytes(&archive),
        Err(InventoryError::Archive)
    );
}

#[test]
fn texts_must_come_in_the_order_of_their_fields() {
    let inventory = Inventory {
        device_name: "first text of 22 bytes".to_owned(),
        os_name: "other text of 22 bytes".to_owned(),
        ..sample(0)
    };
    let mut archive = by_hand(&inventory);
    let root = archive.len() - 88;
    let first = -i32::try_from(root + 32).unwrap() + 22;
    let second = -i32::try_from(root + 40).unwrap();
    archive[root + 36..root + 40].copy_from_slice(&first.to_le_bytes());
    archive[root + 44..root + 48].copy_from_slice(&second.to_le_bytes());
    assert_eq!(
        Inventory::from_bytes(&archive),
        Err(InventoryError::Archive)
    );
}
