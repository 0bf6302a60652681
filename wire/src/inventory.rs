//! The inventory record: the facts about a device that are long or change rarely.
//!
//! Purpose: one rkyv archive per record, and [`Inventory`] as its owned form on both sides. Reading validates the
//! archive with bytecheck, then every limit, and finally that it is canonical, so an `Inventory` that was read is
//! within its limits and has exactly these bytes.
//!
//! Bounds: 8192 bytes per archive, 256 bytes per string, 16 tags of 200 bytes. The archive is not nested, so its size
//! bounds the work. What it does not do: merge records; a newer revision replaces the older one as a whole.

use rkyv::{Archive, Serialize, rancor::Failure, util::AlignedVec};

use crate::{
    codes::Owner,
    device_id::DeviceId,
    limits::{
        INVENTORY_BYTES_MAX, INVENTORY_ROOT_BYTES, STRING_BYTES_MAX, TAG_BYTES_MAX, TAG_BYTES_MIN,
        TAGS_MAX,
    },
    reject::RejectReason,
};

/// The facts about a device that are not in its check-ins. An empty string means unknown.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize)]
pub struct Inventory {
    /// The device; not zero.
    pub device_id: DeviceId,
    /// The version of the operating system: four parts of 16 bits, most significant first; see
    /// [`Inventory::pack_version`].
    pub os_version: u64,
    /// The revision that the device assigns: from 1, strictly increasing, independent of the sequence numbers of
    /// check-ins.
    pub revision: u32,
    /// Who owns the device.
    pub owner: Owner,
    /// The name of the device.
    pub device_name: String,
    /// The name of the operating system.
    pub os_name: String,
    /// Model.
    pub model: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Serial number.
    pub serial_number: String,
    /// The user principal name of the primary user.
    pub user_principal_name: String,
    /// Device tags.
    pub tags: Vec<String>,
}

// The archived layout is the wire format. docs/reference/PROTOCOL.md gives these numbers to clients without rkyv.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<ArchivedInventory>() == INVENTORY_ROOT_BYTES);
    assert!(align_of::<ArchivedInventory>() == 8);
    assert!(offset_of!(ArchivedInventory, device_id) == 0);
    assert!(offset_of!(ArchivedInventory, os_version) == 16);
    assert!(offset_of!(ArchivedInventory, revision) == 24);
    assert!(offset_of!(ArchivedInventory, owner) == OWNER_AT);
    assert!(offset_of!(ArchivedInventory, device_name) == RESERVED_AT + RESERVED_BYTES);
    assert!(offset_of!(ArchivedInventory, os_name) == 40);
    assert!(offset_of!(ArchivedInventory, model) == 48);
    assert!(offset_of!(ArchivedInventory, manufacturer) == 56);
    assert!(offset_of!(ArchivedInventory, serial_number) == 64);
    assert!(offset_of!(ArchivedInventory, user_principal_name) == 72);
    assert!(offset_of!(ArchivedInventory, tags) == 80);
};

const OWNER_AT: usize = 28;
const RESERVED_AT: usize = OWNER_AT + 1;
const RESERVED_BYTES: usize = 3;

/// Why an inventory is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InventoryError {
    /// The archive is longer than allowed or shorter than its root.
    #[error("an inventory archive of {bytes} bytes is too short or too long")]
    Length {
        /// The length of the archive.
        bytes: usize,
    },
    /// A pointer, a length or a string in the archive is invalid.
    #[error("the inventory archive is not valid")]
    Archive,
    /// The archive can be read but is not canonical: padding, a slot or an offset differs.
    #[error("the inventory archive is not in the only form that is allowed")]
    NotCanonical,
    /// A reserved byte is set.
    #[error("a reserved byte of the inventory is not zero")]
    ReservedNotZero,
    /// The device id is all zero.
    #[error("the device id of the inventory is all zero")]
    DeviceIdZero,
    /// The revision is zero.
    #[error("the revision of the inventory is zero")]
    RevisionZero,
    /// The owner code is not in the table.
    #[error("owner code {code} is unknown")]
    UnknownOwner {
        /// The code received.
        code: u8,
    },
    /// A string is too long.
    #[error("{field} has {bytes} bytes; at most {STRING_BYTES_MAX} are allowed")]
    StringTooLong {
        /// The name of the field.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A string or tag has a control character, which does not belong in a name and could reach a terminal.
    #[error("{field} has a control character")]
    ControlCharacter {
        /// The name of the field.
        field: &'static str,
    },
    /// Too many tags.
    #[error("{count} tags exceed the limit of {TAGS_MAX}")]
    TooManyTags {
        /// The number of tags.
        count: usize,
    },
    /// A tag is empty or too long.
    #[error("a tag has {bytes} bytes; {TAG_BYTES_MIN} to {TAG_BYTES_MAX} are allowed")]
    TagLength {
        /// Its length.
        bytes: usize,
    },
}

impl InventoryError {
    /// The reason for the Ack.
    #[must_use]
    pub const fn reject_reason(self) -> RejectReason {
        match self {
            Self::ReservedNotZero => RejectReason::ReservedNotZero,
            Self::DeviceIdZero => RejectReason::DeviceIdZero,
            Self::RevisionZero => RejectReason::SeqZero,
            Self::UnknownOwner { .. } => RejectReason::UnknownOwner,
            _ => RejectReason::InvalidInventory,
        }
    }
}

