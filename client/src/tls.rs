//! The TLS and QUIC configuration of a client.
//!
//! TLS 1.3 only, with an explicit crypto provider. The server must have a certificate of the configured CA, and the
//! client sends its own. A resumed session skips both: neither side verifies or signs anything. Sessions belong to one
//! configuration, and so to one identity and one CA, and are kept in memory only. Early data is sent only to a server
//! that issued a ticket for it; such a server accepts every ticket once.

use std::{fs, sync::Arc};

use muster_wire::{ALPN, Identity, Subject};
use quinn::{IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};
use rustls::{
    CipherSuite, RootCertStore,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use webpki::EndEntityCert;

use crate::{
    config::{ClientConfig, Pem},
    error::ClientError,
};

/// The receive window. The server sends acks of at most 2 KiB, so this never blocks it, and it bounds the memory of a
/// connection that is not read.
const RECEIVE_WINDOW_BYTES: u32 = 64 * 1024;

/// The send window: bytes written and not yet acknowledged by QUIC. More than the bandwidth-delay product of a long
/// fast path (1 Gbit/s at 50 ms is 6 MB), so that the window of frames is the limit.
const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// The capacity of the session cache, in server names. A configuration has one; rustls treats this as a size hint.
const SERVER_NAMES_MAX: usize = 2;

/// The QUIC configuration of every connection of a client.
pub(crate) fn quic_config(config: &ClientConfig) -> Result<quinn::ClientConfig, ClientError> {
    let (certificates, key) = identity(&config.identity)?;
    let is_device = certificates.first().is_some_and(is_device);
    let tls = QuicClientConfig::try_from(tls_config(config, certificates, key)?)
        .map_err(|error| ClientError::Configuration(error.to_string()))?;
    let mut quic = quinn::ClientConfig::new(Arc::new(tls));
    quic.transport_config(Arc::new(transport(config, is_device)));
    Ok(quic)
}

/// Whether this is the certificate of a device. `false` if it cannot be parsed: the server will refuse it.
fn is_device(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return false;
    };
    let identity = Identity::from_uris(certificate.valid_uri_names());
    identity.is_ok_and(|identity| matches!(identity.subject, Subject::Device(_)))
}

/// The provider, with AES-128 and SHA-256 preferred. AES-256 comes with SHA-384, for which most processors have no
/// instruction; it was the largest single cost of a resumed handshake.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let suites = &mut provider.cipher_suites;
    suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

fn tls_config(
    config: &ClientConfig,
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::Configuration(error.to_string()))?
        .with_root_certificates(root_certificates(&config.ca)?)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| unusable(&config.identity, "identity", &error))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = if config.resume {
        Resumption::in_memory_sessions(SERVER_NAMES_MAX)
    } else {
        Resumption::disabled()
    };
    tls.enable_early_data = config.resume && config.early_data;
    Ok(tls)
}

/// The QUIC transport parameters.
pub(crate) fn transport(config: &ClientConfig, is_device: bool) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // Always converts: the timeout was checked to be at most ten minutes.
    transport.max_idle_timeout(IdleTimeout::try_from(config.idle_timeout).ok());
    transport.keep_alive_interval(config.keep_alive_interval);
    // The server opens no streams and sends no datagrams.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.datagram_receive_buffer_size(None);
    transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
    transport.receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
    transport.send_window(SEND_WINDOW_BYTES);
    if is_device {
        // A device never fills a packet: probes for a larger MTU would be most of what it sends.
        transport.mtu_discovery_config(None);
        transport.enable_segmentation_offload(false);
    }
    transport
}

fn root_certificates(pem: &Pem) -> Result<RootCertStore, ClientError> {
    let text = read(pem, "CA certificate")?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&text, pem, "CA certificate")? {
        roots
            .add(certificate)
            .map_err(|error| unusable(pem, "CA certificate", &error))?;
    }
    Ok(roots)
}

