//! TLS and QUIC settings of a client, built by hand.
//!
//! TLS 1.3 only, the provider named, the server checked against the configured authority alone, the
//! client's certificate always sent. No early data, because it can be replayed, and no resumption,
//! because the server verifies certificates anew for every connection anyway.

use std::{fs, sync::Arc};

use muster_wire::ALPN;
use quinn::{IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};
use rustls::{
    RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

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

/// The QUIC configuration for every connection of one client.
pub(crate) fn quic_config(config: &ClientConfig) -> Result<quinn::ClientConfig, ClientError> {
    let tls = QuicClientConfig::try_from(tls_config(config)?)
        .map_err(|error| ClientError::Configuration(error.to_string()))?;
    let mut quic = quinn::ClientConfig::new(Arc::new(tls));
    quic.transport_config(Arc::new(transport(config)));
    Ok(quic)
}

fn tls_config(config: &ClientConfig) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificates, key) = identity(&config.identity)?;
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::Configuration(error.to_string()))?
        .with_root_certificates(authorities(&config.ca)?)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| fault(&config.identity, "identity", &error))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    Ok(tls)
}

/// How a connection behaves below its stream.
pub(crate) fn transport(config: &ClientConfig) -> TransportConfig {
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
    fn tls_speaks_muster_only_and_sends_no_early_data() {
        let tls = tls_config(&config()).unwrap();
        assert_eq!(tls.alpn_protocols, [b"muster/1".to_vec()]);
        assert!(!tls.enable_early_data);
        assert!(tls.client_auth_cert_resolver.has_certs());
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
