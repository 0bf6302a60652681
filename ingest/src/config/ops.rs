//! `[ops]`: the operations endpoint.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use super::key::{Flag, Key, KeyRow, Text};
use super::reader::Section;
use super::socket_address;

/// The operations endpoint. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpsConfig {
    /// The TCP address to listen on, a loopback address; port 0 binds a free port.
    pub address: SocketAddr,
    /// Whether it changes objects of tenants: settings, connectors, policies.
    pub allow_changes: bool,
}

const ADDRESS: Key<Text<SocketAddr>> = Key {
    path: "ops.address",
    kind: Text {
        default: || SocketAddr::from((Ipv4Addr::LOCALHOST, 7441)),
        allowed: "a loopback IP address and a port, like \"127.0.0.1:7441\" or \"[::1]:7441\"",
        parse: socket_address,
    },
    meaning: "TCP address of the HTTP endpoint for counts, devices, health and metrics. It has no authentication, so it must be a loopback address. Port 0 binds a free port, which is logged.",
};

const ALLOW_CHANGES: Key<Flag> = Key {
    path: "ops.allow_changes",
    kind: Flag { default: false },
    meaning: "Whether tenants and their objects can be created, changed and deleted through this endpoint; otherwise changes are refused with `changesOff`. It has no authentication: with `true`, every program on this machine can change the rules, and audit events name the actor `local`.",
};

impl OpsConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        vec![ADDRESS.row(), ALLOW_CHANGES.row()]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let config = Self {
            address: section.read(&ADDRESS),
            allow_changes: section.read(&ALLOW_CHANGES),
        };
        if !config.address.ip().is_loopback() {
            let message = format!(
                "{} can be reached from other machines and has no authentication; use a loopback \
                 address, like 127.0.0.1:{}",
                config.address,
                config.address.port()
            );
            section.note(ADDRESS.name(), message);
        }
        section.finish();
        config
    }
}
