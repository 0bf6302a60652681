//! The wire format of Muster: what a device or gateway and a server say to each other.
//!
//! Purpose: one crate that knows every byte of the protocol, used by the server, the client SDK and
//! the load generator alike. `docs/reference/PROTOCOL.md` describes the same bytes for people who do not read
//! Rust, and a test compares the two.
//!
//! Owner: nobody; everything here is a value or a pure function. A [`Decoder`] belongs to the
//! session that feeds it.
//!
//! Bounds: every one is a constant in [`limits`].
//!
//! What it does not do: no sockets, no clock, no threads, no X.509 parsing, and no judgement about
//! a device. It never panics on bytes from a peer, whatever they are and however they are cut into
//! chunks.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ack;
mod check_in;
mod close;
mod codes;
mod decode;
mod device_id;
mod digest;
mod encode;
mod error;
mod fields;
mod flags;
mod frame;
mod hello;
mod identity;
mod inventory;
pub mod limits;
mod reject;

pub use ack::{Ack, AckTotals, Busy, Goodbye};
pub use check_in::{ArchivedCheckIn, CheckIn, CheckInBytes, CheckInRecord};
pub use close::{Actor, CloseCode};
pub use codes::{ManagementAgent, Onboarding, Owner, PartnerThreatState, Platform, Risk};
pub use decode::{Decoder, Item};
pub use device_id::{DeviceId, DeviceIdError};
pub use digest::Digest;
pub use encode::{
    encode_ack, encode_busy, encode_check_ins, encode_check_ins_header, encode_client_hello,
    encode_goodbye, encode_inventory, encode_server_hello,
};
pub use error::{DecodeError, EncodeError};
pub use flags::Flags;
pub use frame::{FrameHeader, FrameKind, Role};
pub use hello::{
    ALPN, ClientHello, MAGIC, ServerHello, VERSION_MAX, VERSION_MIN, VersionError, negotiate,
};
pub use identity::{GatewayName, Identity, IdentityError, NameError, Subject, TenantName};
pub use inventory::{Inventory, InventoryError};
pub use reject::{RejectReason, Rejection};
