//! The wire format of Muster: the protocol between devices or gateways and a server.
//!
//! Purpose: the one crate that defines every byte of the protocol, for the server, the client SDK and the load
//! generator. `docs/reference/PROTOCOL.md` describes the same bytes for readers who do not know Rust; a test compares
//! the two.
//!
//! Owner: none; everything here is a value or a pure function. A [`Decoder`] belongs to the session that feeds it.
//!
//! Bounds: every bound is a constant in [`limits`].
//!
//! What it does not do: sockets, clocks, threads, X.509 parsing, or the evaluation of devices. It never panics on bytes
//! from a peer, whatever they are and wherever a chunk ends.
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
mod frame_kind;
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
pub use frame::{FrameHeader, Role};
pub use frame_kind::FrameKind;
pub use hello::{
    ALPN, ClientHello, MAGIC, ServerHello, VERSION_MAX, VERSION_MIN, VersionError, negotiate,
};
pub use identity::{GatewayName, Identity, IdentityError, NameError, Subject, TenantName};
pub use inventory::{Inventory, InventoryError};
pub use reject::{RejectReason, Rejection, STALE_CODE, Stored};
