//! Target for single records of the engine on disk.
//!
//! Properties: a decoder refuses invalid bytes, and a decoded record encodes back to the same bytes. So a record
//! has one encoding only, and a decoder cannot ignore any byte of it.

use muster_engine::journal::{Change, Event, JournalValue};
use muster_engine::{Context, PolicySet, TenantIndex, page};

use crate::Input;

/// Decodes one record; the first byte selects its kind.
pub fn stored_records(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 4 {
        0 => journal_value(input.0),
        1 => page_of_devices(input),
        2 => context(input.0),
        _ => policy_set(input.0),
    }
}

fn journal_value(bytes: &[u8]) {
    let Ok(mut value) = JournalValue::decode(bytes) else {
        return;
    };
    let mut encoded = vec![1, 0, 0, 0];
    encoded.extend(value.evaluated_at.to_le_bytes());
    encoded.extend(value.now.as_millis().to_le_bytes());
    // Where the segment begins whose events are encoded.
    let mut begin = encoded.len();
    let mut segments = 0;
    let is_complete = loop {
        match value.next_event() {
            Ok(None) => break true,
            Err(_) => break false,
            Ok(Some(event)) => {
                let begins = value.segments() != segments;
                segments = value.segments();
                if begins {
                    begin = encoded.len();
                    encoded.extend(header(&event));
                }
                put(&event, begin, &mut encoded);
            }
        }
    };
    if is_complete {
        assert_eq!(
            bytes, encoded,
            "decoded events encode back to the same bytes"
        );
    } else {
        assert!(bytes.starts_with(&encoded[..begin]));
    }
}

/// The header of a segment that begins with this event, without its number of events.
fn header(event: &Event<'_>) -> Vec<u8> {
    let none = TenantIndex(0);
    let due = |time: u32| {
        [
            &segment_header(9, none, 0)[..],
            &u64::from(time).to_le_bytes(),
        ]
        .concat()
    };
    match event {
        Event::Policy(revision) => segment_header(3, none, revision.0),
        Event::PolicyReached(slot) => segment_header(4, none, slot.0),
        Event::DueReached(_, time) => due(*time),
        Event::ClockSetBack => segment_header(11, none, 0),
        Event::Profile(profile, tenant, _) => segment_header(12, *tenant, profile.0),
        Event::Device(slot, change) => match change {
            Change::CheckIn(tenant, _) => segment_header(1, *tenant, 0),
            Change::Inventory(tenant, _) => segment_header(2, *tenant, slot.0),
            Change::Repeated(tenant, _) => segment_header(5, *tenant, 0),
            Change::Action(tenant, _, action) => segment_header(*action as u8, *tenant, slot.0),
            Change::Due(time) => due(*time),
            Change::Freed => segment_header(10, none, 0),
            Change::Targeted(_) => segment_header(13, none, 0),
        },
    }
}

/// Encodes an event of the segment that begins at `begin`.
fn put(event: &Event<'_>, begin: usize, encoded: &mut Vec<u8>) {
    match event {
        Event::DueReached(slot, _) => {
            encoded[begin + 12..begin + 16].copy_from_slice(&slot.0.to_le_bytes());
        }
        Event::Profile(_, _, targets) => {
            encoded.extend((targets.len() as u32).to_le_bytes());
            encoded.extend(targets.iter().flat_map(|target| target.0.to_le_bytes()));
        }
        Event::Device(_, Change::Inventory(_, archive)) => {
            encoded.extend((archive.len() as u32).to_le_bytes());
            encoded.extend_from_slice(archive);
        }
        Event::Device(_, Change::Action(_, device_id, _)) => encoded.extend(device_id.as_bytes()),
        Event::Device(slot, change) => {
            let count = encoded[begin + 4..begin + 8].first_chunk_mut();
            let count: &mut [u8; 4] = count.expect("a header has eight bytes");
            *count = (u32::from_le_bytes(*count) + 1).to_le_bytes();
            match change {
                Change::Repeated(_, repeated) => return encoded.extend(repeated.to_bytes(*slot)),
                _ => encoded.extend(slot.0.to_le_bytes()),
            }
            match change {
                Change::CheckIn(_, bytes) => encoded.extend_from_slice(*bytes),
                Change::Targeted(profile) => encoded.extend(profile.0.to_le_bytes()),
                _ => (),
            }
        }
        Event::Policy(_) | Event::PolicyReached(_) | Event::ClockSetBack => (),
    }
}

fn context(bytes: &[u8]) {
    if let Some((context, profiles)) = Context::decode(bytes) {
        assert_eq!([&context.encode(), profiles].concat(), bytes);
    }
}

fn segment_header(kind: u8, tenant: TenantIndex, number: u32) -> Vec<u8> {
    let mut header = vec![kind, 0];
    header.extend(tenant.0.to_le_bytes());
    header.extend(number.to_le_bytes());
    header
}

fn page_of_devices(mut input: Input<'_>) {
    // A page of another length is refused, so most inputs are resized to the length of a page.
    if input.u8() == 0 {
        assert!(page::decode(input.0).is_none_or(|_| input.0.len() == page::PAGE_BYTES));
        return;
    }
    let mut bytes = input.0.to_vec();
    bytes.resize(page::PAGE_BYTES, 0);
    let Some(page) = page::decode(&bytes) else {
        return;
    };
    assert_eq!(
        page::encode(page.sequence, &page.records, &page.cold),
        bytes
    );
}

fn policy_set(bytes: &[u8]) {
    if let Some(set) = PolicySet::decode(bytes) {
        let encoded = set.encode();
        assert_eq!(PolicySet::decode(&encoded), Some(set));
    }
}
