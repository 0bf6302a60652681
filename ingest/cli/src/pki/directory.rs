//! The files of the authority and of issued identities.
//!
//! Files with private keys are created readable by their owner only. Nothing is overwritten: all targets are checked
//! before the first one is written.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use muster_wire::{Identity, Subject};

use super::{CertificateAuthority, IssuedIdentity, PkiError, Validity};

/// Mode of a file with a private key: read and write for the owner only.
const MODE_SECRET: u32 = 0o600;
/// Mode of a public file.
const MODE_PUBLIC: u32 = 0o644;

/// The files in a directory created by `muster pki init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiDirectory {
    /// The certificate of the authority: `ca.pem`.
    pub ca_certificate: PathBuf,
    /// The private key of the authority: `ca.key`.
    pub ca_key: PathBuf,
    /// The certificate of the server: `server.pem`.
    pub server_certificate: PathBuf,
    /// The private key of the server: `server.key`.
    pub server_key: PathBuf,
}

impl PkiDirectory {
    /// The paths in `directory`; does not access the file system.
    pub fn at(directory: &Path) -> Self {
        Self {
            ca_certificate: directory.join("ca.pem"),
            ca_key: directory.join("ca.key"),
            server_certificate: directory.join("server.pem"),
            server_key: directory.join("server.key"),
        }
    }

    /// Writes an authority and the certificate of a server. Fails if one of the files exists.
    pub fn create(
        &self,
        authority: &CertificateAuthority,
        server: &IssuedIdentity,
    ) -> Result<(), PkiError> {
        let files = [
            (
                &self.ca_certificate,
                authority.certificate_pem().to_owned(),
                MODE_PUBLIC,
            ),
            (&self.ca_key, authority.key_pem(), MODE_SECRET),
            (
                &self.server_certificate,
                server.certificate_pem.clone(),
                MODE_PUBLIC,
            ),
            (&self.server_key, server.key_pem.clone(), MODE_SECRET),
        ];
        refuse_existing(files.iter().map(|(path, ..)| path.as_path()))?;
        for (path, text, mode) in &files {
            write_new(path, text, *mode)?;
        }
        Ok(())
    }

    /// Loads the authority.
    pub fn load_authority(&self) -> Result<CertificateAuthority, PkiError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| PkiError::Read {
                path: path.to_owned(),
                source,
            })
        };
        CertificateAuthority::load(&read(&self.ca_certificate)?, &read(&self.ca_key)?)
    }
}

/// Issues a certificate for every identity and writes each into `directory` as one PEM file with
/// certificate and key. Returns the files in the order of the identities.
pub fn write_identities(
    authority: &CertificateAuthority,
    identities: &[Identity],
    validity: Validity,
    directory: &Path,
) -> Result<Vec<PathBuf>, PkiError> {
    let files: Vec<PathBuf> = identities
        .iter()
        .map(|identity| directory.join(file_name(identity)))
        .collect();
    let mut names: Vec<&PathBuf> = files.iter().collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(PkiError::Repeated(pair[0].display().to_string()));
    }
    refuse_existing(files.iter().map(PathBuf::as_path))?;
    for (identity, file) in identities.iter().zip(&files) {
        let issued = authority.issue_client(identity, validity)?;
        write_new(
            file,
            &format!("{}{}", issued.certificate_pem, issued.key_pem),
            MODE_SECRET,
        )?;
    }
    Ok(files)
}

fn file_name(identity: &Identity) -> String {
    match &identity.subject {
        Subject::Device(device) => format!("{device}.pem"),
        Subject::Gateway(gateway) => format!("{gateway}.pem"),
    }
}

fn refuse_existing<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), PkiError> {
    for path in paths {
        // Without following links: a dangling link exists too.
        if path.symlink_metadata().is_ok() {
            return Err(PkiError::Exists {
                path: path.to_owned(),
            });
        }
    }
    Ok(())
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => PkiError::Exists {
            path: path.to_owned(),
        },
        _ => PkiError::Write {
            path: path.to_owned(),
            source,
        },
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| PkiError::Write {
            path: parent.to_owned(),
            source,
        })?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests;
