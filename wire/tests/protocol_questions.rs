//! Questions of an author who writes a client only from docs/reference/PROTOCOL.md. Each test is named by its question
//! and compares the answer of the document with the code. Those that need a server are in
//! `tests/acceptance/tests/server/questions.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use muster_wire::{
    CheckInRecord, CloseCode, DecodeError, Decoder, DeviceId, FrameKind, Goodbye, Identity,
    Inventory, Item, Owner, RejectReason, Role, encode_client_hello, encode_goodbye,
    encode_server_hello, limits,
};

fn document() -> String {
    // Read at run time, because two clones may share a target directory.

    let wire: PathBuf = std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into();
    fs::read_to_string(wire.join("../docs/reference/PROTOCOL.md")).unwrap()
}

fn header(kind: u8, flags: u8, count: u16, length: u32) -> Vec<u8> {
    let mut bytes = vec![kind, flags];
    bytes.extend(count.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes
}

/// A decoder that has had the Hello of the other side.
fn open(role: Role) -> Decoder {
    let mut hello = Vec::new();
    match role {
        Role::Server => encode_client_hello(&mut hello, &muster_wire::ClientHello::CURRENT),
        Role::Client => encode_server_hello(
            &mut hello,
            &muster_wire::ServerHello {
                version: 1,
                window_frames: 1,
                check_ins_per_frame_max: 1,
                inventory_bytes_max: 0,
                server_time_ms: 0,
                next_check_in_seconds: 0,
            },
        ),
    }
    let mut decoder = Decoder::new(role);
    assert!(decoder.next(&mut hello.as_slice()).unwrap().is_some());
    decoder
}

/// The code that bytes give, if they give one.
fn code(decoder: &mut Decoder, bytes: &[u8]) -> Option<CloseCode> {
    let mut input = bytes;
    loop {
        match decoder.next(&mut input) {
            Ok(None) => return None,
            Ok(Some(_)) => {}
            Err(error) => return Some(error.close_code()),
        }
    }
}

/// One row of the table "Kinds": count and length at least, at most, and bytes of a record.
#[derive(Debug)]
struct Kind {
    code: u8,
    receiver: Role,
    counts: (u16, u16),
    /// Bytes that do not depend on the count, at least and at most.
    fixed: (u32, u32),
    each: u32,
}

impl Kind {
    fn lengths(&self, count: u16) -> (u32, u32) {
        let records = u32::from(count) * self.each;
        (self.fixed.0 + records, self.fixed.1 + records)
    }
}

/// The table "Kinds" as the document has it.
fn kinds() -> Vec<Kind> {
    let document = document();
    let section = document.split("\n### Kinds\n").nth(1).unwrap();
    let section = section.split("\n#").next().unwrap();
    let mut kinds = Vec::new();
    for row in section
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
    {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let receivers: &[Role] = match cells[3] {
            "client to server" => &[Role::Server],
            "server to client" => &[Role::Client],
            "both" => &[Role::Server, Role::Client],
            other => panic!("unknown direction {other}"),
        };
        let range = |text: &str| -> (u32, u32) {
            let mut ends = text.split(" to ").map(|end| end.parse().unwrap());
            let least = ends.next().unwrap();
            (least, ends.next().unwrap_or(least))
        };
        let (least, most) = range(cells[4]);
        let (fixed, each) = match cells[5].split_once("count × ") {
            None => (range(cells[5]), 0),
            Some((fixed, each)) => {
                let fixed = fixed.trim_end_matches(" + ");
                let fixed = if fixed.is_empty() {
                    (0, 0)
                } else {
                    range(fixed)
                };
                (fixed, each.parse().unwrap())
            }
        };
        kinds.extend(receivers.iter().map(|receiver| Kind {
            code: cells[1].parse().unwrap(),
            receiver: *receiver,
            counts: (least.try_into().unwrap(), most.try_into().unwrap()),
            fixed,
            each,
        }));
    }
    kinds
}

#[test]
fn question_which_code_a_count_or_a_length_beyond_its_value_gives() {
    let kinds = kinds();
    assert_eq!(kinds.len(), FrameKind::ALL.len() + 2, "{kinds:?}");
    for kind in kinds {
        let (least, most) = kind.counts;
        let counts = [0, 1, 2, most, most.saturating_add(1), u16::MAX];
        for count in counts {
            let right = kind.lengths(count);
            let end = kind.lengths(most).1;
            let around = [right.0, right.1, end]
                .map(|length| [length.saturating_sub(1), length, length + 1]);
            for length in around.into_iter().flatten().chain([0, u32::MAX]) {
                let expected = if count > most || length > end {
                    Some(CloseCode::FrameTooLarge)
                } else if count < least {
                    Some(CloseCode::EmptyFrame)
                } else if !(right.0..=right.1).contains(&length) {
                    Some(CloseCode::MalformedFrame)
                } else {
                    None
                };
                let is_hello = kind.code == FrameKind::Hello.code();
                let mut decoder = if is_hello {
                    Decoder::new(kind.receiver)
                } else {
                    open(kind.receiver)
                };
                // By the header alone: no byte of the payload has come.
                let found = code(&mut decoder, &header(kind.code, 0, count, length));
                assert_eq!(found, expected, "{kind:?}, {count} records, {length} bytes");
            }
        }
    }
    // The examples of the document.
    for (count, length, expected) in [
        (0, 9, CloseCode::FrameTooLarge),
        (1, 8, CloseCode::FrameTooLarge),
        (0, 7, CloseCode::MalformedFrame),
    ] {
        let found = code(&mut open(Role::Server), &header(6, 0, count, length));
        assert_eq!(found, Some(expected));
    }
}

/// Headers that break every check from one on: the first of them decides.
#[test]
fn question_which_check_of_a_header_comes_first() {
    let after_goodbye = |bytes: &[u8]| {
        let mut decoder = open(Role::Server);
        let mut goodbye = Vec::new();
        encode_goodbye(&mut goodbye, Goodbye::new(CloseCode::Done, 0));
        assert_eq!(code(&mut decoder, &goodbye), None);
        code(&mut decoder, bytes)
    };
    let first = |bytes: &[u8]| code(&mut Decoder::new(Role::Server), bytes);
    let later = |bytes: &[u8]| code(&mut open(Role::Server), bytes);
    let found = [
        first(&header(0, 1, 0, 1)),
        first(&header(2, 1, 0, 1)),
        // Wrong direction, before Hello, a second Hello, after Goodbye.
        later(&header(4, 0, 65, 1)),
        first(&header(2, 0, 0, 1)),
        later(&header(1, 0, 1, 17)),
        after_goodbye(&header(2, 0, 0, 1)),
        later(&header(2, 0, 4097, 1)),
        later(&header(2, 0, 0, 196_609)),
        later(&header(2, 0, 0, 1)),
        later(&header(2, 0, 1, 1)),
    ];
    let expected = [
        CloseCode::MalformedFrame,
        CloseCode::MalformedFrame,
        CloseCode::UnexpectedFrame,
        CloseCode::UnexpectedFrame,
        CloseCode::UnexpectedFrame,
        CloseCode::UnexpectedFrame,
        CloseCode::FrameTooLarge,
        CloseCode::FrameTooLarge,
        CloseCode::EmptyFrame,
        CloseCode::MalformedFrame,
    ];
    assert_eq!(found, expected.map(Some));
}

#[test]
fn question_what_a_goodbye_with_a_code_does() {
    let goodbye = |code, retry_after_ms| {
        let mut bytes = Vec::new();
        encode_goodbye(
            &mut bytes,
            Goodbye {
                code,
                retry_after_ms,
            },
        );
        bytes
    };
    for (number, retry_after_ms) in [(1, 0), (0x30, 0), (u32::MAX, 0), (0, 1), (0, 1 << 31)] {
        let bytes = goodbye(number, retry_after_ms);
        let mut decoder = open(Role::Server);
        assert_eq!(
            decoder.next(&mut bytes.as_slice()),
            Err(DecodeError::ReservedNotZero {
                kind: FrameKind::Goodbye
            })
        );
        let found = code(&mut open(Role::Server), &bytes);
        assert_eq!(found, Some(CloseCode::MalformedFrame));
        // From a server it is what the frame is for.
        let mut decoder = open(Role::Client);
        let mut input = bytes.as_slice();
        let item = decoder.next(&mut input).unwrap().unwrap();
        let expected = Goodbye {
            code: number,
            retry_after_ms,
        };
        assert_eq!(item, Item::Goodbye(expected));
    }
    assert_eq!(code(&mut open(Role::Server), &goodbye(0, 0)), None);
}

/// The reasons in the order of the document, with what stands behind a comma.
fn order_of_reasons() -> Vec<(String, bool)> {
    let document = document();
    let section = document
        .split("\n#### Which reason an Ack gives\n")
        .nth(1)
        .unwrap();
    let section = section.split("\n#").next().unwrap();
    let items = section
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    items
        .enumerate()
        .map(|(index, line)| {
            let (number, text) = line.split_once(". ").unwrap();
            assert_eq!(number.parse(), Ok(index + 1));
            let name = text.split('`').nth(1).unwrap().to_owned();
            (name, text.contains("cannot be read"))
        })
        .collect()
}

/// What makes a record wrong for one reason.
type Fault<'a> = (RejectReason, &'a dyn Fn(&mut Vec<u8>));

