//! Target for single records of the engine on disk.
//!
//! Properties: a decoder refuses invalid bytes, and a decoded record encodes back to the same bytes. So a record
//! has one encoding only, and a decoder cannot ignore any byte of it.

use muster_engine::journal::{JournalValue, Segment};
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
    let is_complete = loop {
        match value.next_segment() {
            Ok(None) => break true,
            Err(_) => break false,
            Ok(Some(segment)) => put(&segment, &mut encoded),
        }
    };
    assert!(
        bytes.starts_with(&encoded),
        "decoded segments encode back to the same bytes"
    );
    if is_complete {
        assert_eq!(bytes, encoded);
    }
}

/// Encodes a segment.
fn put(segment: &Segment<'_>, encoded: &mut Vec<u8>) {
    match *segment {
        Segment::CheckIns { tenant, records } => {
            encoded.extend(segment_header(1, tenant, records.len() as u32));
            encoded.extend_from_slice(records.as_flattened());
        }
        Segment::Repeated { tenant, records } => {
            encoded.extend(segment_header(5, tenant, records.len() as u32));
            encoded.extend_from_slice(records.as_flattened());
        }
        Segment::Inventory {
            tenant,
            slot,
            archive,
        } => {
            encoded.extend(segment_header(2, tenant, slot.0));
            encoded.extend((archive.len() as u32).to_le_bytes());
            encoded.extend_from_slice(archive);
        }
        Segment::Policy { revision } => {
            encoded.extend(segment_header(3, TenantIndex(0), revision.0))
        }
        Segment::PolicyReached { slot } => {
            encoded.extend(segment_header(4, TenantIndex(0), slot.0));
        }
        Segment::Action {
            action,
            tenant,
            slot,
            device_id,
        } => {
            encoded.extend(segment_header(action as u8, tenant, slot.0));
            encoded.extend(device_id.as_bytes());
        }
        Segment::Due {
            time,
            reached,
            slots,
        } => {
            encoded.extend(segment_header(9, TenantIndex(0), slots.len() as u32));
            encoded.extend(time.to_le_bytes());
            encoded.extend(reached.0.to_le_bytes());
            encoded.extend_from_slice(slots.as_flattened());
        }
        Segment::Freed { slots } => {
            encoded.extend(segment_header(10, TenantIndex(0), slots.len() as u32));
            encoded.extend_from_slice(slots.as_flattened());
        }
        Segment::Profile {
            profile,
            tenant,
            targets,
        } => {
            encoded.extend(segment_header(12, tenant, profile.0));
            encoded.extend((targets.len() as u32).to_le_bytes());
            encoded.extend_from_slice(targets.as_flattened());
        }
        Segment::Targeted { devices } => {
            encoded.extend(segment_header(13, TenantIndex(0), devices.len() as u32));
            encoded.extend_from_slice(devices.as_flattened());
        }
        Segment::ClockSetBack => {
            encoded.extend(segment_header(11, TenantIndex(0), 0));
        }
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
