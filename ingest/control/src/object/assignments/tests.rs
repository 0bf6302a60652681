//! Assignments are read, shown and stored.

use super::*;
use crate::document::Handling;

const GROUP: &str = "0f2c0000-0000-4000-8000-000000000001";
const FILTER: &str = "0f2c0000-0000-4000-8000-0000000000ff";

fn policy() -> ObjectId {
    "7a0b1c2d-0000-4000-8000-0000000000aa".parse().unwrap()
}

/// The assignments, or the targets of the faults.
fn read(base: &Assignments, json: &Json, handling: Handling) -> Result<Assignments, Vec<String>> {
    let properties = json!({ ASSIGNMENTS: json });
    let properties = properties.as_object().unwrap();
    let mut document = Document::new(properties, &[], handling);
    let assignments = Assignments::read(base, &mut document);
    let faults = document.finish();
    let faults = faults.listed().iter();
    let targets: Vec<_> = faults.map(|fault| fault.target.clone()).collect();
    match assignments {
        Some(assignments) if targets.is_empty() => Ok(assignments),
        _ => Err(targets),
    }
}

fn strict(json: &Json) -> Result<Assignments, Vec<String>> {
    read(&Assignments::default(), json, Handling::Strict)
}

fn target(name: &str) -> Json {
    json!({ TYPE: full_type(name) })
}

fn group(name: &str) -> Json {
    json!({ TYPE: full_type(name), GROUP_ID: GROUP })
}

fn list(targets: &[Json]) -> Json {
    let targets = targets.iter();
    targets.map(|target| json!({ TARGET: target })).collect()
}

fn filtered(mut target: Json, mode: &str) -> Json {
    target[FILTER_ID] = FILTER.into();
    target[FILTER_TYPE] = mode.into();
    target
}

#[test]
fn each_target_is_assigned_once() {
    let all = || target(ALL_DEVICES_TARGET);
    let id: ObjectId = GROUP.parse().unwrap();
    for (json, expected) in [
        (json!([]), vec![]),
        (list(&[all()]), vec![Target::AllDevices]),
        (
            list(&[json!({ TYPE: "microsoft.graph.allDevicesAssignmentTarget" })]),
            vec![Target::AllDevices],
        ),
        (list(&[group(GROUP_TARGET)]), vec![Target::Included(id)]),
        (
            list(&[group(EXCLUSION_TARGET), all()]),
            vec![Target::AllDevices, Target::Excluded(id)],
        ),
        (
            json!([{ "id": "x", "source": "direct", "target@odata.context": 1, TARGET: {
                TYPE: full_type(ALL_DEVICES_TARGET), FILTER_ID: null, FILTER_TYPE: "none",
            }}]),
            vec![Target::AllDevices],
        ),
        (
            json!([{ TARGET: { TYPE: full_type(ALL_DEVICES_TARGET), FILTER_ID: "" } }]),
            vec![Target::AllDevices],
        ),
    ] {
        let assignments = strict(&json).unwrap();
        let targets: Vec<_> = assignments
            .list()
            .map(|(target, _)| target.clone())
            .collect();
        assert_eq!(targets, expected, "{json}");
        assert_eq!(assignments.not_evaluated().count(), 0);
    }
}

#[test]
fn a_target_that_is_wrong_or_repeated_is_a_fault() {
    let all = || target(ALL_DEVICES_TARGET);
    let at = |index: usize| format!("{ASSIGNMENTS}[{index}].{TARGET}");
    for (json, expected) in [
        (list(&[all(), all()]), at(1)),
        (list(&[group(GROUP_TARGET), group(GROUP_TARGET)]), at(1)),
        (list(&[group(GROUP_TARGET), group(EXCLUSION_TARGET)]), at(1)),
        (
            list(&[group(ALL_DEVICES_TARGET)]),
            format!("{}.{GROUP_ID}", at(0)),
        ),
        (
            list(&[target(GROUP_TARGET)]),
            format!("{}.{GROUP_ID}", at(0)),
        ),
        (
            list(&[json!({ TYPE: full_type(GROUP_TARGET), GROUP_ID: "x" })]),
            format!("{}.{GROUP_ID}", at(0)),
        ),
        (list(&[target("noSuchTarget")]), format!("{}.{TYPE}", at(0))),
        (json!([{ TARGET: {} }]), format!("{}.{TYPE}", at(0))),
        (json!([{}]), at(0)),
        (json!([7]), format!("{ASSIGNMENTS}[0]")),
        (
            json!([{ TARGET: all(), "intent": 1 }]),
            format!("{ASSIGNMENTS}[0].intent"),
        ),
        (Json::Null, ASSIGNMENTS.to_owned()),
        (json!({}), ASSIGNMENTS.to_owned()),
    ] {
        assert_eq!(strict(&json), Err(vec![expected]), "{json}");
    }
    let many = (0..=ASSIGNMENTS_MAX as u128).map(|number| {
        let id = ObjectId::from_bytes(number.to_be_bytes());
        json!({ TARGET: { TYPE: full_type(GROUP_TARGET), GROUP_ID: id.to_string() } })
    });
    assert_eq!(
        strict(&many.collect()),
        Err(vec![ASSIGNMENTS.to_owned()]),
        "too many"
    );
}

