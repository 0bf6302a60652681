//! Records that are rejected while the session continues.

use muster_wire::{CheckInBytes, DeviceId, Inventory, RejectReason, encode_inventory};

use crate::harness::*;

/// Offsets of the fields of a check-in, see docs/reference/PROTOCOL.md.
const SEQ: usize = 16;
const FLAGS: usize = 40;
const RISK: usize = 42;
const PARTNER_THREAT_STATE: usize = 43;
const ONBOARDING: usize = 44;
const PLATFORM: usize = 45;
const MANAGEMENT_AGENT: usize = 46;
const RESERVED: usize = 47;

fn check_in(number: u64, seq: u64) -> CheckInBytes {
    *random_check_in(&mut Random::new(number, 0), device(number), seq).as_bytes()
}

/// A valid check-in with these bytes changed.
fn with_bytes(at: usize, bytes: &[u8]) -> CheckInBytes {
    let mut record = check_in(901, 5);
    record[at..at + bytes.len()].copy_from_slice(bytes);
    record
}

#[test]
fn undefined_codes_and_bits_are_rejected_each_with_its_reason() {
    let victim = Victim::new(&Settings::default());
    for (reason, at, codes) in [
        (RejectReason::UnknownPlatform, PLATFORM, [9, 255]),
        (
            RejectReason::UnknownManagementAgent,
            MANAGEMENT_AGENT,
            [0, 12],
        ),
        (RejectReason::UnknownRisk, RISK, [6, 255]),
        (
            RejectReason::UnknownPartnerThreatState,
            PARTNER_THREAT_STATE,
            [10, 255],
        ),
        (RejectReason::UnknownOnboarding, ONBOARDING, [2, 255]),
        (RejectReason::ReservedNotZero, RESERVED, [1, 255]),
        (RejectReason::ReservedNotZero, FLAGS + 1, [0x10, 0x80]),
    ] {
        for code in codes {
            victim.rejects(reason, &with_bytes(at, &[code]));
        }
    }
    victim.rejects(RejectReason::DeviceIdZero, &with_bytes(0, &[0; 16]));
    victim.rejects(RejectReason::SeqZero, &with_bytes(SEQ, &[0; 8]));
    victim.finish();
}

#[test]
fn a_bad_record_does_not_affect_the_good_ones_in_its_frame() {
    let victim = Victim::new(&Settings::default());
    let good = [check_in(902, 1), check_in(903, 1)];
    let mut session = victim.session();
    session.records(&[
        good[0],
        with_bytes(RISK, &[6]),
        with_bytes(SEQ, &[0; 8]),
        good[1],
    ]);
    let (totals, rejections) = session.acknowledged(1);
    assert_eq!((totals.frames, totals.accepted, totals.rejected), (1, 2, 2));
    assert_eq!(rejections.len(), 2);
    session.goodbye();
    for record in good {
        let record = muster_wire::CheckInRecord::validate(&record).unwrap();
        victim.oracle.borrow_mut().check_in("contoso", &record);
    }
    assert_eq!(victim.server.ops.device("contoso", device(901)), None);
    victim.finish();
}

#[test]
fn an_ack_lists_64_rejections_and_counts_all_of_them() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    session.records(&[with_bytes(RISK, &[6]); 500]);
    let (totals, rejections) = session.acknowledged(1);
    assert_eq!((totals.rejected, rejections.len()), (500, 64));
    session.goodbye();
    let metrics = victim.server.ops.metrics();
    assert_eq!(
        metrics.get(&format!("{REJECTED}{{reason=\"unknownRisk\"}}")),
        500.0
    );
    victim.causes.borrow_mut().insert("unknownRisk");
    victim.finish();
}

#[test]
fn a_device_speaks_only_for_itself() {
    let victim = Victim::new(&Settings::default());
    let own = device(904);
    let credentials = victim.place.pki.device("contoso", own);
    let open = || victim.server.session(&victim.place.pki, &credentials);
    let mut first = open();
    let good = random_check_in(&mut Random::new(904, 0), own, 1);
    first.check_ins(&[good]);
    assert_eq!(first.acknowledged(1).0.accepted, 1);
    victim.oracle.borrow_mut().check_in("contoso", &good);

    // A record of another device and one of its own in the same frame.
    victim.refuses(REJECTED, "identityMismatch", || {
        let mut session = open();
        session.records(&[check_in(904, 1), check_in(3, 1000)]);
        let (totals, rejections) = session.acknowledged(1);
        assert_eq!((totals.duplicate, totals.rejected), (1, 1));
        assert_eq!(rejections[0].reason(), Some(RejectReason::IdentityMismatch));
        assert_eq!(
            (rejections[0].device_id, rejections[0].seq),
            (device(3), 1000)
        );
        session.goodbye();
    });
    let inventory = random_inventory(&mut Random::new(1, 0), device(3), 1);
    victim.refuses(REJECTED, "identityMismatch", || {
        let mut session = open();
        let mut bytes = Vec::new();
        encode_inventory(&mut bytes, &inventory.to_bytes().unwrap()).unwrap();
        session.write(&bytes);
        assert_eq!(session.acknowledged(1).0.rejected, 1);
        session.goodbye();
    });
    first.goodbye();
    victim.finish();
}

#[test]
fn unreadable_inventories_are_rejected() {
    let victim = Victim::new(&Settings::default());
    let inventory = random_inventory(&mut Random::new(1, 0), device(3), 7);
    let good = inventory.to_bytes().unwrap();
    let root = good.len() - 88;
    let with_bytes = |at: usize, bytes: &[u8]| {
        let mut archive = good.to_vec();
        archive[root + at..root + at + bytes.len()].copy_from_slice(bytes);
        archive
    };
    let invalid = RejectReason::InvalidInventory;
    victim.rejects_inventory(invalid, &[0xff; 88]);
    victim.rejects_inventory(invalid, &with_bytes(80, &[0xff; 8])); // tags far outside the archive

    victim.rejects_inventory(invalid, &with_bytes(40, &[0x07])); // a control character
    victim.rejects_inventory(invalid, &with_bytes(40, &[0xc3, 0x28])); // not UTF-8
    victim.rejects_inventory(
        RejectReason::DeviceIdZero,
        &with_bytes(0, DeviceId::ZERO.as_bytes()),
    );
    victim.rejects_inventory(RejectReason::SeqZero, &with_bytes(24, &[0; 4]));
    victim.rejects_inventory(RejectReason::UnknownOwner, &with_bytes(28, &[3]));
    victim.rejects_inventory(RejectReason::ReservedNotZero, &with_bytes(29, &[1]));
    assert!(Inventory::from_bytes(&good).is_ok());
    victim.finish();
}