fn identity(
    pem: &Pem,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ClientError> {
    let text = read(pem, "identity")?;
    let certificates = certificates(&text, pem, "identity")?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| unusable(pem, "identity", &format!("no private key in PEM: {error}")))?;
    Ok((certificates, key))
}

fn certificates(
    text: &[u8],
    pem: &Pem,
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(pem, what, &error))?;
    if certificates.is_empty() {
        return Err(unusable(pem, what, &"no certificate in PEM"));
    }
    Ok(certificates)
}

fn read(pem: &Pem, what: &str) -> Result<Vec<u8>, ClientError> {
    match pem {
        Pem::File(path) => fs::read(path).map_err(|error| unusable(pem, what, &error)),
        Pem::Text(text) => Ok(text.clone()),
    }
}

fn unusable(pem: &Pem, what: &str, problem: &dyn std::fmt::Display) -> ClientError {
    ClientError::Credentials(match pem {
        Pem::File(path) => format!("cannot use {what} {}: {problem}", path.display()),
        Pem::Text(_) => format!("cannot use {what}: {problem}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestPki;

    fn config() -> ClientConfig {
        let pki = TestPki::new();
        let identity = pki.identity("muster://demo/gateway/g");
        let server = ([127, 0, 0, 1], 1).into();
        ClientConfig::new(server, Pem::text(pki.ca_pem()), Pem::text(identity))
    }

    #[test]
    fn alpn_is_muster_and_early_data_requires_resumption() {
        for (resume, early_data) in [(true, true), (true, false), (false, true)] {
            let config = ClientConfig {
                resume,
                early_data,
                ..config()
            };
            let (certificates, key) = identity(&config.identity).unwrap();
            let tls = tls_config(&config, certificates, key).unwrap();
            assert_eq!(tls.alpn_protocols, [b"muster/1".to_vec()]);
            assert_eq!(tls.enable_early_data, resume && early_data);
            assert!(tls.client_auth_cert_resolver.has_certs());
        }
    }

    #[test]
    fn a_device_is_recognised_by_its_certificate() {
        let pki = TestPki::new();
        let device = "muster://demo/device/11111111-1111-1111-1111-111111111101";
        for (uri, expected) in [(device, true), ("muster://demo/gateway/device", false)] {
            let (certificates, _) = identity(&Pem::text(pki.identity(uri))).unwrap();
            assert_eq!(is_device(&certificates[0]), expected, "{uri}");
        }
        assert!(!is_device(&CertificateDer::from(vec![1, 2, 3])));
    }

    #[test]
    fn aes_128_with_sha_256_is_preferred() {
        let suites: Vec<_> = provider()
            .cipher_suites
            .iter()
            .map(|suite| suite.suite())
            .collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert!(suites.contains(&CipherSuite::TLS13_CHACHA20_POLY1305_SHA256));
    }

    #[test]
    fn the_error_names_the_credential_that_cannot_be_used() {
        let missing = ClientConfig {
            identity: Pem::file("/nowhere/me.pem"),
            ..config()
        };
        let no_key = ClientConfig {
            identity: config().ca,
            ..config()
        };
        let no_certificate = ClientConfig {
            ca: Pem::text("hello"),
            ..config()
        };
        for (config, word) in [
            (missing, "/nowhere/me.pem"),
            (no_key, "private key"),
            (no_certificate, "CA certificate"),
        ] {
            let error = quic_config(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_private_key_of_another_certificate_is_an_error() {
        let pki = TestPki::new();
        let one = pki.identity("muster://demo/gateway/one");
        let two = pki.identity("muster://demo/gateway/two");
        let certificate = one.split("-----BEGIN PRIVATE").next().unwrap();
        let key = &two[two.find("-----BEGIN PRIVATE").unwrap()..];
        let mixed = ClientConfig {
            identity: Pem::text(format!("{certificate}{key}")),
            ..config()
        };
        assert!(matches!(
            quic_config(&mixed),
            Err(ClientError::Credentials(_))
        ));
    }
}
