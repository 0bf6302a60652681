//! Check-ins that say what their device said before, but for their flags: a third of the bytes, and the same state after
//! a recovery.

use super::disk::Disk;
use super::*;
use crate::journal::{
    JournalError, JournalValue, REPEATED_BYTES, REPEATED_SEQ_MAX, Repeated, Segment,
};

/// The check-ins in the journal value of a batch: repeated ones and whole ones.
fn kept(effects: &Effects) -> (usize, usize) {
    let mut value = JournalValue::decode(effects.journal_value()).unwrap();
    let (mut repeated, mut whole) = (0, 0);
    while let Some(segment) = value.next_segment().unwrap() {
        match segment {
            Segment::Repeated { records, .. } => repeated += records.len(),
            Segment::CheckIns { records, .. } => whole += records.len(),
            other => panic!("{other:?}"),
        }
    }
    (repeated, whole)
}

const REPEATED: (usize, usize) = (1, 0);
const WHOLE: (usize, usize) = (0, 1);

/// What is different, how, and how the check-in is kept.
type Difference = (&'static str, fn(&mut CheckIn), (usize, usize));

const DIFFERENCES: [Difference; 14] = [
    ("nothing", |_| (), REPEATED),
    ("time of sending", |says| says.sent_at_ms = 9, REPEATED),
    ("boot", |says| says.boot_id = 9, WHOLE),
    ("payload", |says| says.payload = 9, WHOLE),
    (
        "foreign organisation",
        |says| says.flags = says.flags | Flags::FOREIGN_ORG,
        REPEATED,
    ),
    (
        "setting error",
        |says| says.flags = says.flags | Flags::SETTING_ERROR,
        REPEATED,
    ),
    (
        "seq, the last that fits",
        |says| says.seq = REPEATED_SEQ_MAX,
        REPEATED,
    ),
    ("seq", |says| says.seq = REPEATED_SEQ_MAX + 1, WHOLE),
    ("risk", |says| says.risk = Risk::High, WHOLE),
    (
        "partner",
        |says| says.partner_threat_state = PartnerThreatState::Compromised,
        WHOLE,
    ),
    (
        "onboarding",
        |says| says.onboarding = Onboarding::NotOnboarded,
        WHOLE,
    ),
    ("platform", |says| says.platform = Platform::Ios, WHOLE),
    (
        "agent",
        |says| says.management_agent = ManagementAgent::Eas,
        WHOLE,
    ),
    ("device", |says| says.device_id = device_id(2), WHOLE),
];

#[test]
fn whatever_but_flags_differs_from_the_last_report_is_kept_whole() {
    for (what, differ, expected) in DIFFERENCES {
        let (mut shard, mut effects) = (shard(), Effects::default());
        apply(&mut shard, &[record(check_in(1, 1))], &mut effects);
        assert_eq!(kept(&effects), WHOLE, "{what}: the first report is news");
        let mut says = check_in(1, 2);
        differ(&mut says);
        apply(&mut shard, &[record(says)], &mut effects);
        assert_eq!(kept(&effects), expected, "{what}");
    }
}

/// A report of nothing but defaults is news of a device that has sent an inventory only.
#[test]
fn the_first_check_in_of_a_device_is_never_a_repeated_one() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let inventory = inventory(1, 1, &[]);
    shard.begin(NOW, &mut effects);
    shard.apply_inventory(
        TENANT,
        &inventory,
        &inventory.to_bytes().unwrap(),
        &mut effects,
    );
    shard.seal(&mut effects);
    let (device, cell) = shard.device(TENANT, &device_id(1)).unwrap();
    let facets = Facets::from_word(cell.facets).unwrap();
    let says = CheckIn {
        device_id: device_id(1),
        seq: 1,
        sent_at_ms: 0,
        boot_id: device.boot_id,
        payload: device.payload,
        flags: device.flags,
        risk: facets.risk,
        partner_threat_state: facets.partner_threat,
        onboarding: Onboarding::NotOnboarded,
        platform: facets.platform,
        management_agent: facets.management_agent,
    };
    apply(&mut shard, &[record(says)], &mut effects);
    assert_eq!(kept(&effects), (0, 1));
}

#[test]
fn kinds_alternate_in_the_order_of_the_check_ins() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let risky = |seq| CheckIn {
        risk: Risk::High,
        ..check_in(1, seq)
    };
    let says = [
        check_in(1, 1),
        check_in(1, 2),
        risky(3),
        risky(4),
        check_in(1, 5),
        check_in(1, 6),
    ];
    apply(&mut shard, &says.map(record), &mut effects);
    assert_eq!(kept(&effects), (3, 3));
    let mut disk = Disk::default();
    disk.add_policy(&policy(1));
    disk.commit(Sequence(1), &effects);
    let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
    assert_eq!(
        recovered.device(TENANT, &device_id(1)),
        shard.device(TENANT, &device_id(1))
    );
}

