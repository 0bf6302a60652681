//! Scope tags, role definitions and role assignments.

use muster_control::{
    Action, BuiltInRole, Change, ControlPlane, Entry, Key, Object, Refusal, ScopeTagId,
};
use serde_json::{Value, json};

use crate::support::*;

const TAG: Key = Key::ScopeTag(ScopeTagId(1));

fn definition() -> Value {
    let actions = json!({
        "allowedResourceActions": ["Microsoft.Intune_MobileThreatDefense_Read"],
        "notAllowedResourceActions": [],
    });
    json!({
        "@odata.type": "#microsoft.graph.deviceAndAppManagementRoleDefinition",
        "displayName": "Connector reader",
        "description": "",
        "isBuiltIn": false,
        "rolePermissions": [{ "resourceActions": [actions] }],
    })
}

fn assignment(group: Key, definition: Key) -> Value {
    let (group, definition) = (group.id_text().unwrap(), definition.id_text().unwrap());
    json!({
        "displayName": "Readers, site A",
        "description": "",
        "members": [group],
        "resourceScopes": [group],
        "roleDefinition@odata.bind":
            format!("https://muster.test/beta/deviceManagement/roleDefinitions('{definition}')"),
        "roleScopeTags@odata.bind": ["https://muster.test/beta/deviceManagement/roleScopeTags('1')"],
    })
}

/// A state with a tag, a group and a definition.
fn prepared() -> (ControlPlane, Key, Key) {
    let mut plane = plane();
    let (group, definition) = (Key::Group(id(1)), Key::RoleDefinition(id(2)));
    create(&mut plane, TAG, json!({ "displayName": "Site A" }));
    create(&mut plane, group, self::group("admins"));
    create(&mut plane, definition, self::definition());
    (plane, group, definition)
}

fn refused(plane: &ControlPlane, change: Change) -> Refusal {
    plane.decide(&command(change)).unwrap_err()
}

#[test]
fn tags_have_numbers_that_are_never_reused() {
    let mut plane = plane();
    let number = |number| Key::ScopeTag(ScopeTagId(number));
    assert_eq!(plane.next_scope_tag(TENANT), ScopeTagId(1));
    let entry = create(&mut plane, TAG, json!({ "displayName": "Site A" }));
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    let expected = json!({
        "@odata.type": "#microsoft.graph.roleScopeTag",
        "id": "1",
        "displayName": "Site A",
        "description": "",
        "isBuiltIn": false,
    });
    assert_eq!(document(&plane, TAG), expected);
    carry_out(&mut plane, &command(Change::Delete { key: TAG })).unwrap();
    assert_eq!(plane.next_scope_tag(TENANT), ScopeTagId(2));
    for key in [TAG, number(3), number(u32::MAX)] {
        let change = creation(key, json!({ "displayName": "x" }));
        assert_eq!(refused(&plane, change), Refusal::Exists { key });
    }
    create(&mut plane, number(2), json!({ "displayName": "Site B" }));
    assert_eq!(document(&plane, number(0))["isBuiltIn"], true);
    let keys: Vec<_> = plane.scope_tag_keys(TENANT).collect();
    assert_eq!(keys, [number(0), number(2)]);
    // Replaying the log gives the same next number; see the model test.
    assert_eq!(
        faults_of(&plane, creation(number(3), json!({}))),
        ["displayName"]
    );
}

#[test]
fn a_tag_in_use_is_not_deleted_and_one_that_does_not_exist_is_not_given() {
    let mut plane = plane();
    create(&mut plane, TAG, json!({ "displayName": "Site A" }));
    let policy = Key::Policy(id(1));
    let mut tagged = ios("tagged");
    tagged["roleScopeTagIds"] = json!(["0", "1"]);
    create(&mut plane, policy, tagged);
    assert_eq!(
        document(&plane, policy)["roleScopeTagIds"],
        json!(["0", "1"])
    );
    let delete = Change::Delete { key: TAG };
    assert_eq!(
        refused(&plane, delete.clone()),
        Refusal::InUse {
            key: TAG,
            by: Some(policy)
        }
    );
    let unknown = json!({ "roleScopeTagIds": ["1", "7"] });
    assert_eq!(
        faults_of(&plane, patch(policy, unknown)),
        ["roleScopeTagIds"]
    );
    update(&mut plane, policy, json!({ "roleScopeTagIds": [] }));
    assert_eq!(document(&plane, policy)["roleScopeTagIds"], json!(["0"]));
    carry_out(&mut plane, &command(delete)).unwrap();
}

