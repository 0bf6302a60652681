//! Properties that hold for any value, and for any bytes in any chunking.
//!
//! A failure prints the smallest case. `PROPTEST_CASES` sets the number of cases, `PROPTEST_RNG_SEED` the seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use muster_wire::{
    Ack, AckTotals, Busy, CheckIn, CheckInBytes, CheckInRecord, ClientHello, DecodeError, Decoder,
    DeviceId, Flags, FrameHeader, FrameKind, Goodbye, Identity, Inventory, Item, ManagementAgent,
    Onboarding, Owner, PartnerThreatState, Platform, Rejection, Risk, Role, ServerHello, Stored,
    encode_ack, encode_busy, encode_check_ins, encode_client_hello, encode_goodbye,
    encode_inventory, encode_server_hello, limits,
};
use proptest::{
    collection::vec, option, prelude::*, sample::Index, sample::select, strategy::Union,
};

/// An owned item, one per record: what must not depend on chunking.
#[derive(Debug, Clone, PartialEq)]
enum Flat {
    Record(Box<CheckInBytes>),
    Other(Item<'static>),
}

/// All items of a stream, and how it ends.
fn decode(role: Role, chunks: &[&[u8]]) -> (Vec<Flat>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(role);
    let mut items = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(item)) => flatten(item, &mut items),
                Err(error) => return (items, Err(error)),
            }
        }
        assert!(
            input.is_empty(),
            "a decoder that needs more input has used all of it"
        );
    }
    (items, decoder.finish())
}

fn flatten(item: Item<'_>, items: &mut Vec<Flat>) {
    let other = match item {
        Item::Records(records) => {
            assert!(!records.is_empty());
            items.extend(records.iter().map(|record| Flat::Record(Box::new(*record))));
            return;
        }
        Item::Record(record) => return items.push(Flat::Record(Box::new(record))),
        Item::ClientHello(hello) => Item::ClientHello(hello),
        Item::ServerHello(hello) => Item::ServerHello(hello),
        Item::CheckInsBegin { count } => Item::CheckInsBegin { count },
        Item::CheckInsEnd => Item::CheckInsEnd,
        Item::Inventory(archive) => Item::Inventory(archive),
        Item::Ack(ack) => Item::Ack(ack),
        Item::Busy(busy) => Item::Busy(busy),
        Item::Goodbye(goodbye) => Item::Goodbye(goodbye),
    };
    items.push(Flat::Other(other));
}

fn cut<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(stream.len());
    let mut begin = 0;
    let chunk = |end: usize| &stream[std::mem::replace(&mut begin, end)..end];
    ends.into_iter().map(chunk).collect()
}

fn device_ids() -> impl Strategy<Value = DeviceId> {
    (1..=u128::MAX).prop_map(|number| DeviceId::from_bytes(number.to_le_bytes()))
}

fn check_ins() -> impl Strategy<Value = CheckIn> {
    let numbers = (
        device_ids(),
        1u64..,
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any::<u16>(),
    );
    let codes = (
        select(Risk::ALL),
        select(PartnerThreatState::ALL),
        select(Onboarding::ALL),
        select(Platform::ALL),
        select(ManagementAgent::ALL),
    );
    (numbers, codes).prop_map(|(numbers, codes)| CheckIn {
        device_id: numbers.0,
        seq: numbers.1,
        sent_at_ms: numbers.2,
        boot_id: numbers.3,
        payload: numbers.4,
        flags: Flags::from_bits_truncate(numbers.5),
        risk: codes.0,
        partner_threat_state: codes.1,
        onboarding: codes.2,
        platform: codes.3,
        management_agent: codes.4,
    })
}

prop_compose! {
    fn inventories()(
        device_id in device_ids(),
        os_version in any::<u64>(),
        revision in 1u32..,
        owner in select(Owner::ALL),
        strings in vec("\\PC{0,64}", 6),
        tags in vec("\\PC{1,50}", 0..=limits::TAGS_MAX),
    ) -> Inventory {
        let mut strings = strings.into_iter();
        let mut string = || strings.next().unwrap();
        Inventory {
            device_id,
            os_version,
            revision,
            owner,
            device_name: string(),
            os_name: string(),
            model: string(),
            manufacturer: string(),
            serial_number: string(),
            user_principal_name: string(),
            tags,
        }
    }
}

fn stored() -> impl Strategy<Value = Option<Stored>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|seq| Some(Stored::Seq(seq))),
        any::<u32>().prop_map(|revision| Some(Stored::Revision(revision))),
    ]
}

