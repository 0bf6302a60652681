//! The hash chain over the log: what was changed afterwards is found, and where.

use muster_control::{ChainHash, ControlPlane, Key, LogError, PinError, PinnedHead, Verifier};
use muster_engine::Revision;
use serde_json::json;

use crate::support::*;

/// A log as it is stored, and the state to which it adds up. Revision 3 is that of a policy set.
fn log() -> (ControlPlane, Vec<(Revision, Vec<u8>)>) {
    let mut plane = ControlPlane::default();
    let mut log = Vec::new();
    let documents = [
        (Key::Tenant, json!({ "name": "contoso" })),
        (Key::Policy(id(1)), ios("one")),
        (Key::Policy(id(2)), ios("two")),
        (Key::Group(id(3)), group("three")),
        (Key::Group(id(4)), group("four")),
    ];
    for (key, document) in documents {
        if plane.revision() == Revision(2) {
            plane.skip_to(Revision(3));
        }
        let entry = create(&mut plane, key, document);
        log.push((entry.revision, plane.stored(&entry)));
    }
    (plane, log)
}

fn verify(log: &[(Revision, Vec<u8>)], pin: Option<PinnedHead>) -> Result<PinnedHead, LogError> {
    let mut verifier = Verifier::new(pin);
    for (revision, stored) in log {
        verifier.read(*revision, stored)?;
    }
    verifier.finish()?;
    let chain = verifier.chain();
    assert_eq!(chain.entries(), log.len() as u64);
    Ok(chain.pin())
}

/// The error of a verification and of a replay, which agree.
fn found(log: &[(Revision, Vec<u8>)]) -> LogError {
    let mut plane = ControlPlane::default();
    let replayed = log
        .iter()
        .try_for_each(|(revision, stored)| plane.replay(*revision, stored).map(drop));
    let verified = verify(log, None).unwrap_err();
    assert_eq!(replayed, Err(verified.clone()));
    verified
}

/// The log with other hashes from a place on, as by someone who knows how they are computed.
fn rehashed(log: &[(Revision, Vec<u8>)]) -> Vec<(Revision, Vec<u8>)> {
    let mut hash = vec![0; 32];
    let entries = log.iter().map(|(revision, stored)| {
        let bytes = &stored[..stored.len() - 32];
        hash = sha256(&[&hash[..], bytes].concat());
        (*revision, [bytes, &hash[..]].concat())
    });
    entries.collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

#[test]
fn the_hash_is_that_of_the_hash_before_and_the_entry() {
    let (plane, log) = log();
    assert_eq!(log, rehashed(&log), "the formula of STORAGE.md");
    assert_eq!(verify(&log, None), Ok(plane.chain().pin()));
    let mut again = ControlPlane::default();
    for (revision, stored) in &log {
        again.replay(*revision, stored).unwrap();
    }
    assert_eq!(again, plane);
    let empty = verify(&[], None).unwrap();
    assert_eq!(empty.to_string(), format!("0:{}", "0".repeat(64)));
    assert_eq!(empty.to_string().parse(), Ok(empty));
    assert_eq!(verify(&log, Some(empty)), Ok(plane.chain().pin()));
}

#[test]
fn every_flipped_bit_is_found_at_its_entry() {
    let (_, log) = log();
    for place in 0..log.len() {
        for byte in 0..log[place].1.len() {
            for bit in 0..8 {
                let mut changed = log.clone();
                changed[place].1[byte] ^= 1 << bit;
                let revision = match found(&changed) {
                    LogError::Entry { revision, .. }
                    | LogError::Revision { revision, .. }
                    | LogError::Broken { revision, .. } => revision,
                    other => panic!("{other}"),
                };
                assert_eq!(revision, log[place].0, "bit {bit} of byte {byte}");
            }
        }
    }
}

#[test]
fn an_entry_that_is_missing_or_moved_is_found_where_the_chain_breaks() {
    let (_, log) = log();
    let broken = |revision, after| LogError::Broken {
        revision: Revision(revision),
        after: Revision(after),
    };
    let mut dropped = log.clone();
    dropped.remove(2);
    assert_eq!(found(&dropped), broken(5, 2));
    assert_eq!(
        found(&dropped).to_string(),
        "entry 5 of the control log does not continue the hash chain after entry 2: it was changed, or an entry between \
         them was removed, added or moved"
    );
    dropped.remove(0);
    assert_eq!(found(&dropped), broken(2, 0));
    // Swapped under their own keys, and with the keys exchanged.
    let mut swapped = log.clone();
    swapped.swap(2, 3);
    assert_eq!(found(&swapped), broken(5, 2));
    (swapped[2].0, swapped[3].0) = (swapped[3].0, swapped[2].0);
    assert_eq!(
        found(&swapped),
        LogError::Revision {
            revision: Revision(4),
            says: Revision(5)
        }
    );
    let mut twice = log.clone();
    twice.insert(3, log[2].clone());
    assert_eq!(found(&twice), broken(4, 4));
}

#[test]
fn a_pin_shows_that_the_end_is_missing_and_that_the_log_was_rewritten() {
    let (plane, log) = log();
    let pin = plane.chain().pin();
    for shorter in 0..log.len() {
        let last = shorter
            .checked_sub(1)
            .map_or(Revision(0), |last| log[last].0);
        let pinned = pin.revision;
        assert!(
            verify(&log[..shorter], None).is_ok(),
            "nothing else shows it"
        );
        assert_eq!(
            verify(&log[..shorter], Some(pin)),
            Err(LogError::Ends { last, pinned })
        );
    }
    // A byte of a name is changed, and all hashes are computed anew.
    let mut forged = log.clone();
    let name = forged[1]
        .1
        .windows(3)
        .position(|text| text == b"one")
        .unwrap();
    forged[1].1[name] ^= 1;
    let forged = rehashed(&forged);
    assert!(verify(&forged, None).is_ok(), "nothing else shows it");
    let revision = pin.revision;
    assert_eq!(
        verify(&forged, Some(pin)),
        Err(LogError::Rewritten { revision })
    );
    // A pin of the middle holds for a log that continues.
    let middle = verify(&log[..3], None).unwrap();
    assert_eq!(verify(&log, Some(middle)), Ok(pin));
    assert!(verify(&forged, Some(middle)).is_err());
    let without = PinnedHead {
        revision: Revision(3),
        ..middle
    };
    assert_eq!(
        verify(&log, Some(without)),
        Err(LogError::Rewritten {
            revision: Revision(3)
        }),
        "no entry has this revision"
    );
}

#[test]
fn a_pin_has_one_text() {
    let (plane, _) = log();
    let pin = plane.chain().pin();
    let text = pin.to_string();
    assert_eq!(text.parse(), Ok(pin));
    assert_eq!(text.to_ascii_uppercase().parse(), Ok(pin));
    let hash = pin.head.to_string();
    assert_eq!(hash.parse(), Ok(pin.head));
    for bad in [
        "",
        ":",
        "7",
        &hash,
        &format!("x:{hash}"),
        &format!("-1:{hash}"),
        &text[..text.len() - 1],
        &format!("{text}0"),
        &format!("7:+{}", &hash[1..]),
        &format!("7:{}é", &hash[2..]),
    ] {
        assert_eq!(bad.parse::<PinnedHead>(), Err(PinError), "{bad}");
    }
    assert_eq!("".parse::<ChainHash>(), Err(PinError));
}
