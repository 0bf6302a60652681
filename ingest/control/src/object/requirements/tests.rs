//! The properties of each subclass are read, shown and stored.

use super::*;
use crate::document::Handling;

fn read(
    subclass: Subclass,
    base: &Requirements,
    json: &Json,
    handling: Handling,
) -> Result<Requirements, Vec<String>> {
    let mut document = Document::new(json.as_object().unwrap(), &[], handling);
    let requirements = Requirements::read(subclass, base, &mut document);
    let faults = document.finish();
    let faults: Vec<_> = faults
        .listed()
        .iter()
        .map(|fault| fault.target.clone())
        .collect();
    if faults.is_empty() {
        Ok(requirements)
    } else {
        Err(faults)
    }
}

fn stored_bytes(requirements: &Requirements) -> Vec<u8> {
    let mut bytes = Vec::new();
    requirements.put(&mut bytes);
    bytes
}

/// A value that requires something.
fn sample(kind: Kind) -> Json {
    match kind {
        Kind::Flag => true.into(),
        Kind::Number => 8.into(),
        Kind::Version => "10.0.19045".into(),
        Kind::Text => "2026-11-01".into(),
        Kind::Choice(names) => names[1].into(),
        Kind::List => json!([{ "appId": "com.example", "name": "Example" }]),
        Kind::Object => json!({ "rulesContent": "e30=" }),
    }
}

#[test]
fn every_property_is_refused_or_stored_and_marked_and_then_kept() {
    for subclass in Subclass::ALL.iter().copied() {
        let none = Requirements::default();
        let mut shown = Properties::new();
        none.show(subclass, &mut shown);
        assert_eq!(shown.len(), tables::of(subclass).len(), "each name once");
        let shown = Json::from(shown);
        assert_eq!(
            read(subclass, &none, &shown, Handling::Strict),
            Ok(none.clone())
        );
        for row in tables::of(subclass) {
            let json = json!({ row.name: sample(row.kind) });
            let strict = read(subclass, &none, &json, Handling::Strict);
            let some = read(subclass, &none, &json, Handling::Lenient).unwrap();
            let marked: Vec<_> = some.not_evaluated(subclass).collect();
            let requires = row.requires(&some.0[row.name]);
            let is_fine = row.is_evaluated || !requires;
            let marks = if is_fine { vec![] } else { vec![row.name] };
            assert_eq!(marked, marks);
            let faults = if is_fine {
                Ok(some.clone())
            } else {
                Err(vec![row.name.to_owned()])
            };
            assert_eq!(strict, faults);
            let mut shown = Properties::new();
            some.show(subclass, &mut shown);
            assert_eq!(shown[row.name], json[row.name]);
            // What is stored can be sent back, changed to the default, and read from disk.
            assert_eq!(
                read(subclass, &some, &shown.into(), Handling::Strict),
                Ok(some.clone())
            );
            let reset = json!({ row.name: null });
            assert_eq!(
                read(subclass, &some, &reset, Handling::Strict),
                Ok(none.clone())
            );
            let bytes = stored_bytes(&some);
            assert_eq!(
                Requirements::take(subclass, &mut Reader::new(&bytes)),
                Ok(some)
            );
        }
    }
}

#[test]
fn a_value_that_requires_nothing_is_no_fault_and_is_read_back() {
    for (name, json) in [
        ("passcodeMinimumLength", json!(0)),
        ("passcodeRequired", json!(false)),
        ("passcodeRequiredType", json!("DeviceDefault")),
        ("restrictedApps", json!([])),
        ("osMinimumVersion", json!("")),
        (
            "advancedThreatProtectionRequiredSecurityLevel",
            json!("notSet"),
        ),
    ] {
        let sent = json!({ name: json });
        let stored = read(
            Subclass::Ios,
            &Requirements::default(),
            &sent,
            Handling::Strict,
        )
        .unwrap();
        assert_eq!(stored.not_evaluated(Subclass::Ios).count(), 0, "{name}");
    }
    let sent = json!({ "passcodeMinimumLength": 0 });
    let stored = read(
        Subclass::Ios,
        &Requirements::default(),
        &sent,
        Handling::Strict,
    )
    .unwrap();
    let mut shown = Properties::new();
    stored.show(Subclass::Ios, &mut shown);
    assert_eq!(shown["passcodeMinimumLength"], 0);
}

#[test]
fn values_of_another_kind_are_faults_also_for_a_lenient_command() {
    let long = "x".repeat(REQUIREMENT_TEXT_MAX + 1);
    let large = json!([{ "name": "x".repeat(REQUIREMENT_JSON_BYTES_MAX) }]);
    for (subclass, name, json) in [
        (Subclass::Windows10, "bitLockerEnabled", json!("true")),
        (Subclass::Windows10, "passwordMinimumLength", json!(-1)),
        (
            Subclass::Windows10,
            "passwordMinimumLength",
            json!(4_294_967_295_u32),
        ),
        (Subclass::Windows10, "passwordRequiredType", json!("strong")),
        (
            Subclass::Windows10,
            "osMinimumVersion",
            json!("10.0.19045.1.2"),
        ),
        (Subclass::Windows10, "osMinimumVersion", json!("10.0.65536")),
        (Subclass::Windows10, "osMinimumVersion", json!("10..1")),
        (Subclass::Windows10, "osMinimumVersion", json!("10.01")),
        (Subclass::Windows10, "osMinimumVersion", json!(10)),
        (Subclass::Windows10, "defenderVersion", json!(long)),
        (
            Subclass::Windows10,
            "deviceCompliancePolicyScript",
            json!([]),
        ),
        (Subclass::Ios, "restrictedApps", json!({})),
        (Subclass::Ios, "restrictedApps", large),
        (Subclass::Ios, "bitLockerEnabled", json!(false)),
        (
            Subclass::MacOs,
            "securityBlockJailbrokenDevices",
            json!(false),
        ),
    ] {
        let sent = json!({ name: json });
        let faults = read(subclass, &Requirements::default(), &sent, Handling::Lenient);
        assert_eq!(faults, Err(vec![name.to_owned()]), "{sent}");
    }
}

#[test]
fn other_bytes_than_those_written_are_refused() {
    let sent =
        json!({ "passcodeMinimumLength": 8, "osMinimumVersion": "17.1", "restrictedApps": [1] });
    let some = read(
        Subclass::Ios,
        &Requirements::default(),
        &sent,
        Handling::Lenient,
    )
    .unwrap();
    let bytes = stored_bytes(&some);
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            let mut reader = Reader::new(&flipped);
            if let (Ok(read), Ok(())) = (
                Requirements::take(Subclass::Ios, &mut reader),
                reader.finish(),
            ) {
                assert_eq!(stored_bytes(&read), flipped);
            }
        }
    }
}
