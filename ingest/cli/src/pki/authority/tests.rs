//! Tests of issued certificates and of loading an authority.

use std::time::{Duration, SystemTime};

use muster_wire::Identity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertificateAuthority, IssuedIdentity};
use crate::pki::{CLOCK_SKEW, PkiError, Validity};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::create(Validity::from_now(now(), 365)).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

fn device(authority: &CertificateAuthority) -> IssuedIdentity {
    let identity: Identity = "muster://contoso/gateway/west".parse().unwrap();
    authority
        .issue_client(&identity, Validity::from_now(now(), 30))
        .unwrap()
}

#[test]
fn the_authority_signs_certificates_and_nothing_it_signs_can() {
    let authority = authority();
    let own = der(authority.certificate_pem());
    let (_, own) = X509Certificate::from_der(&own).unwrap();
    let constraints = own.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    assert!(own.key_usage().unwrap().unwrap().value.key_cert_sign());

    let issued = der(&device(&authority).certificate_pem);
    let (_, issued) = X509Certificate::from_der(&issued).unwrap();
    assert!(!issued.is_ca());
    let usage = issued.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign());
    assert_eq!(issued.issuer(), own.subject());
}

#[test]
fn a_client_certificate_is_for_clients_and_the_servers_for_servers() {
    let authority = authority();
    let client = der(&device(&authority).certificate_pem);
    let (_, client) = X509Certificate::from_der(&client).unwrap();
    let usage = client.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);

    let server = authority
        .issue_server(&[], Validity::from_now(now(), 1))
        .unwrap();
    let server = der(&server.certificate_pem);
    let (_, server) = X509Certificate::from_der(&server).unwrap();
    let usage = server.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
}

#[test]
fn validity_starts_a_little_earlier_for_clocks_that_run_behind() {
    let issued = der(&device(&authority()).certificate_pem);
    let (_, issued) = X509Certificate::from_der(&issued).unwrap();
    let seconds = |time: SystemTime| {
        i64::try_from(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        )
        .unwrap()
    };
    assert_eq!(
        issued.validity().not_before.timestamp(),
        seconds(now() - CLOCK_SKEW)
    );
    assert_eq!(
        issued.validity().not_after.timestamp(),
        seconds(now()) + 30 * 86_400
    );
}

#[test]
fn the_server_certificate_carries_every_name_once() {
    let names = [
        "muster.example".to_owned(),
        "10.1.2.3".to_owned(),
        "localhost".to_owned(),
    ];
    let issued = authority()
        .issue_server(&names, Validity::from_now(now(), 1))
        .unwrap();
    let issued = der(&issued.certificate_pem);
    let (_, issued) = X509Certificate::from_der(&issued).unwrap();
    let found = issued.subject_alternative_name().unwrap().unwrap().value;
    let has = |name: &GeneralName<'_>| found.general_names.contains(name);
    assert!(
        has(&GeneralName::DNSName("localhost")) && has(&GeneralName::DNSName("muster.example"))
    );
    assert!(
        has(&GeneralName::IPAddress(&[127, 0, 0, 1]))
            && has(&GeneralName::IPAddress(&[10, 1, 2, 3]))
    );
    assert!(has(&GeneralName::IPAddress(
        &std::net::Ipv6Addr::LOCALHOST.octets()
    )));
    assert_eq!(found.general_names.len(), 5);
}

#[test]
fn a_name_that_is_neither_host_nor_address_is_refused() {
    let outcome = authority().issue_server(&["a b".to_owned()], Validity::from_now(now(), 1));
    assert!(matches!(outcome, Err(PkiError::ServerName(name)) if name == "a b"));
}

#[test]
fn a_loaded_authority_signs_under_the_same_name() {
    let first = authority();
    let again = CertificateAuthority::load(first.certificate_pem(), &first.key_pem()).unwrap();
    let (one, two) = (
        der(&device(&first).certificate_pem),
        der(&device(&again).certificate_pem),
    );
    let (_, one) = X509Certificate::from_der(&one).unwrap();
    let (_, two) = X509Certificate::from_der(&two).unwrap();
    assert_eq!(one.issuer(), two.issuer());
    assert_ne!(one.public_key(), two.public_key());
}

#[test]
fn two_authorities_have_different_names() {
    let (one, two) = (
        der(authority().certificate_pem()),
        der(authority().certificate_pem()),
    );
    let (_, one) = X509Certificate::from_der(&one).unwrap();
    let (_, two) = X509Certificate::from_der(&two).unwrap();
    assert_ne!(one.subject(), two.subject());
}

#[test]
fn what_is_not_an_authority_with_its_own_key_is_refused() {
    let (one, two) = (authority(), authority());
    let load = CertificateAuthority::load;
    let refused = |certificate: &str, key: &str| load(certificate, key).unwrap_err();
    assert!(matches!(
        refused(one.certificate_pem(), &two.key_pem()),
        PkiError::AuthorityMismatch
    ));
    assert!(matches!(
        refused(one.certificate_pem(), "no key"),
        PkiError::AuthorityKey(_)
    ));
    assert!(matches!(
        refused("nothing", &one.key_pem()),
        PkiError::AuthorityCertificate(_)
    ));
    let leaf = device(&one);
    assert!(matches!(
        refused(&leaf.certificate_pem, &leaf.key_pem),
        PkiError::AuthorityCertificate("it is not a certificate authority")
    ));
}

#[test]
fn private_keys_do_not_show_in_debug_output() {
    let authority = authority();
    let shown = format!("{authority:?} {:?}", device(&authority));
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
