//! Target for the records that the engine keeps on disk, each alone.
//!
//! What must hold: other bytes are refused, and what is read, written again, is what was there. So a record
//! has one form only, and a reader cannot pass over anything in it.

use muster_engine::journal::{JournalValue, Segment};
use muster_engine::{CellKey, Cohort, PolicySet, TenantIndex, page};
use muster_wire::limits::TAGS_MAX;

use crate::Input;

/// One record; the first byte says of which kind.
pub fn stored_records(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 5 {
        0 => journal_value(input.0),
        1 => page_of_devices(input),
        2 => cell(input.0),
        3 => cohort(input.0),
        _ => policy_set(input.0),
    }
}

fn journal_value(bytes: &[u8]) {
    let Ok(mut value) = JournalValue::decode(bytes) else {
        return;
    };
    let mut written = vec![1, 0, 0, 0];
    written.extend(value.revision.0.to_le_bytes());
    written.extend(value.now.as_millis().to_le_bytes());
    let head = |kind: u8, tenant: TenantIndex, number: u32| {
        let mut head = vec![kind, 0];
        head.extend(tenant.0.to_le_bytes());
        head.extend(number.to_le_bytes());
        head
    };
    let complete = loop {
        match value.next_segment() {
            Ok(None) => break true,
            Err(_) => break false,
            Ok(Some(Segment::CheckIns { tenant, records })) => {
                written.extend(head(1, tenant, records.len() as u32));
                written.extend_from_slice(records.as_flattened());
            }
            Ok(Some(Segment::Repeated { tenant, records })) => {
                written.extend(head(5, tenant, records.len() as u32));
                written.extend_from_slice(records.as_flattened());
            }
            Ok(Some(Segment::Inventory { tenant, archive })) => {
                written.extend(head(2, tenant, archive.len() as u32));
                written.extend_from_slice(archive);
            }
            Ok(Some(Segment::Policy { revision })) => {
                written.extend(head(3, TenantIndex(0), revision.0))
            }
            Ok(Some(Segment::Time { first, slots })) => {
                written.extend(head(4, TenantIndex(0), slots));
                written.extend(first.0.to_le_bytes());
            }
        }
    };
    assert!(
        bytes.starts_with(&written),
        "what was read is what is there"
    );
    if complete {
        assert_eq!(bytes, written);
    }
}

fn page_of_devices(mut input: Input<'_>) {
    // Bytes of any length are refused; most inputs are made as long as a page, so that they get further.
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
        page::encode(page.revision, page.sequence, &page.records),
        bytes
    );
}

fn cell(bytes: &[u8]) {
    if let Some(key) = CellKey::decode(bytes) {
        assert_eq!(key.encode()[..], *bytes);
    }
}

fn cohort(bytes: &[u8]) {
    if let Some(cohort) = Cohort::decode(bytes) {
        assert_eq!(cohort.encode(), bytes);
        let same = Cohort::new(cohort.owner(), cohort.tags().iter().cloned());
        assert_eq!(
            same, cohort,
            "tags are sorted and without repeats, or two cohorts were one"
        );
        assert!(cohort.tags().len() <= TAGS_MAX);
    }
}

fn policy_set(bytes: &[u8]) {
    if let Some(set) = PolicySet::decode(bytes) {
        let written = set.encode();
        assert_eq!(PolicySet::decode(&written), Some(set));
    }
}
