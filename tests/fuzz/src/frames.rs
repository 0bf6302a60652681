//! Targets for the frames of a stream, in both directions.
//!
//! Properties: chunk boundaries change neither the items nor the end of a stream; decoded items encode back to the same
//! bytes, so that no byte is ignored; an error is final.

use muster_wire::{
    ClientHello, CloseCode, DecodeError, Decoder, FrameHeader, FrameKind, Item, Role, ServerHello,
    VERSION_MAX, VERSION_MIN, encode_ack, encode_busy, encode_check_ins_header,
    encode_client_hello, encode_goodbye, encode_inventory, encode_server_hello, limits,
};

use crate::Input;

/// Decodes a stream as the server does.
pub fn decoder(data: &[u8]) {
    stream(Role::Server, data);
}

/// Decodes a stream as a client does: Hello, Ack, Busy, Goodbye.
pub fn answers(data: &[u8]) {
    stream(Role::Client, data);
}

/// Decodes the first frame of either direction with any payload, compared with a second decoder of its layout.
pub fn hello(data: &[u8]) {
    let mut input = Input(data);
    let payload: [u8; limits::SERVER_HELLO_BYTES] = input.array();
    let word = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
    let magic = payload[..4] == *b"MSTR";

    let client = &payload[..limits::CLIENT_HELLO_BYTES];
    let (oldest, newest) = (word(4), word(6));
    let is_valid = magic && oldest >= 1 && oldest <= newest && client[8..] == [0; 8];
    let decoded = decode_hello(Role::Server, client);
    assert_eq!(decoded.is_ok(), is_valid, "{decoded:?}");
    if let Ok(Item::ClientHello(hello)) = decoded {
        assert_eq!((hello.version_min, hello.version_max), (oldest, newest));
        match hello.negotiate() {
            Ok(version) => {
                assert!((oldest..=newest).contains(&version));
                assert!((VERSION_MIN..=VERSION_MAX).contains(&version));
            }
            Err(error) => {
                assert!(oldest > VERSION_MAX || newest < VERSION_MIN);
                assert_eq!(error.close_code(), CloseCode::UnsupportedVersion);
            }
        }
    }

    let version = word(4);
    let is_valid = magic
        && (VERSION_MIN..=VERSION_MAX).contains(&version)
        && word(6) != 0
        && payload[8..12] != [0; 4]
        && payload[28..] == [0; 4];
    let decoded = decode_hello(Role::Client, &payload);
    assert_eq!(decoded.is_ok(), is_valid, "{decoded:?}");
}

/// The item of a Hello frame, which must encode back to the same bytes.
fn decode_hello(role: Role, payload: &[u8]) -> Result<Item<'static>, DecodeError> {
    let header = FrameHeader {
        kind: FrameKind::Hello,
        count: 0,
        length: payload.len() as u32,
    };
    let frame = [&header.to_bytes()[..], payload].concat();
    let mut decoder = Decoder::new(role);
    let mut input: &[u8] = &frame;
    let item = match decoder.next(&mut input)? {
        Some(Item::ClientHello(hello)) => Item::ClientHello(hello),
        Some(Item::ServerHello(hello)) => Item::ServerHello(hello),
        other => panic!("a complete Hello frame decodes to {other:?}"),
    };
    let mut encoded = Vec::new();
    encode(&item, &mut encoded);
    assert_eq!(encoded, frame);
    assert_eq!(decoder.finish(), Ok(()));
    Ok(item)
}

/// A decoded stream.
#[derive(Debug, PartialEq)]
struct Decoded {
    /// All items, encoded again.
    encoded: Vec<u8>,
    /// Number of items; each record of a run counts.
    items: u64,
    end: Result<(), DecodeError>,
}

fn stream(role: Role, data: &[u8]) {
    let mut input = Input(data);
    let mut seed = u64::from(input.u16());
    let stream = input.0;
    let whole = decode(role, [stream]);
    assert_eq!(decode(role, stream.chunks(1)), whole, "byte by byte");
    let chunks = std::iter::from_fn(|| {
        (!input.is_empty()).then(|| {
            // A linear congruential generator, so that two bytes of the input choose all chunk sizes.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            input.take(1 + (seed >> 57) as usize)
        })
    });
    assert_eq!(decode(role, chunks), whole, "in chunks of the seed");
    assert!(
        stream.starts_with(&whole.encoded),
        "items encode back to the bytes of the stream"
    );
    if whole.end.is_ok() {
        assert_eq!(whole.encoded, stream, "no byte is ignored");
    }
}

fn decode<'a>(role: Role, chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(role);
    let mut decoded = Decoded {
        encoded: Vec::new(),
        items: 0,
        end: Ok(()),
    };
    for chunk in chunks {
        let mut input = chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(item)) => decoded.items += encode(&item, &mut decoded.encoded),
                Ok(None) => break,
                Err(error) => {
                    let mut more: &[u8] = b"more";
                    assert_eq!(decoder.next(&mut more), Err(error), "an error is final");
                    assert_eq!(decoder.finish(), Err(error));
                    assert!(!decoder.is_mid_frame());
                    assert!(!error.close_code().is_retryable() && !error.to_string().is_empty());
                    decoded.end = Err(error);
                    return decoded;
                }
            }
        }
        assert!(
            input.is_empty(),
            "a decoder that needs more bytes has consumed all"
        );
    }
    decoded.end = decoder.finish();
    decoded
}

/// Encodes an item; returns how many items it counts as.
fn encode(item: &Item<'_>, out: &mut Vec<u8>) -> u64 {
    match item {
        Item::ClientHello(ClientHello {
            version_min,
            version_max,
        }) => {
            let hello = ClientHello {
                version_min: *version_min,
                version_max: *version_max,
            };
            encode_client_hello(out, &hello);
        }
        Item::ServerHello(hello) => {
            assert!(hello.window_frames > 0 && hello.check_ins_per_frame_max > 0);
            encode_server_hello(out, &ServerHello { ..*hello });
        }
        Item::CheckInsBegin { count } => {
            let header = encode_check_ins_header(usize::from(*count));
            out.extend(header.expect("the count is within its limit"));
        }
        Item::Records(records) => {
            assert!(!records.is_empty());
            out.extend_from_slice(records.as_flattened());
            return records.len() as u64;
        }
        Item::Record(record) => out.extend_from_slice(record),
        Item::CheckInsEnd => {}
        Item::Inventory(archive) => {
            encode_inventory(out, archive).expect("the length is within its limit");
        }
        Item::Ack(ack) => {
            assert!(ack.rejections.len() <= limits::REJECTIONS_PER_ACK_MAX);
            encode_ack(out, &ack.totals, &ack.rejections);
        }
        Item::Busy(busy) => encode_busy(out, *busy),
        Item::Goodbye(goodbye) => encode_goodbye(out, *goodbye),
    }
    1
}
