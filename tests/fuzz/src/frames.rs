//! Targets for the frames of a stream, in both directions.
//!
//! What must hold: the items and the end of a stream do not depend on where it is cut; what was read, written
//! again, is the stream as it came, so every byte is either meant or refused; an error is final.

use muster_wire::{
    ClientHello, CloseCode, DecodeError, Decoder, FrameHeader, FrameKind, Item, Role, ServerHello,
    VERSION_MAX, VERSION_MIN, encode_ack, encode_busy, encode_check_ins_header,
    encode_client_hello, encode_goodbye, encode_inventory, encode_server_hello, limits,
};

use crate::Input;

/// A stream as a server receives it.
pub fn decoder(data: &[u8]) {
    stream(Role::Server, data);
}

/// A stream as a client receives it: Hello, Ack, Busy, Goodbye.
pub fn answers(data: &[u8]) {
    stream(Role::Client, data);
}

/// The first frame of either direction, whatever is in it, against a second reading of its layout.
pub fn hello(data: &[u8]) {
    let mut input = Input(data);
    let payload: [u8; limits::SERVER_HELLO_BYTES] = input.array();
    let word = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
    let magic = payload[..4] == *b"MSTR";

    let client = &payload[..limits::CLIENT_HELLO_BYTES];
    let (oldest, newest) = (word(4), word(6));
    let good = magic && oldest >= 1 && oldest <= newest && client[8..] == [0; 8];
    let found = first(Role::Server, client);
    assert_eq!(found.is_ok(), good, "{found:?}");
    if let Ok(Item::ClientHello(hello)) = found {
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
    let good = magic
        && (VERSION_MIN..=VERSION_MAX).contains(&version)
        && word(6) != 0
        && payload[8..12] != [0; 4]
        && payload[28..] == [0; 4];
    let found = first(Role::Client, &payload);
    assert_eq!(found.is_ok(), good, "{found:?}");
}

/// The one item of a frame of Hello, written back as it came.
fn first(role: Role, payload: &[u8]) -> Result<Item<'static>, DecodeError> {
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
        other => panic!("a whole frame of Hello gave {other:?}"),
    };
    let mut written = Vec::new();
    write(&item, &mut written);
    assert_eq!(written, frame);
    assert_eq!(decoder.finish(), Ok(()));
    Ok(item)
}

/// What a stream is to its reader.
#[derive(Debug, PartialEq)]
struct Read {
    /// Everything that was read, written again.
    written: Vec<u8>,
    /// Items, where a run of records counts as so many.
    items: u64,
    end: Result<(), DecodeError>,
}

fn stream(role: Role, data: &[u8]) {
    let mut input = Input(data);
    let mut seed = u64::from(input.u16());
    let stream = input.0;
    let whole = read(role, [stream]);
    assert_eq!(read(role, stream.chunks(1)), whole, "byte by byte");
    let cuts = std::iter::from_fn(|| {
        (!input.is_empty()).then(|| {
            // A linear congruential generator: cuts that an input can choose and that need few bytes of it.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            input.take(1 + (seed >> 57) as usize)
        })
    });
    assert_eq!(read(role, cuts), whole, "cut by the seed");
    assert!(
        stream.starts_with(&whole.written),
        "what was read is what was sent"
    );
    if whole.end.is_ok() {
        assert_eq!(whole.written, stream, "nothing of it was passed over");
    }
}

fn read<'a>(role: Role, chunks: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut decoder = Decoder::new(role);
    let mut read = Read {
        written: Vec::new(),
        items: 0,
        end: Ok(()),
    };
    for chunk in chunks {
        let mut input = chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(item)) => read.items += write(&item, &mut read.written),
                Ok(None) => break,
                Err(error) => {
                    let mut more: &[u8] = b"more";
                    assert_eq!(decoder.next(&mut more), Err(error), "an error is final");
                    assert_eq!(decoder.finish(), Err(error));
                    assert!(!decoder.is_mid_frame());
                    assert!(!error.close_code().is_retryable() && !error.to_string().is_empty());
                    read.end = Err(error);
                    return read;
                }
            }
        }
        assert!(
            input.is_empty(),
            "a decoder that wants more has taken everything"
        );
    }
    read.end = decoder.finish();
    read
}

/// Writes what was read; how many items it was.
fn write(item: &Item<'_>, out: &mut Vec<u8>) -> u64 {
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
            out.extend(header.expect("a count within its limit"));
        }
        Item::Records(records) => {
            assert!(!records.is_empty());
            out.extend_from_slice(records.as_flattened());
            return records.len() as u64;
        }
        Item::Record(record) => out.extend_from_slice(record),
        Item::CheckInsEnd => {}
        Item::Inventory(archive) => {
            encode_inventory(out, archive).expect("a length within its limit");
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
