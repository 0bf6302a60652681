//! Target for the names in a certificate, once they are text.
//!
//! What must hold: an identity is exactly its URI, in one form only; among several URIs there is exactly one
//! of ours or nobody.

use muster_wire::{CloseCode, Identity, IdentityError, Subject};

/// Lines of text as the URIs of one certificate.
pub fn identity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let uris: Vec<&str> = text.split('\n').collect();
    let ours = uris
        .iter()
        .filter(|uri| {
            uri.get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case("muster:"))
        })
        .count();
    match Identity::from_uris(uris.iter().copied()) {
        Ok(identity) => {
            assert_eq!(ours, 1);
            check(&identity);
            // A UUID may be written in capitals; a name has one form.
            let text = identity.to_string();
            let same = |uri: &&str| uri.eq_ignore_ascii_case(&text);
            let read = uris
                .iter()
                .find(|uri| same(uri))
                .expect("it is in the certificate");
            assert!(read.contains(identity.tenant.as_str()));
        }
        Err(error) => {
            assert_eq!(ours == 0, error == IdentityError::Missing);
            assert_eq!(ours > 1, error == IdentityError::MoreThanOne);
            let code = error.close_code();
            assert_eq!(code == CloseCode::IdentityMissing, ours == 0);
            assert!(!code.is_retryable());
        }
    }
    for uri in uris {
        if let Ok(identity) = uri.parse::<Identity>() {
            assert!(identity.to_string().eq_ignore_ascii_case(uri));
            check(&identity);
        }
    }
}

/// An identity that was read is plain: nothing in it can reach a terminal, a path or a label as anything but
/// a name.
pub(crate) fn check(identity: &Identity) {
    let plain = |name: &str| {
        let bytes = name.as_bytes();
        let inner = bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let ends = [bytes.first(), bytes.last()];
        inner && bytes.len() <= 63 && ends.iter().all(|end| end.is_some_and(|end| *end != b'-'))
    };
    assert!(plain(identity.tenant.as_str()));
    let text = identity.to_string();
    match &identity.subject {
        Subject::Device(device_id) => {
            assert!(!device_id.is_zero());
            assert_eq!(
                text,
                format!("muster://{}/device/{device_id}", identity.tenant)
            );
        }
        Subject::Gateway(name) => {
            assert!(plain(name.as_str()));
            assert_eq!(text, format!("muster://{}/gateway/{name}", identity.tenant));
        }
    }
    assert_eq!(text.parse().as_ref(), Ok(identity));
}