/// Breaks a record for all reasons and mends them one by one: each time the first of the document decides.
fn assert_order(good: &[u8], faults: &[Fault<'_>], fault: impl Fn(&[u8]) -> Option<RejectReason>) {
    assert_eq!(fault(good), None);
    for first in 0..faults.len() {
        let mut record = good.to_vec();
        for (_, spoil) in &faults[first..] {
            spoil(&mut record);
        }
        assert_eq!(fault(&record), Some(faults[first].0));
    }
}

#[test]
fn question_which_reason_wins_of_several() {
    let order = order_of_reasons();
    let place = |reason: RejectReason, unreadable: bool| {
        let place = order
            .iter()
            .position(|(name, found)| name == reason.name() && *found == unreadable);
        place.unwrap_or_else(|| panic!("{reason} is not in the list"))
    };
    // Each reason is in the list, invalidInventory twice.
    for reason in RejectReason::ALL {
        place(*reason, false);
    }
    let twice = place(RejectReason::InvalidInventory, true);
    assert_eq!((twice, order.len()), (0, RejectReason::ALL.len() + 1));
    let sorted =
        |faults: &mut Vec<Fault<'_>>| faults.sort_by_key(|(reason, _)| place(*reason, false));

    let mut good = vec![0; 48];
    (good[0], good[16], good[46]) = (1, 1, 16);
    let mut faults: Vec<Fault<'_>> = vec![
        (RejectReason::DeviceIdZero, &|it| it[..16].fill(0)),
        (RejectReason::SeqZero, &|it| it[16..24].fill(0)),
        (RejectReason::UnknownPlatform, &|it| it[45] = 255),
        (RejectReason::UnknownManagementAgent, &|it| it[46] = 255),
        (RejectReason::UnknownRisk, &|it| it[42] = 255),
        (RejectReason::UnknownPartnerThreatState, &|it| it[43] = 255),
        (RejectReason::UnknownOnboarding, &|it| it[44] = 255),
        (RejectReason::ReservedNotZero, &|it| it[47] = 1),
    ];
    sorted(&mut faults);
    assert_order(&good, &faults, |bytes| {
        CheckInRecord::validate(bytes.try_into().unwrap()).err()
    });

    let inventory = Inventory {
        device_id: DeviceId::from_bytes([1; 16]),
        os_version: 0,
        revision: 1,
        owner: Owner::Unknown,
        device_name: "name".to_owned(),
        os_name: String::new(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: Vec::new(),
    };
    let good = inventory.to_bytes().unwrap();
    assert_eq!(good.len(), limits::INVENTORY_ROOT_BYTES);
    let mut faults: Vec<Fault<'_>> = vec![
        (RejectReason::DeviceIdZero, &|it| it[..16].fill(0)),
        (RejectReason::SeqZero, &|it| it[24..28].fill(0)),
        (RejectReason::UnknownOwner, &|it| it[28] = 255),
        (RejectReason::ReservedNotZero, &|it| it[29] = 1),
        // A control character in the name.
        (RejectReason::InvalidInventory, &|it| it[32] = 7),
    ];
    sorted(&mut faults);
    // The length of the name's text lies outside of the archive.
    faults.insert(
        0,
        (RejectReason::InvalidInventory, &|it| it[40..48].fill(0x80)),
    );
    assert_order(&good, &faults, |bytes| {
        let fault = Inventory::from_bytes(bytes).err();
        fault.map(|error| error.reject_reason())
    });
}

#[test]
fn question_upper_case_hex_in_the_identity() {
    let uuid = "0011aabb-4455-6677-8899-aabbccddeeff";
    let lower: Identity = format!("muster://contoso/device/{uuid}").parse().unwrap();
    for text in [uuid.to_uppercase(), uuid.replace("aabb", "aAbB")] {
        let uri = format!("muster://contoso/device/{text}");
        assert_eq!(uri.parse().as_ref(), Ok(&lower), "{uri}");
        assert_eq!(Identity::from_uris([uri.as_str()]).as_ref(), Ok(&lower));
    }
    assert_eq!(lower.to_string(), format!("muster://contoso/device/{uuid}"));
    for text in [
        format!("MUSTER://contoso/device/{uuid}"),
        format!("muster://Contoso/device/{uuid}"),
        format!("muster://contoso/Device/{uuid}"),
        "muster://contoso/gateway/GW-1".to_owned(),
    ] {
        let found = Identity::from_uris([text.as_str()]);
        let code = found.map_err(|error| error.close_code());
        assert_eq!(code, Err(CloseCode::IdentityInvalid), "{text}");
    }
}
