//! The devices of a data directory, as `muster devices` lists them.
//!
//! Parses one line at a time and keeps what the checks need. It checks nothing itself.

use muster_engine::FacetWord;
use muster_wire::{DeviceId, Digest};
use serde::Deserialize;

use crate::environment::TENANTS;
use crate::ledger::{DeviceKey, Kind};

/// A device on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// The device.
    pub device: DeviceKey,
    /// Seq and digest of its last check-in; 0 and none before the first.
    pub check_in: (u64, Option<Digest>),
    /// Revision and digest of its last inventory; 0 and none before the first.
    pub inventory: (u64, Option<Digest>),
    /// Its facets, so the cell that counts it.
    pub facets: FacetWord,
}

impl ListedDevice {
    /// Number and digest of the last record of a kind.
    pub const fn last(&self, kind: Kind) -> (u64, Option<Digest>) {
        match kind {
            Kind::CheckIn => self.check_in,
            Kind::Inventory => self.inventory,
        }
    }

    /// Parses a line.
    ///
    /// # Errors
    /// Why the line is invalid.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let tenant = TENANTS.iter().position(|name| *name == line.tenant);
        let tenant = tenant.ok_or_else(|| format!("unknown tenant: \"{}\"", line.tenant))?;
        let id: DeviceId =
            (line.id.parse()).map_err(|_| format!("invalid device id: {}", line.id))?;
        Ok(Self {
            device: (tenant, id),
            check_in: (line.seq, parse_digest(line.digest)?),
            inventory: (
                line.inventory_revision,
                parse_digest(line.inventory_digest)?,
            ),
            facets: FacetWord(line.facets),
        })
    }
}

fn parse_digest(text: Option<String>) -> Result<Option<Digest>, String> {
    let Some(text) = text else { return Ok(None) };
    Digest::from_hex(&text)
        .map(Some)
        .ok_or_else(|| format!("invalid digest: {text}"))
}

#[derive(Debug, Deserialize)]
struct Line {
    tenant: String,
    id: String,
    seq: u64,
    digest: Option<String>,
    inventory_revision: u64,
    inventory_digest: Option<String>,
    facets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"tenant":"contoso","id":"0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01","shard":1,
        "seq":7,"digest":"00000000000000ff","inventory_revision":0,"inventory_digest":null,
        "owner":"company","tags":["b","a"],"facets":5}"#;

    #[test]
    fn a_line_is_parsed() {
        let device = ListedDevice::parse(LINE).unwrap();
        assert_eq!(device.last(Kind::CheckIn), (7, Some(Digest(255))));
        assert_eq!(device.last(Kind::Inventory), (0, None));
        assert_eq!((device.device.0, device.facets), (0, FacetWord(5)));
    }

    #[test]
    fn an_invalid_line_is_an_error() {
        for (from, to, expected) in [
            ("contoso", "nobody", "unknown tenant"),
            ("0fd1a9f4-", "", "invalid device id"),
            ("00000000000000ff", "ff", "invalid digest"),
            ("\"seq\":7,", "", "seq"),
        ] {
            let error = ListedDevice::parse(&LINE.replace(from, to)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