/// Two devices, a batch of repeated check-ins, and what it is replayed over.
fn replayed(change: impl Fn(&mut [u8])) -> Result<Shard, RecoveryError> {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::default();
    disk.add_policy(&policy(1));
    for seq in 1..=2 {
        apply(
            &mut shard,
            &[record(check_in(1, seq)), record(check_in(2, seq))],
            &mut effects,
        );
        let mut value = effects.journal_value().to_vec();
        if seq == 2 {
            let first = value.len() - 2 * REPEATED_BYTES;
            change(&mut value[first..]);
        }
        effects.swap_journal(&mut value);
        disk.commit(Sequence(seq), &effects);
    }
    disk.recover(ShardId(0), LIMITS, 7)
}

#[test]
fn a_repeated_check_in_that_is_not_of_the_device_in_its_slot_is_refused() {
    let recovered = replayed(|_| ()).unwrap();
    assert_eq!(recovered.device(TENANT, &device_id(2)).unwrap().0.seq, 2);
    type Damage = fn(&mut [u8]);
    let damages: [(&str, Damage); 5] = [
        ("an unknown flag", |bytes| bytes[15] ^= 0x80),
        ("another slot", |bytes| bytes[0] ^= 1),
        ("a slot without a device", |bytes| bytes[0] = 200),
        ("a slot beyond the last", |bytes| bytes[3] = 0xff),
        ("another tag", |bytes| bytes[7] ^= 0x80),
    ];
    for (what, damage) in damages {
        let refused = replayed(damage).expect_err(what);
        assert!(
            matches!(refused, RecoveryError::Journal { .. }),
            "{what}: {refused}"
        );
    }
}

#[test]
fn ids_that_differ_in_one_byte_have_different_tags() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let id = [7; 16];
    let says = |id, seq| {
        record(CheckIn {
            device_id: DeviceId::from_bytes(id),
            ..check_in(0, seq)
        })
    };
    apply(&mut shard, &[says(id, 1), says(id, 2)], &mut effects);
    let value = effects.journal_value();
    let last = value.last_chunk::<REPEATED_BYTES>().unwrap();
    let repeated = Repeated::read(last).unwrap();
    assert_eq!((repeated.slot, repeated.seq), (SlotIndex(0), 2));
    assert_eq!(repeated.flags, check_in(0, 2).flags);
    assert!(repeated.is_of(&DeviceId::from_bytes(id)));
    for at in 0..16 {
        let mut other = id;
        other[at] ^= 1;
        assert!(!repeated.is_of(&DeviceId::from_bytes(other)), "{at}");
    }
}

#[test]
fn other_formats_and_kinds_are_refused() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    apply(
        &mut shard,
        &[record(check_in(1, 1)), record(check_in(1, 2))],
        &mut effects,
    );
    let value = effects.journal_value().to_vec();
    for format in (0..=u8::MAX).filter(|format| *format != value[0]) {
        let mut bytes = value.clone();
        bytes[0] = format;
        assert_eq!(JournalValue::decode(&bytes).err(), Some(JournalError));
    }
    let kind_at = value.len() - REPEATED_BYTES - 8;
    for kind in [0, 6, u8::MAX] {
        let mut bytes = value.clone();
        bytes[kind_at] = kind;
        let mut read = JournalValue::decode(&bytes).unwrap();
        assert!(matches!(
            read.next_segment(),
            Ok(Some(Segment::CheckIns { .. }))
        ));
        assert_eq!(read.next_segment(), Err(JournalError), "kind {kind}");
    }
}

/// What reports of flags is filed, and kept, alike by a replay.
#[test]
fn flags_of_a_repeated_check_in_are_recovered() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::default();
    disk.add_policy(&policy(1));
    for (seq, bit) in (1..).zip(0..12) {
        let says = CheckIn {
            flags: Flags::from_bits(1 << bit).unwrap(),
            ..check_in(1, seq)
        };
        apply(&mut shard, &[record(says)], &mut effects);
        disk.commit(Sequence(seq), &effects);
        let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
        let device = device_id(1);
        assert_eq!(
            recovered.device(TENANT, &device),
            shard.device(TENANT, &device)
        );
    }
}
