//! Target for the URIs of a certificate.
//!
//! Properties: an identity has exactly one URI; a certificate with several URIs identifies a client only if exactly one
//! of them has the scheme `muster`.

use muster_wire::{CloseCode, Identity, IdentityError, Subject};

/// Parses lines of text as the URIs of one certificate.
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
            // A UUID may be in upper case, a name may not.
            let text = identity.to_string();
            let parsed = uris
                .iter()
                .find(|uri| uri.eq_ignore_ascii_case(&text))
                .expect("one of the URIs is that of the identity");
            assert!(parsed.contains(identity.tenant.as_str()));
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

/// A parsed identity has only lower-case letters, digits and hyphens, so it is safe in a terminal, a path or a label.
pub(crate) fn check(identity: &Identity) {
    assert!(is_safe(identity.tenant.as_str()));
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
            assert!(is_safe(name.as_str()));
            assert_eq!(text, format!("muster://{}/gateway/{name}", identity.tenant));
        }
    }
    assert_eq!(text.parse().as_ref(), Ok(identity));
}

fn is_safe(name: &str) -> bool {
    let bytes = name.as_bytes();
    let is_plain = bytes
        .iter()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let ends = [bytes.first(), bytes.last()];
    is_plain && bytes.len() <= 63 && ends.iter().all(|end| end.is_some_and(|end| *end != b'-'))
}
