//! Which certificates have a valid identity, and that no bytes make the parser panic.

use std::time::{Duration, SystemTime};

use muster_cli::pki::{CertificateAuthority, Validity};
use muster_engine::Timestamp;
use muster_wire::{CloseCode, Identity};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{IdentityError, identity_at, identity_of};

const DEVICE: &str = "muster://contoso/device/0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";
const GATEWAY: &str = "muster://contoso/gateway/building-7";

fn certificate(names: &[SanType]) -> Vec<u8> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn issued(identity: &str) -> Vec<u8> {
    let validity = Validity::from_now(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30), 30);
    let authority = CertificateAuthority::create(validity).unwrap();
    let identity: Identity = identity.parse().unwrap();
    let issued = authority.issue_client(&identity, validity).unwrap();
    CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes())
        .unwrap()
        .to_vec()
}

#[test]
fn the_identity_that_was_issued_is_read_back() {
    for text in [DEVICE, GATEWAY] {
        assert_eq!(identity_of(&issued(text)).unwrap().to_string(), text);
    }
}

#[test]
fn every_certificate_of_a_connection_must_be_valid_at_the_time() {
    let seconds = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let certificate = |from, until| {
        let validity = Validity {
            not_before: seconds(from),
            not_after: seconds(until),
        };
        let authority = CertificateAuthority::create(validity).unwrap();
        let issued = authority.issue_client(&DEVICE.parse().unwrap(), validity);
        CertificateDer::from_pem_slice(issued.unwrap().certificate_pem.as_bytes()).unwrap()
    };
    let at = |seconds: u64, chain: &[CertificateDer<'_>]| {
        identity_at(Timestamp::from_millis(seconds * 1000), chain)
    };
    let own = certificate(1_000, 2_000);
    for (time, is_valid) in [(999, false), (1_000, true), (2_000, true), (2_001, false)] {
        let identity = at(time, std::slice::from_ref(&own));
        assert_eq!(identity.is_ok(), is_valid, "{time}");
        if let Err(error) = identity {
            assert_eq!(error.close_code(), CloseCode::IdentityExpired);
        }
    }
    let chain = [own, certificate(1_000, 1_500)];
    assert_eq!(at(1_500, &chain).unwrap().to_string(), DEVICE);
    assert_eq!(at(1_501, &chain), Err(IdentityError::Expired), "its issuer");
    assert_eq!(
        at(1_500, &[]),
        Err(IdentityError::Names(muster_wire::IdentityError::Missing))
    );
    let bytes = CertificateDer::from(vec![1, 2, 3]);
    assert_eq!(at(1_500, &[bytes]), Err(IdentityError::Certificate));
}

#[test]
fn names_of_other_schemes_and_kinds_do_not_matter() {
    let other = [
        SanType::DnsName("muster.example".try_into().unwrap()),
        uri("spiffe://contoso/device"),
        uri(GATEWAY),
    ];
    assert_eq!(
        identity_of(&certificate(&other)).unwrap().to_string(),
        GATEWAY
    );
}

#[test]
fn a_certificate_without_exactly_one_identity_has_none() {
    use muster_wire::IdentityError as Names;
    let refused = |names: &[SanType]| identity_of(&certificate(names)).unwrap_err();
    assert_eq!(refused(&[]), IdentityError::Names(Names::Missing));
    assert_eq!(
        refused(&[uri("https://contoso")]),
        IdentityError::Names(Names::Missing)
    );
    assert_eq!(
        refused(&[uri(DEVICE), uri(GATEWAY)]),
        IdentityError::Names(Names::MoreThanOne)
    );
    assert_eq!(
        refused(&[uri(DEVICE), uri(DEVICE)]),
        IdentityError::Names(Names::MoreThanOne)
    );
    let malformed = refused(&[uri("muster://contoso/printer/1")]);
    assert_eq!(malformed, IdentityError::Names(Names::Malformed));
    assert_eq!(malformed.close_code(), CloseCode::IdentityInvalid);
    assert_eq!(refused(&[]).close_code(), CloseCode::IdentityMissing);
}

#[test]
fn a_name_whose_bytes_are_no_text_is_refused() {
    let mut der = certificate(&[uri("x://second-identity"), uri(GATEWAY)]);
    let at = der.windows(4).position(|bytes| bytes == b"x://").unwrap();
    der[at] = 0xff;
    assert_eq!(identity_of(&der), Err(IdentityError::Certificate));
}

#[test]
fn bytes_after_the_certificate_are_refused() {
    let mut der = issued(DEVICE);
    der.push(0);
    assert_eq!(identity_of(&der), Err(IdentityError::Certificate));
}

#[test]
fn no_cut_and_no_changed_byte_makes_it_panic() {
    let der = issued(DEVICE);
    for length in 0..der.len() {
        assert!(identity_of(&der[..length]).is_err());
    }
    for index in 0..der.len() {
        for value in [
            0x00,
            0x01,
            0x7f,
            0x80,
            0xff,
            der[index] ^ 0x01,
            der[index].wrapping_add(1),
        ] {
            let mut changed = der.clone();
            changed[index] = value;
            // The signature is not looked at here, so a changed but well-formed name is an answer too.
            let _ = identity_of(&changed);
        }
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        proptest::prop_assert!(identity_of(&bytes).is_err());
    }
}