#[test]
fn built_in_roles_and_tags_stay() {
    let plane = plane();
    let built_in: Vec<_> = plane.role_definition_keys(TENANT).collect();
    assert_eq!(built_in.len(), BuiltInRole::ALL.len());
    let name = |key: &Key| {
        document(&plane, *key)["displayName"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let names: Vec<_> = built_in.iter().map(name).collect();
    for expected in [
        "Endpoint Security Manager",
        "Read Only Operator",
        "Help Desk Operator",
    ] {
        assert!(names.contains(&expected.to_owned()), "{expected}");
    }
    for key in [built_in[1], Key::ScopeTag(ScopeTagId::DEFAULT)] {
        assert_eq!(document(&plane, key)["isBuiltIn"], true);
        let named = json!({ "displayName": "x" });
        for change in [
            Change::Delete { key },
            patch(key, named.clone()),
            creation(key, named),
        ] {
            assert_eq!(refused(&plane, change), Refusal::BuiltIn { key });
        }
    }
}

#[test]
fn a_role_of_an_operator_allows_what_it_names() {
    let (mut plane, _, key) = prepared();
    let allows = |plane: &ControlPlane, action| match plane.object(TENANT, key) {
        Some((Object::RoleDefinition(role), _)) => role.permissions.allows(action),
        other => panic!("{other:?}"),
    };
    assert!(allows(&plane, Action::ReadConnectors) && !allows(&plane, Action::ModifyConnectors));
    let whole = document(&plane, key);
    assert_eq!(whole["isBuiltIn"], false);
    assert_eq!(
        plane.decide(&command(patch(key, whole.clone()))),
        Err(Refusal::Unchanged)
    );
    // The older name counts where the newer one is absent.
    let older = json!([{ "actions": ["Microsoft.Intune_MobileThreatDefense_Modify"] }]);
    let mut both = whole;
    both["permissions"] = older.clone();
    assert_eq!(
        plane.decide(&command(patch(key, both))),
        Err(Refusal::Unchanged)
    );
    let entry = update(&mut plane, key, json!({ "permissions": older }));
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    assert!(allows(&plane, Action::ModifyConnectors) && !allows(&plane, Action::ReadConnectors));
    for (name, json) in [
        (
            "permissions",
            json!([{ "actions": ["Microsoft.Other_Read"] }]),
        ),
        (
            "rolePermissions",
            json!([{ "actions": ["Microsoft.Intune_Tokens_Manage"] }]),
        ),
        ("rolePermissions", json!("x")),
        ("roleScopeTagIds", json!(["7"])),
    ] {
        assert_eq!(faults_of(&plane, patch(key, json!({ name: json }))), [name]);
    }
}

#[test]
fn an_assignment_refers_to_what_exists() {
    let (mut plane, group, definition) = prepared();
    let key = Key::RoleAssignment(id(3));
    let entry = create(&mut plane, key, assignment(group, definition));
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry.clone()));
    let names: Vec<_> = entry
        .modified_properties()
        .into_iter()
        .map(|property| property.name)
        .collect();
    assert!(
        names.contains(&"roleDefinition".to_owned()) && names.contains(&"roleScopeTags".to_owned())
    );
    let shown = document(&plane, key);
    assert_eq!(shown["members"], json!([group.id_text()]));
    assert_eq!(
        shown.get("roleScopeTags"),
        None,
        "only if a request expands it"
    );
    let mut whole = shown;
    whole["roleScopeTags"] = json!([{ "id": "1" }]);
    whole["scopeMembers"] = json!([]);
    assert_eq!(
        plane.decide(&command(patch(key, whole))),
        Err(Refusal::Unchanged)
    );
    for used in [TAG, definition] {
        assert_eq!(
            refused(&plane, Change::Delete { key: used }),
            Refusal::InUse {
                key: used,
                by: Some(key)
            }
        );
    }
    let built_in = Key::RoleDefinition(BuiltInRole::HelpDeskOperator.id());
    update(
        &mut plane,
        key,
        json!({
            "roleDefinition@odata.bind": format!("roleDefinitions/{}", built_in.id_text().unwrap()),
            "scopeType": "AllDevices",
            "resourceScopes": [],
        }),
    );
    carry_out(&mut plane, &command(Change::Delete { key: definition })).unwrap();
    // A group that is deleted has no members, and the assignment can still be changed.
    carry_out(&mut plane, &command(Change::Delete { key: group })).unwrap();
    update(&mut plane, key, json!({ "description": "x" }));
}

