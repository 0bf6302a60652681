//! Who sends a change, and under which conditions.

use std::net::IpAddr;

use muster_control::{Actor, Handling, Precondition, Rights};

/// Who sends a change, and on which terms.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The actor in the audit event.
    pub actor: Actor,
    /// From where it is sent; `None` for a program on this machine.
    pub address: Option<IpAddr>,
    /// What the sender may do.
    pub rights: Rights,
    /// The condition that the object must meet.
    pub expected: Precondition,
    /// How much of the document is checked.
    pub handling: Handling,
}

impl Caller {
    /// A program on this machine, through the operations endpoint.
    #[must_use]
    pub fn local(expected: Precondition) -> Self {
        Self {
            actor: Actor::Local,
            address: None,
            expected,
            rights: Rights::local(),
            handling: Handling::Strict,
        }
    }
}
