//! The certificate authority: self-signed, issues client and server certificates.
//!
//! All keys are P-256: the smallest handshake that every TLS stack supports. The path length is zero, so an issued
//! certificate cannot sign others. The extended key usage separates clients from servers: a device certificate is not
//! accepted for a server, nor the server's for a device.

use std::net::IpAddr;
use std::time::SystemTime;

use muster_wire::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{PkiError, Validity};

/// The names in every server certificate: those of a server on the same machine.
pub const STANDARD_SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Prefix of the common name of every authority. A suffix makes it unique, so that a verifier that trusts two of them
/// (an old one and its successor) finds the issuer by name.
const AUTHORITY_NAME: &str = "Muster device CA";

/// A certificate with its private key, both as PEM text.
#[derive(Clone)]
pub struct IssuedIdentity {
    /// The certificate, one PEM block.
    pub certificate_pem: String,
    /// The private key as PKCS#8, one PEM block. A secret.
    pub key_pem: String,
}

impl std::fmt::Debug for IssuedIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IssuedIdentity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// A certificate authority with its private key in memory.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CertificateAuthority")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// Creates an authority with a new key.
    pub fn create(validity: Validity) -> Result<Self, PkiError> {
        let key = new_key()?;
        let mark: String = key
            .der_bytes()
            .iter()
            .skip(1)
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut params = params_named(&format!("{AUTHORITY_NAME} {mark}"), validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key).map_err(PkiError::Issue)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem,
        })
    }

    /// Loads an authority from the PEM text of its certificate and its key.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| PkiError::AuthorityCertificate("it is not PEM text"))?;
        let (_, certificate) = X509Certificate::from_der(&der)
            .map_err(|_| PkiError::AuthorityCertificate("it is not an X.509 certificate"))?;
        if !certificate.is_ca() {
            return Err(PkiError::AuthorityCertificate(
                "it is not a certificate authority",
            ));
        }
        let key = KeyPair::from_pem(key_pem).map_err(PkiError::AuthorityKey)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(PkiError::AuthorityMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key)
            .map_err(|_| PkiError::AuthorityCertificate("its name or key usage cannot be read"))?;
        Ok(Self {
            issuer,
            certificate_pem: certificate_pem.to_owned(),
        })
    }

    /// The certificate of the authority: `listen.client_ca` of a server, and the trusted root of a client.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key of the authority. A secret: its holder can impersonate any device of any tenant.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues the certificate of a device or gateway, with a new key.
    pub fn issue_client(
        &self,
        identity: &Identity,
        validity: Validity,
    ) -> Result<IssuedIdentity, PkiError> {
        let uri = identity.to_string();
        // The common name is for people only; the server reads the URI.
        let subject = uri.rsplit('/').next().unwrap_or(&uri);
        let mut params = params_named(subject, validity);
        params.subject_alt_names = vec![SanType::URI(
            uri.as_str().try_into().map_err(PkiError::Issue)?,
        )];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// Issues the certificate of a server with `names` and [`STANDARD_SERVER_NAMES`].
    pub fn issue_server(
        &self,
        names: &[String],
        validity: Validity,
    ) -> Result<IssuedIdentity, PkiError> {
        let mut all: Vec<&str> = STANDARD_SERVER_NAMES.to_vec();
        for name in names {
            if !is_server_name(name) {
                return Err(PkiError::ServerName(name.clone()));
            }
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        let mut params = params_named("Muster server", validity);
        for name in all {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into().map_err(PkiError::Issue)?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Creates a key and signs an end-entity certificate for it.
    fn sign(&self, mut params: CertificateParams) -> Result<IssuedIdentity, PkiError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(PkiError::Issue)?;
        Ok(IssuedIdentity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// Whether a server certificate can carry `name`: a host name or an IP address.
pub fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn new_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Issue)
}

fn params_named(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = instant(validity.not_before);
    params.not_after = instant(validity.not_after);
    params
}

fn instant(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(time)
}

#[cfg(test)]
mod tests;