impl Inventory {
    /// Packs a version of four parts into a number. The numbers sort like the versions.
    #[must_use]
    pub fn pack_version(parts: [u16; 4]) -> u64 {
        parts
            .iter()
            .fold(0, |packed, part| packed << 16 | u64::from(*part))
    }

    /// The four parts of a packed version, most significant first.
    #[must_use]
    pub fn unpack_version(packed: u64) -> [u16; 4] {
        let [a, b, c, d, e, f, g, h] = packed.to_be_bytes();
        [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes)
    }

    /// Checks this record against every limit of the format.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(&self) -> Result<(), InventoryError> {
        if self.device_id.is_zero() {
            return Err(InventoryError::DeviceIdZero);
        }
        if self.revision == 0 {
            return Err(InventoryError::RevisionZero);
        }
        check_string("device_name", &self.device_name)?;
        check_string("os_name", &self.os_name)?;
        check_string("model", &self.model)?;
        check_string("manufacturer", &self.manufacturer)?;
        check_string("serial_number", &self.serial_number)?;
        check_string("user_principal_name", &self.user_principal_name)?;
        check_tags(self.tags.iter().map(String::as_str))
    }

    /// The archive of this record, at most [`INVENTORY_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// The first fault; see [`Inventory::check`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, InventoryError> {
        self.check()?;
        let archive = rkyv::to_bytes::<Failure>(self).map_err(|_| InventoryError::Archive)?;
        Ok(archive.to_vec())
    }

    /// Reads an archive, aligned or not.
    ///
    /// # Errors
    /// The first fault, of the archive or of a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InventoryError> {
        let length = InventoryError::Length { bytes: bytes.len() };
        if bytes.len() > INVENTORY_BYTES_MAX {
            return Err(length);
        }
        let root_at = bytes
            .len()
            .checked_sub(INVENTORY_ROOT_BYTES)
            .ok_or(length)?;
        let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        let archived = rkyv::api::low::access::<ArchivedInventory, Failure>(&aligned)
            .map_err(|_| InventoryError::Archive)?;
        // The order of these checks is in docs/reference/PROTOCOL.md, "Which reason an Ack gives".
        let (device_id, revision) = (archived.device_id, archived.revision.to_native());
        if device_id == DeviceId::ZERO.to_bytes() {
            return Err(InventoryError::DeviceIdZero);
        }
        if revision == 0 {
            return Err(InventoryError::RevisionZero);
        }
        let owner = Owner::from_code(archived.owner).ok_or(InventoryError::UnknownOwner {
            code: archived.owner,
        })?;
        let reserved_at = root_at + RESERVED_AT;
        if bytes.get(reserved_at..reserved_at + RESERVED_BYTES) != Some(&[0; RESERVED_BYTES]) {
            return Err(InventoryError::ReservedNotZero);
        }
        let inventory = archived.to_inventory(owner)?;
        // rkyv reads more archives than it writes: it ends a short string at the first 0xff of its slot, ignores
        // padding, and follows any offset. Writing the record again and comparing the bytes rejects them all.
        if inventory.to_bytes()? != bytes {
            return Err(InventoryError::NotCanonical);
        }
        Ok(inventory)
    }

    /// The device id and revision in an archive that may be invalid, to identify a rejected record. Zero if it is too
    /// short.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> (DeviceId, u32) {
        let root = bytes.last_chunk::<INVENTORY_ROOT_BYTES>();
        let device_id = root
            .and_then(|root| root.first_chunk().copied())
            .unwrap_or_default();
        let revision = root.and_then(|root| root.get(24..28)?.first_chunk().copied());
        (
            DeviceId::from_bytes(device_id),
            u32::from_le_bytes(revision.unwrap_or_default()),
        )
    }
}

impl ArchivedInventory {
    /// The owned form. The tags are checked before they are copied, so the limits bound what an archive can make us
    /// allocate.
    fn to_inventory(&self, owner: Owner) -> Result<Inventory, InventoryError> {
        check_tags(self.tags.iter().map(|tag| tag.as_str()))?;
        let inventory = Inventory {
            device_id: DeviceId::from_bytes(self.device_id),
            os_version: self.os_version.to_native(),
            revision: self.revision.to_native(),
            owner,
            device_name: self.device_name.as_str().to_owned(),
            os_name: self.os_name.as_str().to_owned(),
            model: self.model.as_str().to_owned(),
            manufacturer: self.manufacturer.as_str().to_owned(),
            serial_number: self.serial_number.as_str().to_owned(),
            user_principal_name: self.user_principal_name.as_str().to_owned(),
            tags: self
                .tags
                .iter()
                .map(|tag| tag.as_str().to_owned())
                .collect(),
        };
        inventory.check()?;
        Ok(inventory)
    }
}

fn check_string(field: &'static str, text: &str) -> Result<(), InventoryError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(InventoryError::StringTooLong {
            field,
            bytes: text.len(),
        });
    }
    check_characters(field, text)
}

fn check_tags<'a>(tags: impl ExactSizeIterator<Item = &'a str>) -> Result<(), InventoryError> {
    if tags.len() > TAGS_MAX {
        return Err(InventoryError::TooManyTags { count: tags.len() });
    }
    for tag in tags {
        if tag.len() < TAG_BYTES_MIN || tag.len() > TAG_BYTES_MAX {
            return Err(InventoryError::TagLength { bytes: tag.len() });
        }
        check_characters("tag", tag)?;
    }
    Ok(())
}

fn check_characters(field: &'static str, text: &str) -> Result<(), InventoryError> {
    if text.chars().any(char::is_control) {
        return Err(InventoryError::ControlCharacter { field });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
