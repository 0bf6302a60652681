//! A device that sends odd values of every field, alone and through a gateway.
//!
//! The expected results are computed from the tables of docs/reference/PROTOCOL.md, as the author of a client reads
//! them; the codec must agree. Rejected records change nothing, accepted ones change what the engine's model predicts.

use std::collections::BTreeMap;

use muster_wire::{
    AckTotals, CheckInBytes, CheckInRecord, DeviceId, RejectReason, Rejection, encode_inventory,
};

use crate::harness::*;

/// The rules for a check-in in docs/reference/PROTOCOL.md.
struct Document {
    /// Offset and size by field name.
    fields: BTreeMap<String, (usize, usize)>,
    /// The known codes of each coded field, in the order in which reasons take precedence.
    codes: Vec<(&'static str, RejectReason, Vec<u64>)>,
    flags: u64,
}

impl Document {
    fn read() -> Self {
        let path = repository_root().join("docs/reference/PROTOCOL.md");
        let text = std::fs::read_to_string(path).expect("the document exists");
        let rows = |heading: &str| -> Vec<Vec<String>> {
            let section = text.split(&format!("\n### {heading}\n")).nth(1);
            let section = section.unwrap_or_else(|| panic!("no section {heading}"));
            let section = section.split("\n#").next().unwrap_or_default();
            let rows = section.lines().filter(|line| line.starts_with("| "));
            let cells = |row: &str| {
                row.split('|')
                    .skip(1)
                    .map(|cell| cell.trim().to_owned())
                    .collect()
            };
            rows.map(cells)
                .filter(|row: &Vec<String>| row[0].parse::<u64>().is_ok())
                .collect()
        };
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let fields = rows("CheckIns").into_iter();
        let fields = fields.map(|row| {
            (
                row[2].clone(),
                (number(&row[0]) as usize, number(&row[1]) as usize),
            )
        });
        let known = |heading: &str| rows(heading).iter().map(|row| number(&row[0])).collect();
        Self {
            fields: fields.collect(),
            codes: vec![
                ("platform", RejectReason::UnknownPlatform, known("Platform")),
                (
                    "management_agent",
                    RejectReason::UnknownManagementAgent,
                    known("ManagementAgent"),
                ),
                ("risk", RejectReason::UnknownRisk, known("Risk")),
                (
                    "partner_threat_state",
                    RejectReason::UnknownPartnerThreatState,
                    known("PartnerThreatState"),
                ),
                (
                    "onboarding",
                    RejectReason::UnknownOnboarding,
                    known("Onboarding"),
                ),
            ],
            flags: rows("Flags")
                .iter()
                .fold(0, |flags, row| flags | 1 << number(&row[0])),
        }
    }

    fn field(&self, bytes: &CheckInBytes, name: &str) -> u64 {
        let (at, size) = self.fields[name];
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(&bytes[at..at + size]);
        u64::from_le_bytes(wide)
    }

    /// The reason to reject the record, according to the document.
    fn reject_reason(&self, bytes: &CheckInBytes) -> Option<RejectReason> {
        if bytes[..16] == [0; 16] {
            return Some(RejectReason::DeviceIdZero);
        }
        if self.field(bytes, "seq") == 0 {
            return Some(RejectReason::SeqZero);
        }
        for (name, reason, known) in &self.codes {
            if !known.contains(&self.field(bytes, name)) {
                return Some(*reason);
            }
        }
        let reserved =
            self.field(bytes, "reserved") != 0 || self.field(bytes, "flags") & !self.flags != 0;
        reserved.then_some(RejectReason::ReservedNotZero)
    }

