//! The order of rows, and pages that continue after a row.

use std::cmp::Ordering;

use serde_json::{Value as Document, json};

use super::{DEVICE, device};
use crate::odata::{JsonRow, KEY_BYTES_MAX, KEYS_MAX, KeyTooLong, OrderBy, Reason};

fn rows() -> Vec<Document> {
    let row = |id: &str, name: Option<&str>, state: &str, size: Option<i64>| {
        json!({
            "id": id,
            "deviceName": name,
            "complianceState": state,
            "totalStorageSpaceInBytes": size,
            "isEncrypted": size.map(|size| size > 0),
            "technologies": "mdm",
            "lastSyncDateTime": "2026-11-30T08:10:12Z",
        })
    };
    vec![
        row("5", Some("b"), "compliant", Some(-1)),
        row("3", Some("B"), "noncompliant", None),
        row("1", Some("a"), "unknown", Some(7)),
        row("4", None, "error", Some(0)),
        row("2", Some("Ä"), "compliant", Some(7)),
        row("6", Some("ä"), "compliant", Some(i64::MAX)),
    ]
}

fn sorted(text: &str) -> Vec<String> {
    let order = OrderBy::parse(text, &DEVICE).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut rows = rows();
    rows.sort_by(|left, right| {
        order.compare(&JsonRow::new(&DEVICE, left), &JsonRow::new(&DEVICE, right))
    });
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn rows_are_sorted_by_every_key_and_then_by_id() {
    for (text, expected) in [
        ("", "123456"),
        ("id desc", "654321"),
        ("deviceName", "413526"),
        ("devicename ASC", "413526"),
        ("deviceName desc", "263514"),
        ("deviceName desc,id desc", "625314"),
        // By the members of the enum, not by their names.
        ("complianceState", "125634"),
        ("complianceState desc, deviceName", "435261"),
        ("totalStorageSpaceInBytes", "354126"),
        ("totalStorageSpaceInBytes desc", "612453"),
        ("isEncrypted,deviceName", "345126"),
        ("technologies,lastSyncDateTime,serialNumber", "123456"),
        ("deviceName,deviceName desc", "413526"),
    ] {
        assert_eq!(sorted(text).concat(), expected, "{text}");
    }
}

#[test]
fn a_page_continues_after_the_position_of_its_last_row() {
    let rows = rows();
    for text in [
        "",
        "deviceName desc",
        "complianceState,deviceName",
        "totalStorageSpaceInBytes desc,isEncrypted",
        "technologies,lastSyncDateTime desc,serialNumber",
    ] {
        let order = OrderBy::parse(text, &DEVICE).unwrap();
        for last in &rows {
            let last = JsonRow::new(&DEVICE, last);
            let bytes = order.encode(&last).unwrap();
            let position = order.decode(&bytes).unwrap();
            for row in &rows {
                let row = JsonRow::new(&DEVICE, row);
                assert_eq!(
                    order.compare_to(&row, &position),
                    order.compare(&row, &last),
                    "{text}"
                );
            }
            assert_eq!(order.compare_to(&last, &position), Ordering::Equal);
            for length in 0..bytes.len() {
                assert_eq!(
                    order.decode(&bytes[..length]),
                    None,
                    "{text}, {length} bytes"
                );
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(order.decode(&longer), None);
        }
        assert_eq!(order.decode(&[255; 64]), None);
    }
}

#[test]
fn bytes_of_a_position_are_stable() {
    // Tokens of an earlier start are still valid.
    let order = OrderBy::parse(
        "complianceState,isEncrypted,serialNumber,deviceName",
        &DEVICE,
    )
    .unwrap();
    let mut device = device();
    device["id"] = "i".into();
    let bytes = order.encode(&JsonRow::new(&DEVICE, &device)).unwrap();
    assert_eq!(
        bytes,
        b"\x02\x02\x01\x01\x00\x07\x0c\x00FIN-LAP-0142\x07\x01\x00i"
    );
    let order = OrderBy::parse("totalStorageSpaceInBytes,technologies", &DEVICE).unwrap();
    let bytes = order.encode(&JsonRow::new(&DEVICE, &device)).unwrap();
    assert_eq!(
        bytes,
        b"\x04\x00\x00\x00\x00\x77\x00\x00\x00\x03\x0a\x00\x00\x00\x00\x00\x00\x00\x07\x01\x00i"
    );
}

#[test]
fn a_string_that_is_too_long_has_no_position() {
    let order = OrderBy::parse("deviceName", &DEVICE).unwrap();
    for (bytes, expected) in [
        (KEY_BYTES_MAX, Ok(())),
        (KEY_BYTES_MAX + 1, Err(KeyTooLong)),
    ] {
        let row = json!({ "id": "1", "deviceName": "a".repeat(bytes) });
        let encoded = order.encode(&JsonRow::new(&DEVICE, &row));
        assert_eq!(encoded.map(|_| ()), expected);
    }
}

#[test]
fn malformed_orders_are_refused() {
    for text in [
        ",",
        "deviceName,",
        "deviceName up",
        "deviceName desc asc",
        "noSuch",
        "noSuch desc",
        "notes",
        "actor",
        "actor/isAdmin",
        "roleScopeTagIds",
        "desc",
        "managementAgent",
    ] {
        assert!(OrderBy::parse(text, &DEVICE).is_err(), "{text}");
    }
    let error = OrderBy::parse("deviceName2 desc", &DEVICE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Could not find a property named 'deviceName2' on managedDevice."
    );
    let all = "id,deviceName,serialNumber,complianceState,technologies,isEncrypted,lastSyncDateTime,\
               totalStorageSpaceInBytes";
    assert_eq!(OrderBy::parse(all, &DEVICE).unwrap().keys().len(), KEYS_MAX);
    let error = OrderBy::parse(&format!("{all},id"), &DEVICE).unwrap_err();
    assert!(matches!(error.reason, Reason::TooMany { .. }));
}
