//! Every decode error, and incremental decoding at every chunk boundary.

use super::*;
use crate::{
    AckTotals, CheckIn, CloseCode, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner,
    PartnerThreatState, Platform, RejectReason, Rejection, Risk, encode_ack, encode_busy,
    encode_check_ins, encode_client_hello, encode_goodbye, encode_inventory, encode_server_hello,
    limits::INVENTORY_BYTES_MAX,
};

fn check_in(number: u8) -> CheckInBytes {
    let check_in = CheckIn {
        device_id: DeviceId::from_bytes([number; 16]),
        seq: 1,
        sent_at_ms: 2,
        boot_id: 3,
        payload: 4,
        flags: Flags::ENCRYPTED,
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Secured,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Linux,
        management_agent: ManagementAgent::Jamf,
    };
    check_in.to_bytes()
}

fn hello() -> Vec<u8> {
    let mut stream = Vec::new();
    encode_client_hello(&mut stream, &ClientHello::CURRENT);
    stream
}

fn server_hello() -> Vec<u8> {
    let hello = ServerHello {
        version: 1,
        window_frames: 8,
        check_ins_per_frame_max: 4096,
        inventory_bytes_max: 8192,
        server_time_ms: 1,
        next_check_in_seconds: 2,
    };
    let mut stream = Vec::new();
    encode_server_hello(&mut stream, &hello);
    stream
}

/// Hello, followed by a header with these bytes.
fn after_hello(header: [u8; HEADER_BYTES]) -> Vec<u8> {
    [hello(), header.to_vec()].concat()
}

/// The error of a stream that arrives in one chunk.
fn fault(role: Role, stream: &[u8]) -> DecodeError {
    let mut decoder = Decoder::new(role);
    let mut input = stream;
    loop {
        match decoder.next(&mut input) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {stream:02x?}"),
            Err(error) => {
                // An error is final.
                assert_eq!(decoder.next(&mut [0u8; 64].as_slice()), Err(error));
                assert_eq!(decoder.finish(), Err(error));
                return error;
            }
        }
    }
}