    /// Valid records of `base` with one field changed: every value of a field of one byte; every bit and the extreme
    /// values of the others.
    fn odd_records(&self, mut base: impl FnMut() -> CheckInBytes) -> Vec<CheckInBytes> {
        let mut odd = Vec::new();
        for (name, (at, size)) in &self.fields {
            let ends = [[0; 16], [0xff; 16], [0x7f; 16], [0x80; 16]];
            let mut values: Vec<[u8; 16]> = ends.to_vec();
            match size {
                1 => values.extend((0..=255).map(|byte| [byte; 16])),
                _ => values.extend((0..size * 8).map(|bit| {
                    let mut value = [0; 16];
                    value[bit / 8] = 1 << (bit % 8);
                    value
                })),
            }
            if name == "flags" {
                let mut random = Random::new(40, 0);
                values.extend((0..200).map(|_| u128::from(random.bits()).to_le_bytes()));
            }
            for value in values {
                let mut record = base();
                record[*at..at + size].copy_from_slice(&value[..*size]);
                odd.push(record);
            }
        }
        odd
    }
}

/// Sends frames and compares every ack with the document.
struct Conversation {
    document: Document,
    session: Session,
    totals: AckTotals,
    rejected: BTreeMap<&'static str, u64>,
}

impl Conversation {
    fn new(session: Session) -> Self {
        Self {
            document: Document::read(),
            session,
            totals: AckTotals::default(),
            rejected: BTreeMap::new(),
        }
    }

    /// Sends one frame. `own` is the device of the sender's certificate, if it is one of a device.
    #[track_caller]
    fn frame(&mut self, victim: &Victim, records: &[CheckInBytes], own: Option<DeviceId>) {
        let mut expected = Vec::new();
        for bytes in records {
            let invalid = self.document.reject_reason(bytes);
            let valid = CheckInRecord::validate(bytes);
            assert_eq!(
                valid.as_ref().err().copied(),
                invalid,
                "the codec agrees with the document"
            );
            let (device_id, seq) = CheckInRecord::peek(bytes);
            let foreign = own.is_some_and(|own| own != device_id);
            let foreign = foreign.then_some(RejectReason::IdentityMismatch);
            let reason = match (invalid.or(foreign), valid) {
                (None, Ok(record)) => victim.oracle.borrow_mut().check_in("contoso", &record),
                (reason, _) => reason,
            };
            if let Some(reason) = reason {
                *self.rejected.entry(reason.name()).or_default() += 1;
                expected.push(Rejection::new(device_id, seq, reason));
            }
        }
        self.session.records(records);
        let (totals, rejections) = self.session.acknowledged(self.totals.frames + 1);
        let key =
            |rejection: &Rejection| (rejection.device_id, rejection.seq, rejection.reason_code);
        // Stale records are listed once for each device of a session; tests/field/sequence.rs has them.
        let rejections = rejections.iter().filter(|entry| !entry.is_stale());
        let mut received: Vec<_> = rejections.map(key).collect();
        let mut expected: Vec<_> = expected.iter().map(key).collect();
        received.sort_unstable();
        expected.sort_unstable();
        assert_eq!(received, expected);

        self.totals = totals;
    }

