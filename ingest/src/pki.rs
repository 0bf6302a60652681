//! Certificates: authentication of clients.
//!
//! One certificate authority signs the certificates of devices, of gateways and of the server. A client certificate
//! contains exactly one identity (`muster://<tenant>/device/<uuid>` or `muster://<tenant>/gateway/<name>`) in its
//! subject alternative names; nothing else in it is trusted. This module only reads certificates; `muster pki` or the
//! operator's authority issues them. Nothing here reads the clock: the time is an argument.

mod identity;
pub mod tls;

pub use identity::{IdentityError, identity_at, identity_of};