#[test]
fn an_unknown_kind_is_malformed() {
    for kind in [0, 7, 255] {
        let error = fault(Role::Server, &after_hello([kind, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(error, DecodeError::UnknownKind { kind });
        assert_eq!(error.close_code(), CloseCode::MalformedFrame);
    }
}

#[test]
fn garbage_is_malformed_at_its_first_header() {
    let error = fault(Role::Server, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(error.close_code(), CloseCode::MalformedFrame);
}

#[test]
fn header_flags_must_be_zero() {
    let error = fault(Role::Server, &after_hello([2, 1, 1, 0, 48, 0, 0, 0]));
    assert_eq!(
        error,
        DecodeError::FlagsNotZero {
            kind: FrameKind::CheckIns,
            flags: 1
        }
    );
    assert_eq!(error.close_code(), CloseCode::MalformedFrame);
}

#[test]
fn a_count_of_zero_is_an_empty_frame() {
    for kind in [FrameKind::CheckIns, FrameKind::Inventory] {
        let error = fault(
            Role::Server,
            &after_hello([kind.code(), 0, 0, 0, 0, 0, 0, 0]),
        );
        assert_eq!(error, DecodeError::Empty { kind });
        assert_eq!(error.close_code(), CloseCode::EmptyFrame);
    }
}

#[test]
fn an_oversized_frame_is_refused_by_its_header() {
    let check_ins = FrameHeader {
        kind: FrameKind::CheckIns,
        count: 4097,
        length: 4097 * 48,
    };
    let long = FrameHeader {
        kind: FrameKind::CheckIns,
        count: 1,
        length: u32::MAX,
    };
    let inventory = FrameHeader {
        kind: FrameKind::Inventory,
        count: 1,
        length: 8193,
    };
    let two = FrameHeader {
        kind: FrameKind::Inventory,
        count: 2,
        length: 200,
    };
    let goodbye = FrameHeader {
        kind: FrameKind::Goodbye,
        count: 0,
        length: 9,
    };
    for header in [check_ins, long, inventory, two, goodbye] {
        let error = fault(Role::Server, &after_hello(header.to_bytes()));
        assert_eq!(error.close_code(), CloseCode::FrameTooLarge, "{header:?}");
    }
    let ack = FrameHeader {
        kind: FrameKind::Ack,
        count: 65,
        length: 48 + 65 * 40,
    };
    let error = fault(
        Role::Client,
        &[server_hello(), ack.to_bytes().to_vec()].concat(),
    );
    assert_eq!(error.close_code(), CloseCode::FrameTooLarge);
}

#[test]
fn a_length_that_does_not_match_the_count_is_malformed() {
    let cases = [
        FrameHeader {
            kind: FrameKind::CheckIns,
            count: 2,
            length: 48,
        },
        FrameHeader {
            kind: FrameKind::CheckIns,
            count: 1,
            length: 47,
        },
        FrameHeader {
            kind: FrameKind::Inventory,
            count: 1,
            length: 87,
        },
        FrameHeader {
            kind: FrameKind::Goodbye,
            count: 0,
            length: 4,
        },
    ];
    for header in cases {
        let error = fault(Role::Server, &after_hello(header.to_bytes()));
        assert_eq!(error.close_code(), CloseCode::MalformedFrame, "{header:?}");
    }
}

#[test]
fn the_first_frame_and_only_the_first_is_hello() {
    let mut goodbye = Vec::new();
    encode_goodbye(&mut goodbye, Goodbye::new(CloseCode::Done, 0));
    for role in [Role::Server, Role::Client] {
        let error = fault(role, &goodbye);
        assert_eq!(
            error,
            DecodeError::HelloExpected {
                kind: FrameKind::Goodbye
            }
        );
        assert_eq!(error.close_code(), CloseCode::UnexpectedFrame);
    }
    let twice = fault(Role::Server, &hello().repeat(2));
    assert_eq!(twice, DecodeError::SecondHello);
    assert_eq!(twice.close_code(), CloseCode::UnexpectedFrame);
    assert_eq!(
        fault(Role::Client, &server_hello().repeat(2)),
        DecodeError::SecondHello
    );
}

#[test]
fn frames_in_the_wrong_direction_are_unexpected() {
    for kind in [FrameKind::Ack, FrameKind::Busy] {
        let error = fault(
            Role::Server,
            &after_hello([kind.code(), 0, 0, 0, 8, 0, 0, 0]),
        );
        assert_eq!(error, DecodeError::WrongDirection { kind });
        assert_eq!(error.close_code(), CloseCode::UnexpectedFrame);
    }
    for kind in [FrameKind::CheckIns, FrameKind::Inventory] {
        let stream = [server_hello(), vec![kind.code(), 0, 1, 0, 48, 0, 0, 0]].concat();
        assert_eq!(
            fault(Role::Client, &stream),
            DecodeError::WrongDirection { kind }
        );
    }
}

#[test]
fn only_acks_of_a_draining_server_follow_goodbye() {
    let mut client = hello();
    encode_goodbye(&mut client, Goodbye::new(CloseCode::Done, 0));
    client.extend_from_slice(&[2, 0, 1, 0, 48, 0, 0, 0]);
    let error = fault(Role::Server, &client);
    assert_eq!(
        error,
        DecodeError::AfterGoodbye {
            kind: FrameKind::CheckIns
        }
    );
    assert_eq!(error.close_code(), CloseCode::UnexpectedFrame);

    let mut server = server_hello();
    encode_goodbye(&mut server, Goodbye::new(CloseCode::Draining, 100));
    encode_ack(&mut server, &AckTotals::default(), &[]);
    encode_busy(&mut server, Busy { retry_after_ms: 1 });
    let busy = DecodeError::AfterGoodbye {
        kind: FrameKind::Busy,
    };
    assert_eq!(fault(Role::Client, &server), busy);
}

#[test]
fn hello_must_be_valid_but_may_offer_any_version() {
    let damaged = |at: usize, byte: u8| {
        let mut stream = hello();
        stream[HEADER_BYTES + at] = byte;
        stream
    };
    let magic = fault(Role::Server, &damaged(0, b'X'));
    assert!(matches!(magic, DecodeError::BadMagic { .. }));
    let empty = fault(Role::Server, &damaged(4, 2));
    assert_eq!(
        empty,
        DecodeError::BadVersionRange {
            version_min: 2,
            version_max: 1
        }
    );
    assert!(matches!(
        fault(Role::Server, &damaged(4, 0)),
        DecodeError::BadVersionRange { .. }
    ));
    let reserved = fault(Role::Server, &damaged(15, 1));
    assert_eq!(
        reserved,
        DecodeError::ReservedNotZero {
            kind: FrameKind::Hello
        }
    );
    for error in [magic, empty, reserved] {
        assert_eq!(error.close_code(), CloseCode::MalformedFrame);
    }

    let mut future = Vec::new();
    encode_client_hello(
        &mut future,
        &ClientHello {
            version_min: 2,
            version_max: 9,
        },
    );
    let item = Decoder::new(Role::Server)
        .next(&mut future.as_slice())
        .unwrap();
    let Some(Item::ClientHello(hello)) = item else {
        panic!("a hello")
    };
    assert_eq!(
        hello.negotiate().unwrap_err().close_code(),
        CloseCode::UnsupportedVersion
    );
}

#[test]
fn a_client_refuses_a_hello_it_cannot_use() {
    let damaged = |at: usize, byte: u8| {
        let mut stream = server_hello();
        stream[HEADER_BYTES + at] = byte;
        stream
    };
    assert!(matches!(
        fault(Role::Client, &damaged(4, 9)),
        DecodeError::BadVersionRange { .. }
    ));
    assert_eq!(fault(Role::Client, &damaged(6, 0)), DecodeError::BadHello);
    assert_eq!(fault(Role::Client, &damaged(9, 0)), DecodeError::BadHello);
    let reserved = DecodeError::ReservedNotZero {
        kind: FrameKind::Hello,
    };
    assert_eq!(fault(Role::Client, &damaged(31, 1)), reserved);
}

#[test]
fn reserved_fields_of_small_frames_must_be_zero() {
    let mut ack = server_hello();
    let rejection = Rejection::new(DeviceId::ZERO, 1, RejectReason::SeqZero);
    encode_ack(&mut ack, &AckTotals::default(), &[rejection]);
    *ack.last_mut().unwrap() = 1;
    let error = DecodeError::ReservedNotZero {
        kind: FrameKind::Ack,
    };
    assert_eq!(fault(Role::Client, &ack), error);

    let mut busy = server_hello();
    encode_busy(&mut busy, Busy { retry_after_ms: 1 });
    *busy.last_mut().unwrap() = 1;
    let error = DecodeError::ReservedNotZero {
        kind: FrameKind::Busy,
    };
    assert_eq!(fault(Role::Client, &busy), error);
}

#[test]
fn a_stream_that_ends_within_a_frame_is_truncated() {
    let record = crate::CheckInRecord::validate(&check_in(1)).unwrap();
    let mut stream = hello();
    encode_check_ins(&mut stream, &[record, record]).unwrap();
    let whole = [hello().len(), stream.len()];
    for end in 0..=stream.len() {
        let mut decoder = Decoder::new(Role::Server);
        let mut input = &stream[..end];
        while decoder.next(&mut input).unwrap().is_some() {}
        assert!(input.is_empty());
        let complete = whole.contains(&end);
        assert_eq!(decoder.is_mid_frame(), !complete && end > 0, "{end}");
        let expected = if complete {
            Ok(())
        } else {
            Err(DecodeError::Truncated)
        };
        assert_eq!(decoder.finish(), expected, "{end}");
    }
    assert_eq!(
        DecodeError::Truncated.close_code(),
        CloseCode::TruncatedFrame
    );
}

#[test]
fn records_are_borrowed_from_the_chunk_and_only_a_split_record_is_copied() {
    let bytes: Vec<_> = (1..=4).map(check_in).collect();
    let records: Vec<_> = bytes
        .iter()
        .map(|bytes| crate::CheckInRecord::validate(bytes).unwrap())
        .collect();
    let mut stream = hello();
    encode_check_ins(&mut stream, &records).unwrap();
    // Two records and ten bytes in the first chunk.
    let (mut first, mut second) = stream.split_at(hello().len() + HEADER_BYTES + 2 * 48 + 10);
    let mut decoder = Decoder::new(Role::Server);
    assert!(matches!(
        decoder.next(&mut first),
        Ok(Some(Item::ClientHello(_)))
    ));
    assert_eq!(
        decoder.next(&mut first),
        Ok(Some(Item::CheckInsBegin { count: 4 }))
    );
    assert_eq!(
        decoder.next(&mut first),
        Ok(Some(Item::Records(&bytes[..2])))
    );
    assert_eq!(decoder.next(&mut first), Ok(None));
    assert_eq!(decoder.next(&mut second), Ok(Some(Item::Record(bytes[2]))));
    assert_eq!(
        decoder.next(&mut second),
        Ok(Some(Item::Records(&bytes[3..])))
    );
    // The end of the frame takes no bytes.
    assert_eq!(decoder.next(&mut second), Ok(Some(Item::CheckInsEnd)));
    assert_eq!(decoder.next(&mut second), Ok(None));
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn an_inventory_is_complete_wherever_chunks_end() {
    let archive = inventory().to_bytes().unwrap();
    let mut stream = hello();
    encode_inventory(&mut stream, &archive).unwrap();
    for size in [1, 7, 48, 8192] {
        let mut decoder = Decoder::new(Role::Server);
        let mut found = None;
        for mut chunk in stream.chunks(size) {
            while let Some(item) = decoder.next(&mut chunk).unwrap() {
                if let Item::Inventory(bytes) = item {
                    found = Some(bytes);
                }
            }
        }
        assert_eq!(
            found.as_deref(),
            Some(archive.as_slice()),
            "chunks of {size}"
        );
        decoder.finish().unwrap();
    }
}

#[test]
fn memory_for_a_payload_grows_with_the_bytes_received() {
    let length = u32::try_from(INVENTORY_BYTES_MAX).unwrap();
    let header = FrameHeader {
        kind: FrameKind::Inventory,
        count: 1,
        length,
    };
    let mut decoder = Decoder::new(Role::Server);
    let stream = [after_hello(header.to_bytes()), vec![0; 10]].concat();
    let mut input = stream.as_slice();
    while decoder.next(&mut input).unwrap().is_some() {}
    assert!(
        decoder.payload.capacity() < 100,
        "{}",
        decoder.payload.capacity()
    );
}

#[test]
fn an_idle_decoder_is_small() {
    // Every connection has one. An idle connection takes about 32 kB, of which this must stay a negligible part.
    assert!(size_of::<Decoder>() <= 128, "{}", size_of::<Decoder>());
}

fn inventory() -> Inventory {
    Inventory {
        device_id: DeviceId::from_bytes([1; 16]),
        os_version: 1,
        revision: 1,
        owner: Owner::Company,
        device_name: "a name of more than eight bytes".to_owned(),
        os_name: String::new(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: vec!["tag".to_owned()],
    }
}
