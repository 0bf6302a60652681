//! Questions that docs/reference/PROTOCOL.md answers, each with a test; those that need no server are in
//! `wire/tests/protocol_questions.rs`.

use std::net::UdpSocket;

use muster_wire::{
    CheckIn, CloseCode, Goodbye, PartnerThreatState, RejectReason, Risk, encode_goodbye,
};
use rcgen::{
    KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize,
};

use serde_json::json;

use crate::harness::*;

/// The default window of a gateway, in frames.
const WINDOW: u64 = 64;

fn goodbye(code: u32, retry_after_ms: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let goodbye = Goodbye {
        code,
        retry_after_ms,
    };
    encode_goodbye(&mut bytes, goodbye);
    bytes
}

#[test]
fn question_the_effect_of_a_goodbye_with_a_code() {
    let victim = Victim::new(&Settings::default());
    for (code, retry_after_ms) in [(CloseCode::Draining.code(), 0), (0, 1)] {
        victim.closes("malformedFrame", 0x11, |session| {
            session.write(&goodbye(code, retry_after_ms));
        });
    }
    victim.finish();
}

#[test]
fn question_the_effect_of_bytes_after_goodbye() {
    let victim = Victim::new(&Settings::default());
    let trailing = frame(&[random_check_in(&mut Random::new(1, 0), device(900), 1)]);
    // In the same write as Goodbye, and in later ones.
    for (tail, later) in [
        (&[0][..], &[][..]),
        (&[0xff; 100], &[]),
        (&trailing, &[]),
        (&trailing[..20], &trailing[20..]),
        (&[], &[0]),
        (&[], &trailing),
    ] {
        let mut session = victim.session();
        session.write(&[&frame(&[known()]), &goodbye(0, 0)[..], tail].concat());
        session.write(later);
        let mut acked = 0;
        loop {
            match session.reply() {
                Reply::Ack(ack) => acked = ack.totals.frames,
                Reply::Goodbye(goodbye) => assert_eq!(goodbye, Goodbye::new(CloseCode::Done, 0)),
                Reply::EndOfStream | Reply::Closed(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(acked, 1, "only the frame before Goodbye");
        assert_eq!(session.raw.closed(), Closed::Application(0));
    }
    assert_eq!(victim.server.ops.device("contoso", device(900)), None);
    victim.finish();
}

#[test]
fn question_which_keys_a_client_may_have() {
    let victim = Victim::new(&Settings::default());
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    let keys = [
        KeyPair::generate(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
        KeyPair::generate_for(&PKCS_ED25519),
        rsa(RsaKeySize::_2048),
        rsa(RsaKeySize::_4096),
    ];
    for (number, key) in (900..).zip(keys) {
        let key = key.expect("a key can be generated");
        let uri = format!("muster://contoso/device/{}", device(number));
        let credentials = victim.place.pki.with_key(&uri, &key);
        let check_in = random_check_in(&mut Random::new(number, 0), device(number), 1);
        let mut session = victim.server.session(&victim.place.pki, &credentials);
        session.check_ins(&[check_in]);
        assert_eq!(session.acknowledged(1).0.accepted, 1);
        session.goodbye();
        victim.oracle.borrow_mut().check_in("contoso", &check_in);
    }
    victim.finish();
}

#[test]
fn question_upper_case_hex_in_the_identity() {
    let victim = Victim::new(&Settings::default());
    let own = device(900);
    let upper = own.to_string().to_uppercase();
    assert_ne!(upper, own.to_string());
    let credentials = victim
        .place
        .pki
        .with_uris(&[&format!("muster://contoso/device/{upper}")]);
    let mut session = victim.server.session(&victim.place.pki, &credentials);
    let check_in = random_check_in(&mut Random::new(1, 0), own, 1);
    session.check_ins(&[check_in]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    victim.oracle.borrow_mut().check_in("contoso", &check_in);
    assert_eq!(victim.server.ops.seq("contoso", own), 1);
    victim.finish();
}

#[test]
fn question_in_which_order_the_frames_of_a_stream_are_applied() {
    const DEVICES: std::ops::Range<u64> = 900..908;
    let victim = Victim::new(&Settings::default());
    let mut bytes = Vec::new();
    let mut oracle = victim.oracle.borrow_mut();
    // Seqs within a frame and across frames, and inventories; another order would give other outcomes.
    for seqs in [&[5, 4][..], &[5], &[6, 6], &[3], &[7]] {
        for number in DEVICES {
            let records: Vec<_> = seqs
                .iter()
                .map(|seq| random_check_in(&mut Random::new(number, 0), device(number), *seq))
                .collect();
            bytes.extend_from_slice(&frame(&records));
            oracle.check_ins("contoso", &records);
        }
    }
    for revision in [2, 1, 2] {
        for number in DEVICES {
            let inventory = random_inventory(&mut Random::new(number, 0), device(number), revision);
            bytes.extend(inventory_frame(
                &inventory.to_bytes().expect("a valid inventory"),
            ));
            oracle.inventory("contoso", &inventory);
        }
    }
    let frames = 8 * (5 + 3);
    assert_eq!(frames, WINDOW, "all frames fit into one window");
    let mut session = victim.session();
    session.write(&bytes);
    let (totals, _) = session.acknowledged(frames);
    // Of each device 5, 6, 7 and revision 2 are new; 5, 6 and revision 2 are repeated; 4, 3 and revision 1 are stale.
    assert_eq!(
        (totals.accepted, totals.duplicate, totals.stale),
        (8 * 4, 8 * 3, 8 * 3)
    );
    session.goodbye();
    drop(oracle);
    assert_eq!(victim.server.ops.cells(), victim.oracle.borrow().cells());
    victim.finish();
}

/// Reasons of the session take precedence over those of the shard, and a known record is duplicate or stale before any
/// reason of the shard applies. The order of reasons within a record is in `wire/tests/protocol_questions.rs`.
#[test]
fn question_which_of_several_reasons_wins() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        shards: "threads = 1\ndevices_max = 1".to_owned(),
        ..Settings::default()
    });
    server.ops.put_in_force("fabrikam", &no_creation());
    let of = |tenant, own| place.pki.device(tenant, device(own));
    let check_in = |number| *random_check_in(&mut Random::new(1, 0), device(number), 5).as_bytes();
    let bad = |number| {
        let mut record = check_in(number);
        record[42] = 6;
        record
    };
    let inventory = |number| {
        let inventory = inventory_of(device(number), &["a new tag"]);
        inventory_frame(&inventory.to_bytes().expect("a valid inventory"))
    };
    let gateway = |tenant| place.pki.gateway(tenant, "gw-1");
    use RejectReason as R;
    let cases = [
        // The limit of devices is reached after this one.
        (
            gateway("contoso"),
            frame_of(&[check_in(1)]),
            Answer::Accepted,
        ),
        (
            gateway("contoso"),
            frame_of(&[check_in(1)]),
            Answer::Duplicate,
        ),
        (of("contoso", 2), frame_of(&[bad(3)]), R::UnknownRisk.into()),
        (of("contoso", 2), frame_of(&[bad(1)]), R::UnknownRisk.into()),
        (
            of("contoso", 2),
            frame_of(&[check_in(1)]),
            R::IdentityMismatch.into(),
        ),
        (
            of("fabrikam", 2),
            frame_of(&[check_in(3)]),
            R::IdentityMismatch.into(),
        ),
        (
            of("fabrikam", 2),
            frame_of(&[check_in(2)]),
            R::UnknownDevice.into(),
        ),
        (
            of("contoso", 2),
            frame_of(&[check_in(2)]),
            R::DeviceLimit.into(),
        ),
        (gateway("contoso"), inventory(2), R::DeviceLimit.into()),
        (gateway("fabrikam"), inventory(2), R::UnknownDevice.into()),
        (gateway("contoso"), inventory(1), Answer::Accepted),
    ];
    for (index, (credentials, bytes, expected)) in cases.iter().enumerate() {
        let session = server.session(&place.pki, credentials);
        assert_eq!(answer(session, bytes), *expected, "case {index}");
    }
    server.ops.recount_is_verified();
}

/// Sends a frame of one record and returns its outcome.
fn answer(mut session: Session, frame: &[u8]) -> Answer {
    session.write(frame);
    let (totals, rejections) = session.acknowledged(1);
    session.goodbye();
    let reason = rejections.first().and_then(|one| one.reason());
    match (reason, totals.accepted, totals.duplicate) {
        (Some(reason), 0, 0) => Answer::Rejected(reason),
        (None, 1, 0) => Answer::Accepted,
        (None, 0, 1) => Answer::Duplicate,
        _ => panic!("one record counts {totals:?}"),
    }
}

/// The outcome of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Duplicate,
    Rejected(RejectReason),
}

impl From<RejectReason> for Answer {
    fn from(reason: RejectReason) -> Self {
        Self::Rejected(reason)
    }
}

#[test]
fn question_what_duplicate_and_unsorted_tags_mean() {
    let victim = Victim::new(&Settings::default());
    let lists: [&[&str]; 4] = [
        &["a", "b"],
        &["b", "a"],
        &["b", "a", "b"],
        &["a", "a", "b", "b"],
    ];
    let mut session = victim.session();
    for (number, tags) in (900..).zip(lists) {
        let inventory = inventory_of(device(number), tags);
        session.write(&inventory_frame(
            &inventory.to_bytes().expect("a valid inventory"),
        ));
        assert_eq!(session.acknowledged(number - 899).0.accepted, number - 899);
        victim.oracle.borrow_mut().inventory("contoso", &inventory);
        let stored = victim
            .server
            .ops
            .device("contoso", device(number))
            .expect("the device is known");
        assert_eq!(stored["tags"], serde_json::json!(["a", "b"]));
    }
    session.goodbye();
    // A repeated tag takes a slot all the same.
    assert!(inventory_of(device(1), &["a"; 16]).to_bytes().is_ok());
    assert!(inventory_of(device(1), &["a"; 17]).to_bytes().is_err());
    victim.finish();
}

#[test]
fn question_the_effect_of_a_changed_address() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    let check_in = |seq| random_check_in(&mut Random::new(seq, 0), device(900), seq);
    for round in 0..5 {
        // The address changes while frames are in flight.
        let seqs = round * 20 + 1..=round * 20 + 20;
        for seq in seqs.clone() {
            session.check_ins(&[check_in(seq)]);
            victim
                .oracle
                .borrow_mut()
                .check_in("contoso", &check_in(seq));
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        session.raw.rebind(socket);
        let totals = session.acknowledged(*seqs.end()).0;
        assert_eq!((totals.accepted, totals.duplicate), (*seqs.end(), 0));
    }
    session.goodbye();
    victim.finish();
}

/// The threat levels of one source in the table of docs/reference/DOMAIN.md, by the name of the code: `None` if that
/// code gives no level.
fn levels(source: &str) -> Vec<(String, Option<usize>)> {
    let path = repository_root().join("docs/reference/DOMAIN.md");
    let text = std::fs::read_to_string(path).expect("the document exists");
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("| {source} |")));
    let line = line.unwrap_or_else(|| panic!("no row {source}"));
    let cells = line
        .split('|')
        .skip(3)
        .zip([Some(0), Some(1), Some(2), Some(3), None]);
    cells
        .flat_map(|(cell, level)| {
            let names = cell.split('`').skip(1).step_by(2);
            names.map(move |name| (name.to_owned(), level))
        })
        .collect()
}

