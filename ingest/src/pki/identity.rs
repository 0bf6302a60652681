//! Reads the identity from a client certificate.
//!
//! Pure. The result is valid only for a certificate whose chain TLS has verified: this module reads names, not
//! signatures. It denies by default: anything but exactly one well-formed identity is refused. The common name is
//! ignored. The format of an identity is defined in `wire`.

use muster_engine::Timestamp;
use muster_wire::{CloseCode, Identity};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate has no valid identity. The issuer of the certificate must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate, or the extension with its names, is not well-formed.
    #[error("the certificate is malformed")]
    Certificate,
    /// A certificate is expired, or not valid yet.
    #[error("a certificate is not valid at this time")]
    Expired,
    /// The names in the certificate are not one identity.
    #[error(transparent)]
    Names(#[from] muster_wire::IdentityError),
}

impl IdentityError {
    /// The code to close the connection with.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Certificate => CloseCode::IdentityInvalid,
            Self::Expired => CloseCode::IdentityExpired,
            Self::Names(error) => error.close_code(),
        }
    }
}

/// The identity in the certificates of a connection, if all of them are valid now. A resumed session has the
/// certificates that were verified when it was created, perhaps a day and many sessions ago.
pub fn identity_at(
    now: Timestamp,
    chain: &[CertificateDer<'_>],
) -> Result<Identity, IdentityError> {
    let (own, issuers) = chain
        .split_first()
        .ok_or(muster_wire::IdentityError::Missing)?;
    for certificate in [own].into_iter().chain(issuers) {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| IdentityError::Certificate)?;
        let validity = certificate.validity();
        let seconds = i64::try_from(now.as_millis() / 1000).unwrap_or(i64::MAX);
        if !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&seconds) {
            return Err(IdentityError::Expired);
        }
    }
    identity_of(own)
}

/// The identity in a client certificate (DER).
pub fn identity_of(certificate_der: &[u8]) -> Result<Identity, IdentityError> {
    let (rest, certificate) =
        X509Certificate::from_der(certificate_der).map_err(|_| IdentityError::Certificate)?;
    if !rest.is_empty() {
        return Err(IdentityError::Certificate);
    }
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Certificate)?;
    let names = extension.map(|extension| extension.value.general_names.as_slice());
    let mut uris = Vec::new();
    for name in names.unwrap_or_default() {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // Another parser might read malformed bytes as a second identity.
            GeneralName::Invalid(..) => return Err(IdentityError::Certificate),
            _ => {}
        }
    }
    Ok(Identity::from_uris(uris)?)
}

#[cfg(test)]
mod tests;
