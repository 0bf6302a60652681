//! `$select`.

use serde_json::json;

use super::{DEVICE, device};
use crate::odata::{SELECTED_MAX, Select};

fn select(names: &str) -> Select {
    let names: Vec<_> = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Select::new(&names, &DEVICE).unwrap()
}

#[test]
fn what_is_not_selected_is_removed() {
    let mut document = device();
    document["roleScopeTagIds@odata.type"] = "#Collection(String)".into();
    document["deviceName@odata.type"] = "#String".into();
    select(
        "DEVICENAME,actor/isAdmin,resources/resourceId,microsoft.graph.iosDevice/complianceState",
    )
    .apply(&mut document);
    assert_eq!(
        document,
        json!({
            "@odata.type": "#microsoft.graph.iosDevice",
            "id": "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11",
            "deviceName": "FIN-LAP-0142",
            "complianceState": "noncompliant",
            "actor": { "isAdmin": false },
            "resources": [{ "resourceId": "x" }, { "resourceId": "y" }],
            "deviceName@odata.type": "#String",
        })
    );
    let mut whole = device();
    select("actor,actor/isAdmin").apply(&mut whole);
    assert_eq!(whole["actor"], device()["actor"]);
}

#[test]
fn nothing_or_a_star_selects_everything() {
    for names in ["", "*", "id,*"] {
        let mut document = device();
        select(names).apply(&mut document);
        assert_eq!(document, device(), "{names}");
        assert!(select(names).contains("notes"));
    }
    let few = select("deviceName");
    assert!(few.contains("id") && few.contains("deviceName") && !few.contains("notes"));
}

#[test]
fn unknown_names_are_refused() {
    for name in [
        "noSuchProperty",
        "deviceName/x",
        "actor/noSuch",
        "actor/",
        "/",
        "",
        "microsoft.graph.group/deviceName",
        "microsoft.graph.iosDevice",
        "*/id",
    ] {
        assert!(Select::new(&[name.to_owned()], &DEVICE).is_err(), "{name}");
    }
    let error = Select::new(&["actor/noSuch".to_owned()], &DEVICE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Could not find a property named 'noSuch' on auditActor."
    );
    let many = vec!["id".to_owned(); SELECTED_MAX + 1];
    assert!(Select::new(&many, &DEVICE).is_err());
}
