//! The certificates of the simulated gateways or devices.
//!
//! The identity is read from the certificate, as the server does it, so file names do not matter. Certificates of other
//! tenants, of the other kind, of the server, and of the authority are skipped. Bounds: one directory, without its
//! subdirectories.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use muster_wire::{DeviceId, Identity, Subject};
use x509_parser::{extensions::GeneralName, pem::Pem};

/// No usable certificate was found.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(String);

/// A file with a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The identity in the certificate.
    pub identity: Identity,
}

impl IdentityFile {
    /// The device id, if the identity is a device.
    pub fn device_id(&self) -> Option<DeviceId> {
        match &self.identity.subject {
            Subject::Device(device_id) => Some(*device_id),
            Subject::Gateway(_) => None,
        }
    }
}

/// The kind of identities to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Gateways: many devices on each connection.
    Gateway,
    /// Devices: one connection per device.
    Device,
}

impl Kind {
    /// The name in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Device => "device",
        }
    }
}

/// The identities of this kind and tenant in a directory, sorted by file name.
///
/// # Errors
/// If the directory cannot be read or holds none.
pub fn find(directory: &Path, tenant: &str, kind: Kind) -> Result<Vec<IdentityFile>, NoIdentity> {
    let cannot_read =
        |error: io::Error| NoIdentity(format!("cannot read {}: {error}", directory.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut found = Vec::new();
    for path in paths {
        let pem =
            fs::read(&path).map_err(|error| NoIdentity(format!("{}: {error}", path.display())))?;
        let Some(identity) = identity_of(&pem) else {
            continue;
        };
        let is_kind = match identity.subject {
            Subject::Gateway(_) => kind == Kind::Gateway,
            Subject::Device(_) => kind == Kind::Device,
        };
        if is_kind && identity.tenant.as_str() == tenant {
            found.push(IdentityFile { path, identity });
        }
    }
    if found.is_empty() {
        return Err(NoIdentity(format!(
            "{} has no certificate of a {} of tenant {tenant}; issue one with `muster pki issue`",
            directory.display(),
            kind.name(),
        )));
    }
    Ok(found)
}

/// The identity in the first certificate of a PEM text, if any.
fn identity_of(pem: &[u8]) -> Option<Identity> {
    let blocks = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    let block = blocks
        .into_iter()
        .find(|block| block.label == "CERTIFICATE")?;
    let certificate = block.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
    Identity::from_uris(uris).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_client::testing::TestPki;

    #[test]
    fn only_identities_of_the_requested_kind_and_tenant_are_found() {
        let pki = TestPki::new();
        let directory = tempfile::tempdir().unwrap();
        let device = "6f1c2b9e-58d4-4c6e-9a53-0d1f6f0c7b21";
        for (file, text) in [
            ("b.pem", pki.identity("muster://demo/gateway/two")),
            ("a.pem", pki.identity("muster://demo/gateway/one")),
            ("other.pem", pki.identity("muster://other/gateway/one")),
            (
                "device.pem",
                pki.identity(&format!("muster://demo/device/{device}")),
            ),
            ("ca.pem", pki.ca_pem().to_owned()),
            ("junk.pem", "junk".to_owned()),
            ("notes.txt", pki.identity("muster://demo/gateway/three")),
        ] {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let names = |kind| -> Vec<String> {
            let found = find(directory.path(), "demo", kind).unwrap();
            found.iter().map(|file| file.identity.to_string()).collect()
        };
        assert_eq!(
            names(Kind::Gateway),
            ["muster://demo/gateway/one", "muster://demo/gateway/two"]
        );
        assert_eq!(
            names(Kind::Device),
            [format!("muster://demo/device/{device}")]
        );
        let none = find(directory.path(), "nobody", Kind::Gateway).unwrap_err();
        assert!(none.to_string().contains("muster pki issue"), "{none}");
    }
}
