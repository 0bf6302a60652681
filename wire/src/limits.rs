//! Every bound of the wire format, with its reason.
//!
//! Purpose: the one place that says how large anything from a peer can get. The const assertions at the end check the
//! relations between bounds at compile time.
//!
//! What it does not define: limits of a server's resources (connections, inbox sizes, timeouts); those are
//! configuration.

/// Bytes of the header before every payload. Eight, so that the payload of an aligned frame is aligned.
pub const HEADER_BYTES: usize = 8;

/// Bytes of one check-in: three quarters of a cache line, every field naturally aligned, one reserved byte.
pub const CHECK_IN_BYTES: usize = 48;

/// The maximum number of check-ins in a frame. 4096 are 192 KiB: enough to make the cost per frame negligible, few
/// enough not to delay other frames of the connection noticeably.
pub const CHECK_INS_PER_FRAME_MAX: usize = 4096;

/// The maximum payload of a `CheckIns` frame, in bytes.
pub const CHECK_INS_BYTES_MAX: usize = CHECK_INS_PER_FRAME_MAX * CHECK_IN_BYTES;

/// The maximum size of an inventory archive, in bytes. Every string and tag at its own limit takes about 5 KiB; the
/// rest is for encoders that do not pack tightly.
pub const INVENTORY_BYTES_MAX: usize = 8192;

/// Bytes of the fixed part (the root) of an inventory archive; no archive is shorter.
pub const INVENTORY_ROOT_BYTES: usize = 88;

/// The maximum length of an inventory string, in bytes of UTF-8. The longest in practice is a user principal name (113
/// characters); 256 leaves room for scripts with three bytes per character.
pub const STRING_BYTES_MAX: usize = 256;

/// The number of strings in an inventory record that [`STRING_BYTES_MAX`] applies to.
pub const INVENTORY_STRINGS: usize = 6;

/// The maximum number of tags of a device.
pub const TAGS_MAX: usize = 16;

/// The maximum length of a tag, in bytes of UTF-8: the limit that Defender documents for device tags.
pub const TAG_BYTES_MAX: usize = 200;

/// The minimum length of a tag, in bytes: an empty tag has no meaning.
pub const TAG_BYTES_MIN: usize = 1;

/// Bytes of a client's Hello payload. The same in every version, so that every server can negotiate.
pub const CLIENT_HELLO_BYTES: usize = 16;

/// Bytes of a server's Hello payload.
pub const SERVER_HELLO_BYTES: usize = 32;

/// Bytes of the totals at the start of an Ack payload.
pub const ACK_TOTALS_BYTES: usize = 48;

/// Bytes of one rejection or stale record in an Ack payload.
pub const REJECTION_BYTES: usize = 40;

/// The maximum number of records listed in an Ack. The totals count further ones exactly; 64 are enough to find a
/// cause, and keep an ack within three QUIC packets. Stale records take what rejections leave of it.
pub const REJECTIONS_PER_ACK_MAX: usize = 64;

/// Bytes of a Busy payload.
pub const BUSY_BYTES: usize = 8;

/// Bytes of a Goodbye payload.
pub const GOODBYE_BYTES: usize = 8;

/// The maximum length of a tenant or gateway name, in bytes: a DNS label, so that a name can become a host name.
pub const NAME_BYTES_MAX: usize = 63;

/// The maximum length of an identity URI, in bytes: the longest, a gateway's, is `muster://` + 63 + `/gateway/` + 63.
pub const IDENTITY_URI_BYTES_MAX: usize = 9 + NAME_BYTES_MAX + 9 + NAME_BYTES_MAX;

// In a header, the count is a u16 and the length a u32.
const _: () = assert!(CHECK_INS_PER_FRAME_MAX <= u16::MAX as usize);
const _: () = assert!(REJECTIONS_PER_ACK_MAX <= u16::MAX as usize);
const _: () = assert!(CHECK_INS_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(CHECK_INS_BYTES_MAX == 196_608);
// Records are copied one after another into memory aligned to 16 bytes.
const _: () = assert!(CHECK_IN_BYTES.is_multiple_of(16));
// Every inventory within its limits fits into a frame: root, strings, tags (each an 8-byte slot and its bytes), and
// alignment.
const _: () = assert!(
    INVENTORY_ROOT_BYTES
        + INVENTORY_STRINGS * STRING_BYTES_MAX
        + TAGS_MAX * (8 + TAG_BYTES_MAX)
        + 2 * 8
        <= INVENTORY_BYTES_MAX
);
const _: () = assert!(TAG_BYTES_MIN <= TAG_BYTES_MAX && TAG_BYTES_MAX <= STRING_BYTES_MAX);
