//! `[api]`: the operators' API, over HTTPS.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use super::issuers::IssuerConfig;
use super::key::{Flag, Key, KeyRow, Optional, Text};
use super::reader::Section;
use super::{file_path, socket_address};

/// The operators' API. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// The TCP address to listen on; port 0 binds a free port.
    pub address: SocketAddr,
    /// Its certificate chain; that of the QUIC endpoint if unset.
    pub certificate: Option<PathBuf>,
    /// The private key of its certificate; that of the QUIC endpoint if unset.
    pub key: Option<PathBuf>,
    /// The issuers of OpenID Connect whose users may use it.
    pub issuers: Vec<IssuerConfig>,
}

const ENABLED: Key<Flag> = Key {
    path: "api.enabled",
    kind: Flag { default: true },
    meaning: "Whether the operators' API is served.",
};

const ADDRESS: Key<Text<SocketAddr>> = Key {
    path: "api.address",
    kind: Text {
        default: || SocketAddr::from((Ipv4Addr::LOCALHOST, 7443)),
        allowed: "an IP address and a port, like \"0.0.0.0:7443\" or \"[::]:7443\"",
        parse: socket_address,
    },
    meaning: "TCP address of the operators' API in the shape of Microsoft Graph, over HTTPS. Every request needs a token, of Muster (`muster token create`) or of an issuer (`[[api.issuers]]`). Port 0 binds a free port, which is logged.",
};

const CERTIFICATE: Key<Optional<PathBuf>> = Key {
    path: "api.certificate",
    kind: Optional {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The certificate chain of the API in PEM, leaf certificate first, for clients that do not trust the authority of the devices. If unset, `listen.certificate`. Read once at start.",
};

const KEY: Key<Optional<PathBuf>> = Key {
    path: "api.key",
    kind: Optional {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The private key of `api.certificate` in PEM; set both or neither.",
};

impl ApiConfig {
    pub(super) fn rows() -> Vec<KeyRow> {
        let mut rows = vec![ENABLED.row(), ADDRESS.row(), CERTIFICATE.row(), KEY.row()];
        rows.extend(IssuerConfig::rows());
        rows
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let base = section.base_directory();
        let config = Self {
            enabled: section.read(&ENABLED),
            address: section.read(&ADDRESS),
            certificate: section.read(&CERTIFICATE).map(|path| base.join(path)),
            key: section.read(&KEY).map(|path| base.join(path)),
            issuers: IssuerConfig::read_all(&mut section),
        };
        if config.certificate.is_some() != config.key.is_some() {
            let message = "api.certificate and api.key belong together: set both, or neither";
            section.note(KEY.name(), message.to_owned());
        }
        section.finish();
        config
    }
}
