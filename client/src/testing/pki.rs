//! A certificate authority for one test.

use std::{net::IpAddr, sync::Arc};

use quinn::crypto::rustls::QuicServerConfig;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// A certificate authority and the certificates it issues.
#[derive(Debug)]
pub struct TestPki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Default for TestPki {
    fn default() -> Self {
        Self::new()
    }
}

impl TestPki {
    /// Creates a new authority.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be generated");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_pem = params
            .self_signed(&key)
            .expect("a certificate can be self-signed")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            ca_pem,
        }
    }

    /// The authority's certificate in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A client certificate with this URI as its only name, and its private key, in PEM.
    pub fn identity(&self, uri: &str) -> String {
        let name = SanType::URI(uri.try_into().expect("a URI is ASCII"));
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: SanType, usage: ExtendedKeyUsagePurpose) -> String {
        let key = KeyPair::generate().expect("a key can be generated");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the authority can sign a certificate");
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }

    /// A server at 127.0.0.1 that requires client certificates of this authority.
    pub(crate) fn server_config(&self) -> quinn::ServerConfig {
        let address = IpAddr::from([127, 0, 0, 1]);
        let pem = self.issue(
            SanType::IpAddress(address),
            ExtendedKeyUsagePurpose::ServerAuth,
        );
        let chain = vec![certificate(&pem)];
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("it was issued above");
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate(&self.ca_pem))
            .expect("it was issued above");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("there is a root certificate");
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider supports TLS 1.3")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("certificate and key belong together");
        tls.alpn_protocols = vec![muster_wire::ALPN.to_vec()];
        let quic =
            QuicServerConfig::try_from(tls).expect("TLS 1.3 has the cipher of Initial packets");
        quinn::ServerConfig::with_crypto(Arc::new(quic))
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("it was issued above")
}