#[test]
fn question_r2_row_7_a_level_is_missing_only_if_no_source_gives_one() {
    let victim = Victim::new(&Settings::default());
    victim.server.ops.require_medium();
    victim.oracle.borrow_mut().set_policy(vec![medium(); 2]);
    let (by_risk, by_partner) = (levels("Defender"), levels("another partner"));
    assert_eq!(
        (by_risk.len(), by_partner.len()),
        (Risk::ALL.len(), PartnerThreatState::ALL.len())
    );
    let level = |of: &[(String, Option<usize>)], name: &str| {
        let found = of.iter().find(|(found, _)| found == name);
        found
            .unwrap_or_else(|| panic!("{name} is not in the table"))
            .1
    };
    let mut fleet = Vec::new();
    for risk in Risk::ALL {
        for partner_threat_state in PartnerThreatState::ALL {
            let device_id = device(900 + fleet.len() as u64);
            fleet.push(record(CheckIn {
                risk: *risk,
                partner_threat_state: *partner_threat_state,
                ..healthy(device_id, 1)
            }));
        }
    }
    let mut session = victim.session();
    session.check_ins(&fleet);
    assert_eq!(session.acknowledged(1).0.accepted, 60);
    session.goodbye();
    victim.oracle.borrow_mut().check_ins("contoso", &fleet);
    for record in &fleet {
        let (risk, partner) = (record.risk().name(), record.partner_threat_state().name());
        let found = victim.server.ops.device("contoso", record.device_id());
        let found = found.expect("the device has checked in");
        // The default threshold is medium, and devices without data are compliant.
        let expected = match level(&by_risk, risk).max(level(&by_partner, partner)) {
            None => json!(["compliant", "missingDataAllowed"]),
            Some(0..=2) => json!(["compliant", null]),
            Some(_) => json!(["nonCompliant", null]),
        };
        let found = json!([found["threat_setting"], found["threat_setting_reason"]]);
        assert_eq!(found, expected, "risk {risk}, partner {partner}");
    }
    victim.finish();
}
