//! The configuration of the server: one TOML file, one struct per component.
//!
//! An invalid configuration is refused as a whole, with all of its errors: unknown keys, wrong types, values out of
//! range and values that contradict each other, each with its line. Nothing is adjusted silently, and the environment
//! is not read. [`Config::parse`] is pure; [`Config::load`] reads the file and checks where its paths lead. Read once,
//! by the main thread; it does not open certificates or the data directory.
//!
//! Every key is declared once (see `config/key.rs`); [`keys`] lists them, and docs/reference/CONFIGURATION.md is
//! compared with that list by a test.

mod api;
mod fault;
mod issuers;
mod key;
mod listen;
mod log;
mod ops;
mod paths;
mod reader;
mod shards;
mod shutdown;
mod store;
mod test;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use api::ApiConfig;
pub use fault::{ConfigFault, ConfigFaults};
pub use issuers::IssuerConfig;
pub use key::KeyRow;
pub(crate) use listen::GATEWAY_RECEIVE_WINDOW;
pub use listen::ListenConfig;
pub use log::{LogConfig, LogFormat};
pub use ops::OpsConfig;
pub use shards::ShardsConfig;
pub use shutdown::ShutdownConfig;
pub use store::StoreConfig;
pub use test::TestConfig;
pub use units::{ByteSize, ConfigDuration, UnitError};

/// Maximum size of a configuration file; a larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The whole configuration of a server, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The QUIC endpoint for devices and gateways.
    pub listen: ListenConfig,
    /// The operators' API.
    pub api: ApiConfig,
    /// The operations endpoint.
    pub ops: OpsConfig,
    /// The data directory.
    pub store: StoreConfig,
    /// The shards and their limits.
    pub shards: ShardsConfig,
    /// The graceful stop.
    pub shutdown: ShutdownConfig,
    /// The log.
    pub log: LogConfig,
    /// What tests may do.
    pub test: TestConfig,
}

impl Config {
    /// Parses a configuration. Relative paths are resolved against `base_directory`.
    pub fn parse(text: &str, base_directory: &Path) -> Result<Self, ConfigFaults> {
        let mut reader = reader::Reader::new(text, base_directory);
        let Some(table) = reader.document() else {
            return Err(ConfigFaults::new(reader.into_faults()));
        };
        let mut document = reader::Section::new(&mut reader, String::new(), table);
        let config = Self {
            listen: ListenConfig::read(document.section("listen")),
            api: ApiConfig::read(document.section("api")),
            ops: OpsConfig::read(document.section("ops")),
            store: StoreConfig::read(document.section("store")),
            shards: ShardsConfig::read(document.section("shards")),
            shutdown: ShutdownConfig::read(document.section("shutdown")),
            log: LogConfig::read(document.section("log")),
            test: TestConfig::read(document.section("test")),
        };
        document.refuse(
            "tenants",
            "unknown key; tenants are created with POST /tenants on the operations endpoint (docs/reference/API.md)"
                .to_owned(),
        );
        document.finish();
        let faults = reader.into_faults();
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigFaults::new(faults))
        }
    }

    /// Reads a configuration from a file. Relative paths are resolved against its directory.
    pub fn load(file: &Path) -> Result<Self, ConfigFaults> {
        let unreadable =
            |error: std::io::Error| ConfigFaults::of_file(file, format!("cannot be read: {error}"));
        let size = std::fs::metadata(file).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            let message =
                format!("has {size} bytes; the maximum of a configuration is {FILE_BYTES_MAX}");
            return Err(ConfigFaults::of_file(file, message));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        let absolute = std::path::absolute(file).map_err(unreadable)?;
        let base_directory = absolute.parent().unwrap_or(Path::new("/"));
        let checked = Self::parse(&text, base_directory).and_then(|config| {
            let faults = paths::faults(&config);
            if faults.is_empty() {
                Ok(config)
            } else {
                Err(ConfigFaults::new(faults))
            }
        });
        checked.map_err(|faults| faults.in_file(file))
    }

    /// The configuration as TOML with every key, defaults included. It parses back to an equal one.
    pub fn to_toml(&self) -> String {
        toml::to_string(self)
            .expect("structs of strings, numbers, booleans and tables are always TOML")
    }
}

/// Every key of the configuration, in the order of the reference.
pub fn keys() -> Vec<KeyRow> {
    let mut rows = ListenConfig::rows();
    rows.extend(ApiConfig::rows());
    rows.extend(OpsConfig::rows());
    rows.extend(StoreConfig::rows());
    rows.extend(ShardsConfig::rows());
    rows.extend(ShutdownConfig::rows());
    rows.extend(LogConfig::rows());
    rows.extend(TestConfig::rows());
    rows
}

/// Parses the value of a key as a path.
fn file_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("the path is empty".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// Parses the value of a key as an IP address with a port. Host names are not resolved: they can change.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("\"{text}\" is not an IP address with a port"))
}

#[cfg(test)]
pub(crate) mod tests;
