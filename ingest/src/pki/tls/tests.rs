//! The settings of the listener, and real handshakes against them in memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use muster_cli::pki::{CertificateAuthority, IssuedIdentity, PkiDirectory, Validity};
use muster_wire::{ALPN, Identity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::{ServerTls, TlsError, server_config};

/// These tests run real handshakes, and rustls reads the real clock.
#[allow(
    clippy::disallowed_methods,
    reason = "rustls compares certificates with the real clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::create(Validity::from_now(now(), 30)).unwrap()
}

fn write_files(authority: &CertificateAuthority, directory: &Path) -> ServerTls {
    let server = authority
        .issue_server(&[], Validity::from_now(now(), 30))
        .unwrap();
    let files = PkiDirectory::at(directory);
    files.create(authority, &server).unwrap();
    ServerTls {
        certificate: files.server_certificate,
        key: files.server_key,
        client_ca: files.ca_certificate,
    }
}

fn gateway(authority: &CertificateAuthority, validity: Validity) -> IssuedIdentity {
    let identity: Identity = "muster://contoso/gateway/west".parse().unwrap();
    authority.issue_client(&identity, validity).unwrap()
}

/// A client that trusts `authority` and shows `identity`, if any.
fn client(authority: &CertificateAuthority, identity: Option<&IssuedIdentity>) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// Runs a handshake in memory; the error is what the server sends to a client that it refuses.
fn handshake(
    server: &ServerTls,
    mut client: ClientConnection,
) -> Result<ServerConnection, AlertDescription> {
    let mut server = ServerConnection::new(Arc::new(server_config(server).unwrap())).unwrap();
    let mut refused = false;
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() && !refused {
            server.read_tls(&mut unread).unwrap();
            refused = server.process_new_packets().is_err();
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            match client.process_new_packets() {
                Ok(_) => {}
                Err(rustls::Error::AlertReceived(alert)) => return Err(alert),
                Err(other) => panic!("the client refused the server: {other}"),
            }
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    Ok(server)
}

#[test]
fn nothing_that_skips_the_client_certificate_is_left_on() {
    let scratch = tempfile::tempdir().unwrap();
    let config = server_config(&write_files(&authority(), scratch.path())).unwrap();
    assert_eq!(config.alpn_protocols, [ALPN.to_vec()]);
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.send_half_rtt_data);
    assert_eq!(config.send_tls13_tickets, 0);
    assert!(!config.ticketer.enabled());
    assert!(!config.session_storage.can_cache());
    assert!(config.session_storage.get(b"any").is_none());
    assert!(!config.enable_secret_extraction);
    assert!(
        rustls::crypto::CryptoProvider::get_default().is_none(),
        "no global provider"
    );
}

#[test]
fn a_client_of_the_authority_gets_in_and_its_identity_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = authority();
    let files = write_files(&authority, scratch.path());
    let identity = gateway(&authority, Validity::from_now(now(), 1));
    let server = handshake(&files, client(&authority, Some(&identity))).unwrap();
    assert_eq!(server.alpn_protocol(), Some(ALPN));
    assert_eq!(
        server.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    let shown = &server.peer_certificates().unwrap()[0];
    let identity = crate::pki::identity_of(shown).unwrap();
    assert_eq!(identity.to_string(), "muster://contoso/gateway/west");
}

#[test]
fn clients_without_a_valid_certificate_are_refused_with_the_alert_that_says_why() {
    let scratch = tempfile::tempdir().unwrap();
    let authority = authority();
    let files = write_files(&authority, scratch.path());
    let refused = |identity: Option<&IssuedIdentity>| {
        handshake(&files, client(&authority, identity)).unwrap_err()
    };
    assert_eq!(refused(None), AlertDescription::CertificateRequired);

    let stranger = gateway(&self::authority(), Validity::from_now(now(), 1));
    assert_eq!(refused(Some(&stranger)), AlertDescription::UnknownCA);

    let day = Duration::from_secs(86_400);
    let past = Validity {
        not_before: now() - 3 * day,
        not_after: now() - day,
    };
    assert_eq!(
        refused(Some(&gateway(&authority, past))),
        AlertDescription::CertificateExpired
    );

    let future = Validity {
        not_before: now() + day,
        not_after: now() + 2 * day,
    };
    let early = refused(Some(&gateway(&authority, future)));
    assert_eq!(
        early,
        AlertDescription::CertificateExpired,
        "rustls has one alert for both ends"
    );

    let server = authority
        .issue_server(&[], Validity::from_now(now(), 1))
        .unwrap();
    refused(Some(&server));
}

fn error_text(files: ServerTls) -> String {
    server_config(&files).unwrap_err().to_string()
}

#[test]
fn every_unusable_file_is_named_with_its_key() {
    let scratch = tempfile::tempdir().unwrap();
    let good = write_files(&authority(), scratch.path());
    let missing = scratch.path().join("missing.pem");
    let garbage = scratch.path().join("garbage.pem");
    fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();

    for file in [&missing, &garbage] {
        let shown = file.display().to_string();
        let text = error_text(ServerTls {
            certificate: file.clone(),
            ..good.clone()
        });
        assert!(text.contains(&shown), "{text}");
        let text = error_text(ServerTls {
            key: file.clone(),
            ..good.clone()
        });
        assert!(
            text.contains(&shown) && text.contains("listen.key"),
            "{text}"
        );
        let text = error_text(ServerTls {
            client_ca: file.clone(),
            ..good.clone()
        });
        assert!(
            text.contains(&shown) && text.contains("listen.client_ca"),
            "{text}"
        );
    }
    let empty = scratch.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let text = error_text(ServerTls {
        client_ca: empty,
        ..good.clone()
    });
    assert!(text.contains("contains no usable certificate"), "{text}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let one = write_files(&authority(), &scratch.path().join("one"));
    let two = write_files(&authority(), &scratch.path().join("two"));
    let outcome = server_config(&ServerTls {
        key: two.key,
        ..one
    });
    assert!(
        matches!(outcome, Err(TlsError::Mismatch { .. })),
        "{outcome:?}"
    );
}