#[test]
fn what_an_assignment_lacks_or_cannot_find_is_listed() {
    let (plane, ..) = prepared();
    let other = Key::RoleAssignment(id(4));
    let wrong = json!({
        "displayName": "x",
        "members": [id(9).to_string()],
        "scopeMembers": [id(9).to_string(), muster_control::ALL_DEVICES.to_string()],
        "roleDefinition@odata.bind": id(9).to_string(),
        "roleScopeTags@odata.bind": ["https://muster.test/roleScopeTags/9"],
    });
    let expected = [
        "roleScopeTags@odata.bind",
        "members",
        "resourceScopes",
        "roleDefinition@odata.bind",
    ];
    assert_eq!(faults_of(&plane, creation(other, wrong)), expected);
    let missing = faults_of(
        &plane,
        creation(other, json!({ "roleScopeTags@odata.bind": ["x"] })),
    );
    let expected = [
        "displayName",
        "members",
        "roleDefinition@odata.bind",
        "roleScopeTags@odata.bind",
    ];
    assert_eq!(missing, expected);
}

#[test]
fn a_dynamic_group_has_a_rule_and_no_added_members() {
    let mut plane = plane();
    let (fixed, dynamic) = (Key::Group(id(1)), Key::Group(id(2)));
    let mut json = group("Windows");
    json["groupTypes"] = json!(["DynamicMembership"]);
    assert_eq!(
        faults_of(&plane, creation(dynamic, json.clone())),
        ["membershipRule"]
    );
    json["membershipRule"] = "(device.deviceOSType -eq \"Windows\"".into();
    assert_eq!(
        faults_of(&plane, creation(dynamic, json.clone())),
        ["membershipRule", "membershipRule"]
    );
    json["membershipRule"] = "(device.deviceOSType -eq \"Windows\")".into();
    json["membershipRuleProcessingState"] = "On".into();
    let entry = create(&mut plane, dynamic, json);
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    let shown = document(&plane, dynamic);
    assert_eq!(shown["groupTypes"], json!(["DynamicMembership"]));
    assert_eq!(
        plane.decide(&command(patch(dynamic, shown))),
        Err(Refusal::Unchanged)
    );
    let members = vec![muster_wire::DeviceId::from_bytes([1; 16])];
    let add = |group, members| Change::AddMembers { group, members };
    assert_eq!(faults_of(&plane, add(id(2), members.clone())), ["members"]);
    create(&mut plane, fixed, group("Ring 1"));
    carry_out(&mut plane, &command(add(id(1), members))).unwrap();
    let rule = json!({ "groupTypes": ["dynamicMembership"], "membershipRule": "true" });
    assert_eq!(
        faults_of(&plane, patch(fixed, rule)),
        ["groupTypes"],
        "it has members"
    );
    let rule = json!({ "membershipRule": "true", "membershipRuleProcessingState": "Paused" });
    let expected = ["membershipRule", "membershipRuleProcessingState"];
    assert_eq!(faults_of(&plane, patch(fixed, rule)), expected);
}
