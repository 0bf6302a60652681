//! The control plane of Muster: what operators want of each tenant, as a log of changes.
//!
//! A [`Command`] is decided against a [`ControlPlane`] into an [`Entry`] or a [`Refusal`]
//! ([`ControlPlane::decide`]); whoever drives this crate makes the entry durable and then applies it
//! ([`ControlPlane::apply`]). Applying all entries in order gives the same state again, and [`compile`] turns it into
//! the policies that shards evaluate by. An entry is the audit record of its change, and the entries of an object are
//! its [`history`]. Names of objects and properties are those of Microsoft Graph.
//!
//! Bounds: [`limits`]. Deliberately absent: IO, clocks, threads, randomness, formats of HTTP, and the state of devices.
#![forbid(unsafe_code)]

mod bytes;
mod command;
mod compile;
mod decide;
mod document;
mod entry;
mod fault;
mod history;
mod id;
pub mod limits;
mod object;
mod state;
mod value;

pub use bytes::EntryError;
pub use command::{Change, Command, Precondition, Refusal};
pub use compile::compile;
pub use document::Properties;
pub use entry::{Effect, Entry, ModifiedProperty};
pub use fault::{Fault, FaultKind, Faults};
pub use history::history;
pub use id::{ALL_DEVICES, DEFENDER, ETag, ETagError, ObjectId, ObjectIdError};
pub use object::{
    Assignments, CompliancePolicy, Connector, Group, Key, Object, PolicyProperties, Subclass,
    TenantSettings,
};
pub use state::{Contradiction, ControlPlane};
pub use value::{Actor, Description, DisplayName, Number, SecurityLevel, Text};