#[test]
fn what_is_not_evaluated_is_stored_only_if_asked() {
    let collection = json!({ TYPE: full_type(COLLECTION_TARGET), COLLECTION_ID: "SMS00001" });
    for (target, kind) in [
        (target(ALL_USERS_TARGET), ALL_USERS_TARGET),
        (collection.clone(), COLLECTION_TARGET),
        (filtered(target(ALL_DEVICES_TARGET), "include"), FILTER_ID),
        (filtered(group(GROUP_TARGET), "Exclude"), FILTER_ID),
    ] {
        let json = list(&[target]);
        assert_eq!(
            strict(&json),
            Err(vec![format!("{ASSIGNMENTS}[0].{TARGET}")])
        );
        let stored = read(&Assignments::default(), &json, Handling::Lenient).unwrap();
        let kinds: Vec<_> = stored.not_evaluated().collect();
        assert_eq!(kinds, [format!("{ASSIGNMENTS}/{kind}")]);
        // It reaches no device, and can be sent back.
        assert!(!stored.all_devices());
        assert_eq!(stored.included().count(), 0);
        assert_eq!(
            read(&stored, &stored.show(policy()), Handling::Strict),
            Ok(stored)
        );
    }
    let lenient = |target: Json| read(&Assignments::default(), &list(&[target]), Handling::Lenient);
    for (target, name) in [
        (filtered(group(EXCLUSION_TARGET), "include"), FILTER_ID),
        (filtered(collection, "include"), FILTER_ID),
        (filtered(group(GROUP_TARGET), "none"), FILTER_TYPE),
        (
            json!({ TYPE: full_type(ALL_DEVICES_TARGET), FILTER_TYPE: "include" }),
            FILTER_TYPE,
        ),
        (filtered(group(GROUP_TARGET), "some"), FILTER_TYPE),
        (
            json!({ TYPE: full_type(ALL_DEVICES_TARGET), FILTER_ID: 7 }),
            FILTER_ID,
        ),
    ] {
        assert_eq!(
            lenient(target),
            Err(vec![format!("{ASSIGNMENTS}[0].{TARGET}.{name}")])
        );
    }
}

#[test]
fn ids_follow_from_the_policy_and_the_target() {
    let json = list(&[
        target(ALL_DEVICES_TARGET),
        target(ALL_USERS_TARGET),
        group(GROUP_TARGET),
        json!({ TYPE: full_type(COLLECTION_TARGET), COLLECTION_ID: "SMS00001" }),
    ]);
    let assignments = read(&Assignments::default(), &json, Handling::Lenient).unwrap();
    let shown = assignments.show(policy());
    let ids: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    let policy = policy();
    let expected = [
        format!("{policy}_adadadad-808e-44e2-905a-0b7873a8a531"),
        format!("{policy}_acacacac-9df4-4c7d-9d50-4ef0226f57a9"),
        format!("{policy}_{GROUP}"),
        format!("{policy}_SMS00001"),
    ];
    assert_eq!(ids, expected);
    assert_eq!(shown[0][TARGET][FILTER_TYPE], "none");
    let mut bytes = Vec::new();
    assignments.put(&mut bytes);
    assert_eq!(Assignments::take(&mut Reader::new(&bytes)), Ok(assignments));
    // One order, and no target twice.
    let twice = [&[2][..], &bytes[1..3], &bytes[1..3]].concat();
    assert!(Assignments::take(&mut Reader::new(&twice)).is_err());
}