prop_compose! {
    fn acks()(
        totals in any::<[u64; 5]>(),
        next_check_in_seconds in any::<u32>(),
        rejections in vec((any::<[u8; 16]>(), any::<u64>(), stored(), any::<u8>()), 0..=64),
    ) -> Ack {
        let [frames, accepted, duplicate, stale, rejected] = totals;
        let rejection = |(device_id, seq, stored, reason_code)| Rejection {
            device_id: DeviceId::from_bytes(device_id),
            seq,
            stored,
            reason_code,
        };
        Ack {
            totals: AckTotals {
                frames, accepted, duplicate, stale, rejected, next_check_in_seconds,
            },
            rejections: rejections.into_iter().map(rejection).collect(),
        }
    }
}

/// A frame and the items that it must decode to.
type Frame = (Vec<u8>, Vec<Flat>);

fn encoded(item: Item<'static>, encode: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    (bytes, vec![Flat::Other(item)])
}

fn check_in_frame(check_ins: &[CheckIn]) -> Frame {
    let records: Vec<_> = check_ins.iter().map(|it| it.to_record().unwrap()).collect();
    let mut bytes = Vec::new();
    encode_check_ins(&mut bytes, &records).unwrap();
    let count = u16::try_from(records.len()).unwrap();
    let mut items = vec![Flat::Other(Item::CheckInsBegin { count })];
    items.extend(
        records
            .iter()
            .map(|record| Flat::Record(Box::new(*record.as_bytes()))),
    );
    items.push(Flat::Other(Item::CheckInsEnd));
    (bytes, items)
}

/// A stream that this role receives: Hello, some frames, perhaps Goodbye.
fn streams(role: Role) -> impl Strategy<Value = Frame> {
    let hello = match role {
        Role::Server => (1..=u16::MAX, any::<u16>())
            .prop_map(|(version_min, more)| {
                let version_max = version_min.saturating_add(more);
                let hello = ClientHello {
                    version_min,
                    version_max,
                };
                encoded(Item::ClientHello(hello), |out| {
                    encode_client_hello(out, &hello)
                })
            })
            .boxed(),
        Role::Client => (1..=u16::MAX, 1..=u32::MAX, any::<(u32, u64, u32)>())
            .prop_map(|(window_frames, check_ins_per_frame_max, rest)| {
                let hello = ServerHello {
                    version: 1,
                    window_frames,
                    check_ins_per_frame_max,
                    inventory_bytes_max: rest.0,
                    server_time_ms: rest.1,
                    next_check_in_seconds: rest.2,
                };
                encoded(Item::ServerHello(hello), |out| {
                    encode_server_hello(out, &hello)
                })
            })
            .boxed(),
    };
    let check_in_frames = vec(check_ins(), 1..40)
        .prop_map(|it| check_in_frame(&it))
        .boxed();
    let inventory_frames = inventories().prop_map(|inventory| {
        let archive = inventory.to_bytes().unwrap();
        let item = Item::Inventory(archive.clone());
        encoded(item, |out| encode_inventory(out, &archive).unwrap())
    });
    let ack_frames = acks().prop_map(|ack| {
        encoded(Item::Ack(ack.clone()), |out| {
            encode_ack(out, &ack.totals, &ack.rejections)
        })
    });
    let busy_frames = any::<u32>().prop_map(|retry_after_ms| {
        let busy = Busy { retry_after_ms };
        encoded(Item::Busy(busy), |out| encode_busy(out, busy))
    });
    let frames = match role {
        Role::Server => Union::new([check_in_frames, inventory_frames.boxed()]),
        Role::Client => Union::new([ack_frames.boxed(), busy_frames.boxed()]),
    };
    let goodbye = match role {
        Role::Server => Just((0, 0)).boxed(),
        Role::Client => any::<(u32, u32)>().boxed(),
    };
    let goodbye = goodbye.prop_map(|(code, retry_after_ms)| {
        let goodbye = Goodbye {
            code,
            retry_after_ms,
        };
        encoded(Item::Goodbye(goodbye), |out| encode_goodbye(out, goodbye))
    });
    (hello, vec(frames, 0..6), option::of(goodbye)).prop_map(|(hello, frames, goodbye)| {
        let all = std::iter::once(hello).chain(frames).chain(goodbye);
        all.fold(Frame::default(), |(mut bytes, mut items), frame| {
            bytes.extend(frame.0);
            items.extend(frame.1);
            (bytes, items)
        })
    })
}

fn roles() -> impl Strategy<Value = Role> {
    select(vec![Role::Server, Role::Client])
}

