//! The certificate authority of `muster pki`: a self-signed CA that issues client and server certificates.
//!
//! Its key is in a file that only its owner can read. That is enough to evaluate the server and to run its tests; a
//! production fleet uses its own CA, with the same identity URI in the subject alternative name.
//!
//! Nothing here reads the clock: every validity window is an argument.

mod authority;
mod directory;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use authority::{CertificateAuthority, IssuedIdentity, STANDARD_SERVER_NAMES, is_server_name};
pub use directory::{PkiDirectory, write_identities};

/// How long before its issue a certificate is already valid, for devices whose clock is behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The validity period of a certificate. A period in the past is allowed: tests need expired certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First instant at which the certificate is accepted.
    pub not_before: SystemTime,
    /// Last instant at which the certificate is accepted.
    pub not_after: SystemTime,
}

impl Validity {
    /// From [`CLOCK_SKEW`] before `now` until `days` days after it.
    pub fn from_now(now: SystemTime, days: u32) -> Self {
        let length = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        Self {
            not_before: now - CLOCK_SKEW,
            not_after: now + length,
        }
    }
}

/// Why a certificate, a key or their directory could not be created or used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file to write already exists. Nothing was written.
    #[error("{} exists and is not overwritten; choose another directory or remove it first", path.display())]
    Exists {
        /// The existing file.
        path: PathBuf,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}; create the files with `muster pki init`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The certificate of the authority cannot issue certificates.
    #[error("cannot use the certificate of the authority: {0}")]
    AuthorityCertificate(&'static str),
    /// The private key of the authority cannot be parsed.
    #[error("cannot use the private key of the authority: {0}")]
    AuthorityKey(rcgen::Error),
    /// Certificate and key of the authority belong to different authorities.
    #[error("the private key of the authority does not match its certificate")]
    AuthorityMismatch,
    /// A name of the server is neither a host name nor an IP address.
    #[error("\"{0}\" is neither a host name nor an IP address")]
    ServerName(String),
    /// The same identity was requested twice.
    #[error("{0} is named twice; name each device once")]
    Repeated(String),
    /// Creating or signing the certificate failed.
    #[error("cannot create the certificate: {0}")]
    Issue(rcgen::Error),
}
