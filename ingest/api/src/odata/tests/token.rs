//! Tokens: they open for the request that they were made for, and for no other.

use crate::odata::{
    Options, PAYLOAD_BYTES_MAX, Purpose, TOKEN_BYTES_MAX, TokenError, TokenKey, TokenScope,
};

const EXPIRES: u64 = 1_800_000_000;

fn key() -> TokenKey {
    TokenKey::new(&[7; 32])
}

const fn scope() -> TokenScope {
    TokenScope {
        purpose: Purpose::Page,
        tenant: 3,
        options: [9; 16],
    }
}

#[test]
fn a_token_opens_until_it_expires() {
    for length in [0, 1, 2, 3, 100, PAYLOAD_BYTES_MAX] {
        let payload: Vec<u8> = (0..length).map(|index| (index * 31) as u8).collect();
        let token = key().seal(&scope(), EXPIRES, &payload).unwrap();
        assert!(token.len() <= TOKEN_BYTES_MAX, "{}", token.len());
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(key().open(&scope(), EXPIRES, &token), Ok(payload));
        assert_eq!(
            key().open(&scope(), EXPIRES + 1, &token),
            Err(TokenError::Expired)
        );
    }
    let long = vec![0; PAYLOAD_BYTES_MAX + 1];
    assert_eq!(
        key().seal(&scope(), EXPIRES, &long),
        Err(TokenError::TooLong)
    );
}

#[test]
fn a_changed_character_makes_a_token_invalid() {
    let token = key().seal(&scope(), EXPIRES, b"payload").unwrap();
    for at in 0..token.len() {
        for other in *b"ABQz-_=&" {
            let mut changed = token.clone().into_bytes();
            if changed[at] == other {
                continue;
            }
            changed[at] = other;
            let changed = String::from_utf8(changed).unwrap();
            // An expired token that is forged is forged.
            assert_eq!(
                key().open(&scope(), EXPIRES + 1, &changed),
                Err(TokenError::Invalid)
            );
        }
        assert_eq!(
            key().open(&scope(), 0, &token[..at]),
            Err(TokenError::Invalid)
        );
    }
}

#[test]
fn a_token_of_another_request_is_invalid() {
    let token = key().seal(&scope(), EXPIRES, b"payload").unwrap();
    let hash = |query| Options::parse(query, &[]).unwrap().hash("/managedDevices");
    for other in [
        TokenScope {
            tenant: 4,
            ..scope()
        },
        TokenScope {
            purpose: Purpose::Delta,
            ..scope()
        },
        TokenScope {
            options: hash("$top=5"),
            ..scope()
        },
    ] {
        assert_eq!(key().open(&other, 0, &token), Err(TokenError::Invalid));
    }
    let other = TokenKey::new(&[8; 32]);
    assert_eq!(other.open(&scope(), 0, &token), Err(TokenError::Invalid));
    for forged in [
        "",
        "x",
        "AAAA",
        "' or 1",
        "eyJvIjo5OTk5OTk5fQ",
        &"a".repeat(6000),
    ] {
        assert_eq!(key().open(&scope(), 0, forged), Err(TokenError::Invalid));
    }
}

#[test]
fn bytes_of_a_token_are_stable() {
    // A token of an earlier start is still valid.
    let token = key().seal(&scope(), EXPIRES, b"p").unwrap();
    assert_eq!(
        token,
        "AQAA0klrAAAAAAMAAAAJCQkJCQkJCQkJCQkJCQkJcN6ijaJSnG_H0mqWtRR-TFqMQyKRpwgaKsdf6PWZ89uH"
    );
}
