//! Reads the identity out of a client certificate.
//!
//! The answer means something only for a certificate whose chain TLS has verified; this module looks at
//! names, not at signatures. It denies by default: what is not exactly one well-formed identity is
//! refused. The common name is never looked at. What an identity looks like is `wire`'s business.

use muster_engine::Timestamp;
use muster_wire::{CloseCode, Identity};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate names nobody. The issuer of the certificate must act.
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

/// The identity that the certificates of a connection carry, if all of them are valid now. A resumed session
/// brings those that were verified when it was made, perhaps a day and many sessions ago.
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

/// The identity a client certificate (DER) carries.
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
            // Bytes that no reader agrees on might be a second identity to another reader.
            GeneralName::Invalid(..) => return Err(IdentityError::Certificate),
            _ => {}
        }
    }
    Ok(Identity::from_uris(uris)?)
}

#[cfg(test)]
mod tests;
