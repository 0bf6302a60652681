//! Builds inventory archives byte by byte from the rules of docs/reference/PROTOCOL.md, without rkyv, and
//! reads them with the crate: what a client in another language would do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use muster_wire::{DeviceId, Inventory, InventoryError, Owner};

/// The archive under construction: everything behind the root's fields, then the root.
struct Archive(Vec<u8>);

/// Where the eight bytes of a string go and what they point to.
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

    /// Rule: up to 8 bytes of UTF-8 stand in the slot, filled up with 0xff; longer ones before it.
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

    /// Rule: an outside string is its length with bits 6 and 7 made `10` and the higher bits moved
    /// up by two, then the distance from the start of the slot to the text.
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

#[test]
fn unused_bytes_before_and_between_are_allowed() {
    let inventory = sample(20);
    let archive = by_hand(&inventory);
    // Pointers are relative, so eight bytes more in front change none of them.
    let padded = [vec![0x55; 8], archive].concat();
    assert_eq!(Inventory::from_bytes(&padded), Ok(inventory));
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
