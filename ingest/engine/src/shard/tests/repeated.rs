//! Repeated check-ins: a third of the journal bytes, and the same state after a recovery.

use super::disk::Disk;
use super::*;
use crate::journal::{Change, Event, JournalError, JournalValue, REPEATED_BYTES, REPEATED_SEQ_MAX};

/// Number of repeated and of whole check-ins in the journal value of a batch.
fn journaled(effects: &Effects) -> (usize, usize) {
    let mut value = JournalValue::decode(effects.journal_value()).unwrap();
    let (mut repeated, mut whole) = (0, 0);
    while let Some(event) = value.next_event().unwrap() {
        match event {
            Event::Device(_, Change::Repeated(..)) => repeated += 1,
            Event::Device(_, Change::CheckIn(..)) => whole += 1,
            other => panic!("{other:?}"),
        }
    }
    (repeated, whole)
}

const REPEATED: (usize, usize) = (1, 0);
const WHOLE: (usize, usize) = (0, 1);

/// The field that differs, the change, and the expected journal encoding.
type Difference = (&'static str, fn(&mut CheckIn), (usize, usize));

const DIFFERENCES: [Difference; 14] = [
    ("nothing", |_| (), REPEATED),
    ("time of sending", |report| report.sent_at_ms = 9, REPEATED),
    ("boot", |report| report.boot_id = 9, WHOLE),
    ("payload", |report| report.payload = 9, WHOLE),
    (
        "foreign organisation",
        |report| report.flags = report.flags | Flags::FOREIGN_ORG,
        REPEATED,
    ),
    (
        "setting error",
        |report| report.flags = report.flags | Flags::SETTING_ERROR,
        REPEATED,
    ),
    (
        "seq, the last that fits",
        |report| report.seq = REPEATED_SEQ_MAX,
        REPEATED,
    ),
    ("seq", |report| report.seq = REPEATED_SEQ_MAX + 1, WHOLE),
    ("risk", |report| report.risk = Risk::High, WHOLE),
    (
        "partner",
        |report| report.partner_threat_state = PartnerThreatState::Compromised,
        WHOLE,
    ),
    (
        "onboarding",
        |report| report.onboarding = Onboarding::NotOnboarded,
        WHOLE,
    ),
    ("platform", |report| report.platform = Platform::Ios, WHOLE),
    (
        "agent",
        |report| report.management_agent = ManagementAgent::Eas,
        WHOLE,
    ),
    ("device", |report| report.device_id = device_id(2), WHOLE),
];

#[test]
fn a_check_in_that_differs_in_more_than_flags_is_journaled_whole() {
    for (what, differ, expected) in DIFFERENCES {
        let (mut shard, mut effects) = (shard(), Effects::default());
        // So late that the clock allows every seq.
        let late = Timestamp::from_millis(REPEATED_SEQ_MAX);
        let mut apply = |report, effects: &mut Effects| {
            shard.begin(late, effects);
            shard.apply_check_ins(TENANT, &[record(report)], effects);
            shard.seal(effects);
        };
        apply(check_in(1, 1), &mut effects);
        assert_eq!(journaled(&effects), WHOLE, "{what}: the first report");
        let mut report = check_in(1, 2);
        differ(&mut report);
        apply(report, &mut effects);
        assert_eq!(journaled(&effects), expected, "{what}");
    }
}

/// Otherwise a report of default values only, by a device that has sent an inventory, would be a repeated check-in.
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
    let (device, _) = shard.device(TENANT, &device_id(1)).unwrap();
    let facets = Facets::from_word(device.facets).unwrap();
    let report = CheckIn {
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
    apply(&mut shard, &[record(report)], &mut effects);
    assert_eq!(journaled(&effects), (0, 1));
}

#[test]
fn kinds_alternate_in_the_order_of_the_check_ins() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::of(&shard);
    let risky = |seq| CheckIn {
        risk: Risk::High,
        ..check_in(1, seq)
    };
    let report = [
        check_in(1, 1),
        check_in(1, 2),
        risky(3),
        risky(4),
        check_in(1, 5),
        check_in(1, 6),
    ];
    apply(&mut shard, &report.map(record), &mut effects);
    assert_eq!(journaled(&effects), (3, 3));
    disk.commit(shard.sequence(), &effects);
    let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
    assert_eq!(
        recovered.device(TENANT, &device_id(1)),
        shard.device(TENANT, &device_id(1))
    );
}

/// Recovers two devices from a journal whose repeated check-ins were changed.
fn recover_changed(change: impl Fn(&mut [u8])) -> Result<Shard, RecoveryError> {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::of(&shard);
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
        disk.commit(shard.sequence(), &effects);
    }
    disk.recover(ShardId(0), LIMITS, 7)
}

#[test]
fn a_repeated_check_in_that_is_not_of_the_device_in_its_slot_is_refused() {
    let recovered = recover_changed(|_| ()).unwrap();
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
        let refused = recover_changed(damage).expect_err(what);
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
    let report = |id, seq| {
        record(CheckIn {
            device_id: DeviceId::from_bytes(id),
            ..check_in(0, seq)
        })
    };
    apply(&mut shard, &[report(id, 1), report(id, 2)], &mut effects);
    let mut value = JournalValue::decode(effects.journal_value()).unwrap();
    value.next_event().unwrap();
    let Some(Event::Device(SlotIndex(0), Change::Repeated(_, repeated))) =
        value.next_event().unwrap()
    else {
        panic!("the second check-in repeats the first one");
    };
    assert_eq!(repeated.seq, 2);
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
        assert_eq!(
            JournalValue::decode(&bytes).err(),
            Some(JournalError::FORMAT)
        );
    }
    let kind_at = value.len() - REPEATED_BYTES - 8;
    for kind in [0, 14, u8::MAX] {
        let mut bytes = value.clone();
        bytes[kind_at] = kind;
        let mut read = JournalValue::decode(&bytes).unwrap();
        assert!(matches!(
            read.next_event(),
            Ok(Some(Event::Device(_, Change::CheckIn(..))))
        ));
        assert_eq!(read.next_event(), Err(JournalError::FORMAT), "kind {kind}");
    }
}

#[test]
fn flags_of_a_repeated_check_in_are_recovered() {
    let (mut shard, mut effects) = (shard(), Effects::default());
    let mut disk = Disk::of(&shard);
    for (seq, bit) in (1..).zip(0..12) {
        let report = CheckIn {
            flags: Flags::from_bits(1 << bit).unwrap(),
            ..check_in(1, seq)
        };
        apply(&mut shard, &[record(report)], &mut effects);
        disk.commit(shard.sequence(), &effects);
        let recovered = disk.recover(ShardId(0), LIMITS, 7).unwrap();
        let device = device_id(1);
        assert_eq!(
            recovered.device(TENANT, &device),
            shard.device(TENANT, &device)
        );
    }
}
