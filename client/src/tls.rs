//! TLS and QUIC settings of a client, built by hand.
//!
//! TLS 1.3 only, the provider named, the server checked against the configured authority alone, the
//! client's certificate sent, unless a session in which it was is resumed: then neither side verifies or signs
//! anything. Sessions are those of one configuration, so of one identity and one authority; they are kept in
//! memory only. Early data goes to a server that gave a ticket for it: one that takes each ticket once.

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

/// Bytes the server may have in flight to us. It sends acks, 2 KiB each at most, so this is never
/// what it waits for, and it bounds what an idle connection may hold.
const RECEIVE_WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes written and not yet acknowledged by QUIC, at most. Well above what a long fast line holds
/// (1 Gbit/s at 50 ms is 6 MB), so that the window of frames is what limits.
const SEND_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// Server names whose sessions are kept. A configuration has one; rustls takes this for a size hint.
const SERVER_NAMES_MAX: usize = 2;

/// The QUIC configuration for every connection of one client.
pub(crate) fn quic_config(config: &ClientConfig) -> Result<quinn::ClientConfig, ClientError> {
    let (certificates, key) = identity(&config.identity)?;
    let is_device = certificates.first().is_some_and(is_device);
    let tls = QuicClientConfig::try_from(tls_config(config, certificates, key)?)
        .map_err(|error| ClientError::Configuration(error.to_string()))?;
    let mut quic = quinn::ClientConfig::new(Arc::new(tls));
    quic.transport_config(Arc::new(transport(config, is_device)));
    Ok(quic)
}

/// Whether a certificate speaks for one device. What cannot be read is for the server to refuse.
fn is_device(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return false;
    };
    let identity = Identity::from_uris(certificate.valid_uri_names());
    identity.is_ok_and(|identity| matches!(identity.subject, Subject::Device(_)))
}

/// The provider with AES-128 and SHA-256 in front: SHA-384, which goes with AES-256, has no instruction of its own
/// in most processors and was the largest single part of a short handshake.
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
        .with_root_certificates(authorities(&config.ca)?)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| fault(&config.identity, "identity", &error))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = match config.resume {
        true => Resumption::in_memory_sessions(SERVER_NAMES_MAX),
        false => Resumption::disabled(),
    };
    tls.enable_early_data = config.resume && config.early_data;
    Ok(tls)
}

/// How a connection behaves below its stream.
pub(crate) fn transport(config: &ClientConfig, is_device: bool) -> TransportConfig {
    let mut transport = TransportConfig::default();
    // At most ten minutes, which fit the milliseconds of the format many times over.
    transport.max_idle_timeout(IdleTimeout::try_from(config.idle_timeout).ok());
    transport.keep_alive_interval(config.keep_alive);
    // The server opens no streams and sends no datagrams.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.datagram_receive_buffer_size(None);
    transport.stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
    transport.receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES));
    transport.send_window(SEND_WINDOW_BYTES);
    if is_device {
        // Nothing that a device says fills a packet: probes for larger ones would be most of what it sends.
        transport.mtu_discovery_config(None);
        transport.enable_segmentation_offload(false);
    }
    transport
}

fn authorities(pem: &Pem) -> Result<RootCertStore, ClientError> {
    let text = read(pem, "certificate authority")?;
    let mut store = RootCertStore::empty();
    for certificate in certificates(&text, pem, "certificate authority")? {
        store
            .add(certificate)
            .map_err(|error| fault(pem, "certificate authority", &error))?;
    }
    Ok(store)
}

fn identity(
    pem: &Pem,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ClientError> {
    let text = read(pem, "identity")?;
    let certificates = certificates(&text, pem, "identity")?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| fault(pem, "identity", &format!("no usable private key: {error}")))?;
    Ok((certificates, key))
}

fn certificates(
    text: &[u8],
    pem: &Pem,
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(pem, what, &error))?;
    if certificates.is_empty() {
        return Err(fault(pem, what, &"it holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn read(pem: &Pem, what: &str) -> Result<Vec<u8>, ClientError> {
    match pem {
        Pem::File(path) => fs::read(path).map_err(|error| fault(pem, what, &error)),
        Pem::Text(text) => Ok(text.clone()),
    }
}

fn fault(pem: &Pem, what: &str, problem: &dyn std::fmt::Display) -> ClientError {
    ClientError::Credentials(match pem {
        Pem::File(path) => format!("the {what} {} is not usable: {problem}", path.display()),
        Pem::Text(_) => format!("the {what} is not usable: {problem}"),
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
    fn tls_speaks_muster_only_and_sends_early_data_only_if_it_may() {
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
    fn a_device_is_told_from_a_gateway_by_its_certificate() {
        let pki = TestPki::new();
        let device = "muster://demo/device/11111111-1111-1111-1111-111111111101";
        for (uri, expected) in [(device, true), ("muster://demo/gateway/device", false)] {
            let (certificates, _) = identity(&Pem::text(pki.identity(uri))).unwrap();
            assert_eq!(is_device(&certificates[0]), expected, "{uri}");
        }
        assert!(!is_device(&CertificateDer::from(vec![1, 2, 3])));
    }

    #[test]
    fn the_suite_that_every_server_has_and_processors_compute_fastest_comes_first() {
        let suites: Vec<_> = provider()
            .cipher_suites
            .iter()
            .map(|suite| suite.suite())
            .collect();
        assert_eq!(suites[0], CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert!(suites.contains(&CipherSuite::TLS13_CHACHA20_POLY1305_SHA256));
    }

    #[test]
    fn an_unusable_identity_or_authority_is_named() {
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
            (no_certificate, "certificate authority"),
        ] {
            let error = quic_config(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
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
