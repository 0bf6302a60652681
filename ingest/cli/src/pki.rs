//! The certificate authority of `muster pki`: makes itself, and issues certificates of clients and of the server.
//!
//! It keeps its key in a file that only the owner can read. That is enough to try the server and to run its tests; a
//! production fleet brings the certificates of its own authority, with the same identity in the same place.
//!
//! Nothing here reads the clock: every validity window is an argument.

mod authority;
mod directory;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use authority::{CertificateAuthority, IssuedIdentity, STANDARD_SERVER_NAMES, is_server_name};
pub use directory::{PkiDirectory, write_identities};

/// How far before its issue a certificate is already valid, for devices whose clock runs behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The window in which a certificate is valid. Any window is allowed, also one in the past: tests need
/// expired certificates.
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

/// Why a certificate, a key or a directory of them could not be made or used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file that would be written exists. Nothing was written.
    #[error("{} exists and is not overwritten; choose another directory or remove it first", path.display())]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}; make the files with `muster pki init`", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The certificate given as that of the authority cannot issue.
    #[error("the certificate of the authority is not usable: {0}")]
    AuthorityCertificate(&'static str),
    /// The private key given as that of the authority cannot be read.
    #[error("the private key of the authority is not usable: {0}")]
    AuthorityKey(rcgen::Error),
    /// Certificate and key of the authority belong to different authorities.
    #[error("the private key of the authority does not belong to its certificate")]
    AuthorityMismatch,
    /// A name of the server is neither a host name nor an IP address.
    #[error("\"{0}\" is neither a host name nor an IP address")]
    ServerName(String),
    /// The same identity was asked for twice.
    #[error("{0} is asked for twice")]
    Repeated(String),
    /// Making or signing the certificate failed.
    #[error("cannot make the certificate: {0}")]
    Issue(rcgen::Error),
}