    /// Asserts that acks, metrics and state agree with the document and the model.
    #[track_caller]
    fn finish(self, victim: &Victim, before: [u64; 3]) {
        let answers = victim.oracle.borrow().answers;
        let [accepted, duplicate, stale] =
            std::array::from_fn(|index| answers[index] - before[index]);
        let totals = self.totals;
        assert_eq!(
            (totals.accepted, totals.duplicate, totals.stale),
            (accepted, duplicate, stale)
        );
        assert_eq!(totals.rejected, self.rejected.values().sum::<u64>());
        self.session.goodbye();
        let counted = victim.server.ops.metrics().by_label(REJECTED);
        for (reason, count) in counted {
            assert_eq!(
                count,
                self.rejected.get(&*reason).copied().unwrap_or(0),
                "{reason}"
            );
        }
        victim
            .causes
            .borrow_mut()
            .extend(self.rejected.keys().copied());
        assert_eq!(victim.server.ops.cells(), victim.oracle.borrow().cells());
    }
}

#[test]
fn odd_values_of_every_field_from_a_gateway_among_good_records() {
    let victim = Victim::new(&Settings::default());
    let before = victim.oracle.borrow().answers;
    let mut random = Random::new(7, 0);
    let mut number = 10_000;
    let mut good = || {
        number += 1;
        *random_check_in(&mut random, device(number), 1 + number % 5).as_bytes()
    };
    let mut conversation = Conversation::new(victim.session());
    let mut records = conversation.document.odd_records(&mut good);
    assert!(records.len() > 2000, "{} odd records", records.len());
    // Insert valid records between them, and repeat some, which are duplicates or rejected again.
    for index in (0..records.len()).rev().step_by(3) {
        records.insert(index, good());
    }
    for index in (0..records.len()).step_by(17) {
        records.push(records[index]);
    }
    let mut shuffle = Random::new(8, 0);
    for index in (1..records.len()).rev() {
        records.swap(index, shuffle.below(index as u64 + 1) as usize);
    }
    // An ack lists up to 64 rejections, so all of a frame are listed.
    for records in records.chunks(64) {
        conversation.frame(&victim, records, None);
    }
    conversation.finish(&victim, before);
    victim.finish();
}

#[test]
fn odd_values_of_every_field_from_one_device() {
    let victim = Victim::new(&Settings::default());
    let before = victim.oracle.borrow().answers;
    let own = device(20_000);
    let credentials = victim.place.pki.device("contoso", own);
    let session = victim.server.session(&victim.place.pki, &credentials);
    let mut conversation = Conversation::new(session);
    let (mut random, mut seq) = (Random::new(9, 0), 1);
    let base = || {
        seq += 1;
        *random_check_in(&mut random, own, seq).as_bytes()
    };
    let records = conversation.document.odd_records(base);
    // One of the records has the highest seq that is not ahead of the clock, after which all lower ones are stale.
    for records in records.chunks(50) {
        conversation.frame(&victim, records, Some(own));
    }
    assert!(conversation.rejected[RejectReason::IdentityMismatch.name()] > 100);
    assert!(conversation.totals.stale > 0 && conversation.totals.accepted > 100);
    conversation.finish(&victim, before);
    assert_eq!(
        victim
            .server
            .ops
            .device("contoso", own)
            .expect("the device is known")["seq"],
        1_u64 << 40
    );
    victim.finish();
}

#[test]
fn odd_values_of_every_field_of_an_inventory() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    let known = device(0);
    let (mut frames, mut accepted, mut rejected) = (0, 0, 0);
    let mut send = |archive: &[u8]| {
        let mut bytes = Vec::new();
        encode_inventory(&mut bytes, archive).expect("the archive fits into a frame");
        session.write(&bytes);
        frames += 1;
        let (totals, mut rejections) = session.acknowledged(frames);
        rejections.retain(|entry| !entry.is_stale());
        rejected += rejections.len() as u64;
        assert_eq!(totals.rejected, rejected);
        accepted = totals.accepted;
        rejections.first().and_then(Rejection::reason)
    };
    let good = random_inventory(&mut Random::new(3, 0), known, 1)
        .to_bytes()
        .expect("a valid inventory");
    // The root is at the end: flip every bit of it, and try every owner code.

    let root = good.len() - 88;
    let mut archives: Vec<Vec<u8>> = (0..88 * 8)
        .map(|bit| {
            let mut archive = good.clone();
            archive[root + bit / 8] ^= 1 << (bit % 8);
            archive
        })
        .collect();
    archives.extend((0..=255).map(|owner| {
        let mut archive = good.clone();
        archive[root + 28] = owner;
        archive
    }));
    for archive in archives {
        let expected = match muster_wire::Inventory::from_bytes(&archive) {
            Err(error) => Some(error.reject_reason()),
            Ok(inventory) => victim.oracle.borrow_mut().inventory("contoso", &inventory),
        };
        assert_eq!(send(&archive), expected);
    }
    assert!(
        accepted > 0 && rejected > 300,
        "{accepted} accepted, {rejected} rejected"
    );
    session.goodbye();
    assert_eq!(victim.server.ops.cells(), victim.oracle.borrow().cells());
    victim.finish();
}
