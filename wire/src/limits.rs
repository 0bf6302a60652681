//! Every bound of the wire format, each with its reason.
//!
//! Purpose: the one place to look up how large anything from a peer can get. The const asserts at
//! the end hold the relations between bounds at compile time.
//!
//! What it does not hold: limits of a server's resources (connections, inbox sizes, timeouts);
//! those are configuration.

/// Bytes of the header before every frame's payload. Eight, so that a payload starts aligned when
/// the frame does.
pub const HEADER_BYTES: usize = 8;

/// Bytes of one check-in. Three quarters of a cache line; every field is naturally aligned and
/// nothing is wasted but one reserved byte.
pub const CHECK_IN_BYTES: usize = 48;

/// Check-ins in one frame, at most. 4096 of them are 192 KiB: large enough to make the per-frame
/// cost vanish, small enough that one frame is never a noticeable delay for the others of its
/// connection.
pub const CHECK_INS_PER_FRAME_MAX: usize = 4096;

/// Bytes of the payload of a `CheckIns` frame, at most.
pub const CHECK_INS_BYTES_MAX: usize = CHECK_INS_PER_FRAME_MAX * CHECK_IN_BYTES;

/// Bytes of one inventory archive, at most. Holds every string and tag at its own limit (about 5
/// KiB) with room for an encoder that does not pack tightly.
pub const INVENTORY_BYTES_MAX: usize = 8192;

/// Bytes of the fixed part (the root) of an inventory archive: no archive is shorter.
pub const INVENTORY_ROOT_BYTES: usize = 88;

/// Bytes of one inventory string in UTF-8, at most. The longest real one is a user principal name
/// (113 characters); 256 leaves room for names written in scripts of three bytes a character.
pub const STRING_BYTES_MAX: usize = 256;

/// Strings of an inventory record that [`STRING_BYTES_MAX`] applies to.
pub const INVENTORY_STRINGS: usize = 6;

/// Tags of one device, at most.
pub const TAGS_MAX: usize = 16;

/// Bytes of one tag in UTF-8, at most. The length Defender documents for a device tag.
pub const TAG_BYTES_MAX: usize = 200;

/// Bytes of one tag, at least: an empty tag says nothing.
pub const TAG_BYTES_MIN: usize = 1;

/// Bytes of a client's Hello payload. The same in every version, so that version negotiation can
/// always be read.
pub const CLIENT_HELLO_BYTES: usize = 16;

/// Bytes of a server's Hello payload.
pub const SERVER_HELLO_BYTES: usize = 32;

/// Bytes of the totals an Ack payload starts with.
pub const ACK_TOTALS_BYTES: usize = 48;

/// Bytes of one rejection in an Ack payload.
pub const REJECTION_BYTES: usize = 32;

/// Rejections spelled out in one Ack, at most. The totals stay exact beyond it; 64 are enough to
/// find a cause, and keep an ack within two QUIC packets.
pub const REJECTIONS_PER_ACK_MAX: usize = 64;

/// Bytes of an Ack payload, at most.
pub const ACK_BYTES_MAX: usize = ACK_TOTALS_BYTES + REJECTIONS_PER_ACK_MAX * REJECTION_BYTES;

/// Bytes of a Busy payload.
pub const BUSY_BYTES: usize = 8;

/// Bytes of a Goodbye payload.
pub const GOODBYE_BYTES: usize = 8;

/// Bytes of a tenant or gateway name, at most: a DNS label, so that names can become host names.
pub const NAME_BYTES_MAX: usize = 63;

/// Bytes of an identity URI that are looked at, at most: the longest valid one, a gateway's, is
/// `muster://` + 63 + `/gateway/` + 63.
pub const IDENTITY_URI_BYTES_MAX: usize = 9 + NAME_BYTES_MAX + 9 + NAME_BYTES_MAX;

// The count of a header is a u16 and its length a u32.
const _: () = assert!(CHECK_INS_PER_FRAME_MAX <= u16::MAX as usize);
const _: () = assert!(REJECTIONS_PER_ACK_MAX <= u16::MAX as usize);
const _: () = assert!(CHECK_INS_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(CHECK_INS_BYTES_MAX == 196_608);
// A record is copied into memory aligned to 16 bytes, one after the other.
const _: () = assert!(CHECK_IN_BYTES.is_multiple_of(16));
// Every inventory that keeps its own limits fits the frame: root, strings, tags (each an 8-byte
// slot and its bytes), and alignment.
const _: () = assert!(
    INVENTORY_ROOT_BYTES
        + INVENTORY_STRINGS * STRING_BYTES_MAX
        + TAGS_MAX * (8 + TAG_BYTES_MAX)
        + 2 * 8
        <= INVENTORY_BYTES_MAX
);
const _: () = assert!(TAG_BYTES_MIN <= TAG_BYTES_MAX && TAG_BYTES_MAX <= STRING_BYTES_MAX);
const _: () = assert!(ACK_BYTES_MAX == 2096);