proptest! {
    #[test]
    fn a_check_in_is_encoded_as_rkyv_does(check_in in check_ins()) {
        let archive = rkyv::to_bytes::<rkyv::rancor::Failure>(&check_in).unwrap();
        prop_assert_eq!(archive.as_slice(), &check_in.to_bytes()[..]);
    }

    #[test]
    fn encoded_frames_are_decoded_in_any_chunking(
        (role, (stream, items)) in roles().prop_flat_map(|role| (Just(role), streams(role))),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let (found, end) = decode(role, &cut(&stream, &cuts));
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(found, items);
    }

    #[test]
    fn damaged_streams_never_panic_and_chunking_changes_nothing(
        (role, (stream, _)) in roles().prop_flat_map(|role| (Just(role), streams(role))),
        damage in vec((any::<Index>(), any::<u8>()), 0..4),
        end in any::<Index>(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut stream = stream;
        for (at, byte) in damage {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream.truncate(end.index(stream.len() + 1).max(stream.len() / 2));
        let whole = decode(role, &[&stream]);
        prop_assert_eq!(decode(role, &cut(&stream, &cuts)), whole.clone());
        let bytes: Vec<_> = stream.chunks(1).collect();
        prop_assert_eq!(decode(role, &bytes), whole);
    }

    #[test]
    fn any_bytes_never_panic_and_chunking_changes_nothing(
        role in roles(),
        stream in vec(prop_oneof![0..8u8, any::<u8>()], 0..400),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let whole = decode(role, &[&stream]);
        prop_assert_eq!(decode(role, &cut(&stream, &cuts)), whole);
    }

    #[test]
    fn a_header_is_accepted_only_within_the_limits(
        role in roles(),
        kind in select(FrameKind::ALL),
        count in prop_oneof![0..3u16, any::<u16>()],
        length in prop_oneof![0..200u32, any::<u32>()],
        exact in any::<bool>(),
    ) {
        let length = if exact { u32::from(count) * 48 } else { length };
        let header = FrameHeader { kind, count, length };
        prop_assert_eq!(FrameHeader::from_bytes(&header.to_bytes()), Ok(header));
        if header.check(role).is_ok() {
            prop_assert!(usize::from(count) <= limits::CHECK_INS_PER_FRAME_MAX);
            prop_assert!(length as usize <= limits::CHECK_INS_BYTES_MAX);
            prop_assert!(kind == FrameKind::CheckIns || length as usize <= limits::INVENTORY_BYTES_MAX);
        }
    }

    #[test]
    fn a_check_in_is_one_to_one_with_its_bytes(check_in in check_ins()) {
        let record = check_in.to_record().unwrap();
        prop_assert_eq!(record.to_check_in(), check_in);
        prop_assert_eq!(CheckInRecord::validate(record.as_bytes()), Ok(record));
    }

    #[test]
    fn valid_check_in_bytes_are_encoded_unchanged(
        check_in in check_ins(),
        damage in vec((0..48usize, any::<u8>()), 0..6),
    ) {
        let mut bytes = check_in.to_bytes();
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        if let Ok(record) = CheckInRecord::validate(&bytes) {
            prop_assert_eq!(record.to_check_in().to_bytes(), bytes);
        }
    }

    #[test]
    fn an_inventory_round_trips(inventory in inventories()) {
        let archive = inventory.to_bytes().unwrap();
        prop_assert_eq!(Inventory::from_bytes(&archive), Ok(inventory));
    }

    #[test]
    fn damaged_archives_never_panic_and_are_valid_and_canonical_if_they_are_read(
        inventory in inventories(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        in_root in any::<bool>(),
    ) {
        let mut archive = inventory.to_bytes().unwrap();
        let from = if in_root { archive.len() - limits::INVENTORY_ROOT_BYTES } else { 0 };
        for (at, byte) in damage {
            let at = from + at.index(archive.len() - from);
            archive[at] = byte;
        }
        if let Ok(read) = Inventory::from_bytes(&archive) {
            prop_assert_eq!(read.check(), Ok(()));
            prop_assert_eq!(read.to_bytes(), Ok(archive));
        }
    }

    #[test]
    fn any_text_is_an_error_or_an_identity_that_round_trips(
        uri in prop_oneof![
            "\\PC{0,80}",
            "muster://[a-z0-9-]{0,8}/(device|gateway)/[a-z0-9-]{0,40}",
            "muster://[a-z0-9]{1,8}/device/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ],
    ) {
        if let Ok(identity) = uri.parse::<Identity>() {
            prop_assert_eq!(identity.to_string(), uri);
        }
    }
}
