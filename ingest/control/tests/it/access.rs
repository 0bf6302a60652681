//! What principals may do with role assignments and scope tags, and what they cannot give themselves.

use std::collections::BTreeSet;

use muster_control::{
    Action, BuiltInRole, Change, Command, ControlPlane, Effect, Entry, Key, ObjectId, Reach,
    Refusal, Rights, ScopeTagId, SecretHash, Token, Verb,
};
use muster_engine::Timestamp;
use muster_wire::DeviceId;
use serde_json::{Value, json};

use crate::support::*;

/// The token of the administrator of site A.
const TOKEN: u16 = 50;

/// The group of the administrators of site A.
const ADMINS: u16 = 51;

/// The group of all devices.
const ALL: &str = "adadadad-808e-44e2-905a-0b7873a8a531";

/// The groups of the devices of both sites.
const SITES: [u16; 2] = [52, 53];

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

fn tag(number: u32) -> Key {
    Key::ScopeTag(ScopeTagId(number))
}

fn token(number: u8, role: Option<ObjectId>) -> Token {
    Token {
        display_name: muster_control::DisplayName::new("script").unwrap(),
        hash: SecretHash::from_bytes([number; 32]),
        role,
        created_at: Timestamp::from_seconds(1),
        expires_at: Timestamp::from_seconds(2_000_000_000),
    }
}

fn assignment(role: &str, members: u16, site: &str, tags: &[&str]) -> Value {
    json!({
        "displayName": "assignment",
        "members": [id(members).to_string()],
        "resourceScopes": [site],
        "roleDefinition@odata.bind": role,
        "roleScopeTags@odata.bind": tags,
    })
}

fn apply(plane: &mut ControlPlane, change: Change) -> Entry {
    carry_out(plane, &command(change)).unwrap()
}

fn assign_tag(number: u32, groups: &[u16]) -> Change {
    let target = |group: &u16| json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id(*group).to_string() });
    let groups: Vec<_> = groups
        .iter()
        .map(|group| json!({ "target": target(group) }))
        .collect();
    Change::AssignTag {
        tag: ScopeTagId(number),
        properties: properties(json!({ "assignments": groups })),
    }
}

/// Two sites, each with a tag, a group and a device, and a token that is an administrator of site A.
fn sites() -> ControlPlane {
    let mut plane = plane();
    for (number, site) in (1..).zip(SITES) {
        create(&mut plane, tag(number), json!({ "displayName": "site" }));
        create(&mut plane, Key::Group(id(site)), group("site"));
        let members = vec![device(number as u8)];
        apply(
            &mut plane,
            Change::AddMembers {
                group: id(site),
                members,
            },
        );
        let entry = apply(&mut plane, assign_tag(number, &[site]));
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry));
        assert_eq!(entry.activity(), "assign");
    }
    create(&mut plane, Key::Group(id(ADMINS)), group("admins"));
    apply(
        &mut plane,
        Change::Issue {
            id: id(TOKEN),
            token: token(1, None),
        },
    );
    let role = BuiltInRole::Administrator.id().to_string();
    let site = id(SITES[0]).to_string();
    let json = assignment(&role, ADMINS, &site, &["1"]);
    create(&mut plane, Key::RoleAssignment(id(60)), json);
    let entry = apply(
        &mut plane,
        Change::AddPrincipal {
            group: id(ADMINS),
            token: id(TOKEN),
        },
    );
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    plane
}

/// A command of that administrator.
fn by_admin(plane: &ControlPlane, change: Change) -> Command {
    Command {
        rights: Rights::of(plane, TENANT, None, id(TOKEN)),
        ..command(change)
    }
}

fn refusal(plane: &ControlPlane, change: Change) -> Refusal {
    plane.decide(&by_admin(plane, change)).unwrap_err()
}

fn forbidden(action: Action) -> Refusal {
    Refusal::Forbidden { action }
}

fn role_id(role: BuiltInRole) -> String {
    role.id().to_string()
}

#[test]
fn a_token_has_its_own_role_and_those_of_its_groups() {
    let mut plane = sites();
    let rights = |plane: &ControlPlane, role| Rights::of(plane, TENANT, role, id(TOKEN));
    let tags = Reach::Only(BTreeSet::from([ScopeTagId(1)]));
    assert_eq!(rights(&plane, None).tags(Action::ReadDevices), tags);
    assert!(!rights(&plane, None).may_everywhere(Action::ReadDevices));
    let own = rights(&plane, Some(BuiltInRole::ReadOnlyOperator.id()));
    assert_eq!(own.tags(Action::ReadDevices), Reach::All);
    assert_eq!(own.tags(Action::DeleteDevices), tags);
    let other = Rights::of(&plane, TENANT, None, id(99));
    assert!(
        Action::ALL.iter().all(|action| !other.may(*action)),
        "denied by default"
    );
    let remove = Change::RemovePrincipal {
        group: id(ADMINS),
        token: id(TOKEN),
    };
    let mut removed = plane.clone();
    apply(&mut removed, remove.clone());
    assert!(!rights(&removed, None).may(Action::ReadDevices));
    assert!(matches!(
        removed.decide(&command(remove)),
        Err(Refusal::Invalid(_))
    ));
    // A token that is revoked, and one that is made with its id later, is no member.
    apply(
        &mut plane,
        Change::Delete {
            key: Key::Token(id(TOKEN)),
        },
    );
    assert!(!plane.has_principal(TENANT, id(ADMINS), id(TOKEN)));
    let unknown = Change::AddPrincipal {
        group: id(ADMINS),
        token: id(TOKEN),
    };
    let key = Key::Token(id(TOKEN));
    assert_eq!(
        plane.decide(&command(unknown)),
        Err(Refusal::Unknown { key })
    );
}

#[test]
fn the_tags_of_a_device_are_those_of_its_groups() {
    let mut plane = sites();
    let tags = |plane: &ControlPlane, number| {
        let tags = plane.device_tags(TENANT, &device(number));
        let targets = plane.targets_of(TENANT, &device(number));
        assert_eq!(plane.tags_of_targets(TENANT, &targets), tags);
        tags.iter().map(|tag| tag.0).collect::<Vec<_>>()
    };
    assert_eq!(
        [1, 2, 3].map(|number| tags(&plane, number)),
        [vec![1], vec![2], vec![0]]
    );
    apply(&mut plane, assign_tag(2, &SITES));
    assert_eq!(
        [1, 2].map(|number| tags(&plane, number)),
        [vec![1, 2], vec![2]]
    );
    apply(&mut plane, assign_tag(1, &[]));
    assert_eq!(tags(&plane, 1), [2]);
    let key = Key::Group(id(SITES[0]));
    apply(&mut plane, Change::Delete { key });
    assert_eq!(tags(&plane, 1), [0]);
    for change in [assign_tag(0, &SITES), assign_tag(7, &SITES)] {
        assert!(plane.decide(&command(change)).is_err());
    }
    assert_eq!(faults_of(&plane, assign_tag(1, &[99])), ["assignments"]);
}

#[test]
fn an_object_of_another_tag_does_not_exist() {
    let mut plane = sites();
    let policy = |number: u16, tags: Value| {
        let mut json = ios("policy");
        json["roleScopeTagIds"] = tags;
        creation(Key::Policy(id(number)), json)
    };
    apply(&mut plane, policy(1, json!(["2"])));
    apply(&mut plane, policy(2, json!(["1", "2"])));
    let key = Key::Policy(id(1));
    for change in [
        patch(key, json!({ "description": "x" })),
        Change::Delete { key },
        Change::Assign {
            policy: id(1),
            properties: properties(json!({ "assignments": [] })),
        },
    ] {
        assert_eq!(refusal(&plane, change), Refusal::Unknown { key });
    }
    let created = by_admin(&plane, creation(Key::Policy(id(3)), ios("policy")));
    carry_out(&mut plane, &created).unwrap();
    assert_eq!(
        document(&plane, Key::Policy(id(3)))["roleScopeTagIds"],
        json!(["1"])
    );
    let target = |refusal| match refusal {
        Refusal::Invalid(faults) => faults.listed()[0].to_string(),
        other => panic!("{other:?}"),
    };
    let foreign = target(refusal(&plane, policy(4, json!(["1", "2"]))));
    let missing = target(refusal(&plane, policy(4, json!(["1", "9"]))));
    assert_eq!(
        foreign.replace('2', "9"),
        missing,
        "one cannot tell them apart"
    );
    assert!(
        foreign.ends_with("scope tags of the caller, without 2"),
        "{foreign}"
    );
    let shared = Key::Policy(id(2));
    for tags in [json!(["1"]), json!(["1", "0", "2"])] {
        let change = patch(shared, json!({ "roleScopeTagIds": tags }));
        assert!(matches!(refusal(&plane, change), Refusal::Invalid(_)));
    }
    let whole = by_admin(
        &plane,
        patch(
            shared,
            json!({ "roleScopeTagIds": ["1", "2"], "description": "x" }),
        ),
    );
    carry_out(&mut plane, &whole).unwrap();
    let filter = Key::Filter(id(5));
    create(
        &mut plane,
        filter,
        json!({
            "displayName": "filter", "platform": "iOS", "rule": "device.model -eq 'x'", "roleScopeTags": ["2"],
        }),
    );
    let rights = Rights::of(&plane, TENANT, None, id(TOKEN));
    let (object, _) = plane.object(TENANT, filter).unwrap();
    let read = rights.authorize(&plane, TENANT, Verb::Read, filter, Some(&object));
    assert_eq!(read, Err(Refusal::Unknown { key: filter }));
}

#[test]
fn actions_reach_the_devices_of_the_tags_and_groups_of_one_assignment() {
    let mut plane = sites();
    // It reads site B, too, and has all its devices.
    let role = role_id(BuiltInRole::ReadOnlyOperator);
    let json = assignment(&role, ADMINS, ALL, &["2"]);
    create(&mut plane, Key::RoleAssignment(id(61)), json);
    let rights = Rights::of(&plane, TENANT, None, id(TOKEN));
    let may = |verb, number| {
        let key = Key::Device(device(number));
        rights.authorize(&plane, TENANT, verb, key, None)
    };
    let unknown = Refusal::Unknown {
        key: Key::Device(device(3)),
    };
    assert_eq!(
        [1, 2].map(|number| may(Verb::Read, number)),
        [Ok(()), Ok(())]
    );
    assert_eq!(may(Verb::Read, 3), Err(unknown.clone()));
    assert_eq!(may(Verb::Update, 1), Ok(()));
    assert_eq!(may(Verb::Update, 2), Err(forbidden(Action::UpdateDevices)));
    assert_eq!(may(Verb::Delete, 3), Err(unknown));
    let sight = plane
        .sight(TENANT, &rights.tags(Action::ReadDevices))
        .unwrap();
    let seen = [1, 2, 3].map(|number| sight.has(&plane.targets_of(TENANT, &device(number))));
    assert_eq!(seen, [true, true, false]);
    // A policy is assigned to its own site only.
    let to = |group: u16| {
        let target = json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id(group).to_string() });
        let mut json = ios("policy");
        json["assignments"] = json!([{ "target": target }]);
        creation(Key::Policy(id(1)), json)
    };
    plane.decide(&by_admin(&plane, to(SITES[0]))).unwrap();
    assert_eq!(
        refusal(&plane, to(SITES[1])),
        forbidden(Action::AssignCompliancePolicies)
    );
}

#[test]
fn no_one_can_reach_further_by_assignments_tags_or_tokens() {
    let plane = sites();
    let (site, other_site) = (id(SITES[0]).to_string(), id(SITES[1]).to_string());
    let help_desk = role_id(BuiltInRole::HelpDeskOperator);
    let key = Key::RoleAssignment(id(70));
    let make =
        |role: &str, site: &str, tags: &[&str]| creation(key, assignment(role, ADMINS, site, tags));
    plane
        .decide(&by_admin(&plane, make(&help_desk, &site, &["1"])))
        .unwrap();
    for change in [
        make(&help_desk, &other_site, &["1"]),
        make(&help_desk, ALL, &["1"]),
        // A role that makes tokens.
        make(&role_id(BuiltInRole::Administrator), &site, &["1"]),
        // Its own assignment.
        patch(
            Key::RoleAssignment(id(60)),
            json!({ "resourceScopes": [ALL] }),
        ),
    ] {
        assert_eq!(refusal(&plane, change), forbidden(Action::ChangeRoles));
    }
    assert!(matches!(
        refusal(&plane, make(&help_desk, &site, &["2"])),
        Refusal::Invalid(_)
    ));
    for change in [
        creation(tag(3), json!({ "displayName": "x" })),
        patch(tag(1), json!({ "displayName": "x" })),
        assign_tag(1, &SITES),
    ] {
        assert_eq!(refusal(&plane, change), forbidden(Action::ChangeRoles));
    }
    assert_eq!(
        refusal(&plane, assign_tag(2, &[])),
        Refusal::Unknown { key: tag(2) }
    );
    let role = BuiltInRole::Administrator.id();
    let issue = Change::Issue {
        id: id(80),
        token: token(2, Some(role)),
    };
    assert_eq!(refusal(&plane, issue), forbidden(Action::ManageTokens));
}

#[test]
fn no_one_can_reach_further_by_groups() {
    let mut plane = sites();
    // A device of another site, and the group of another site.
    let add = |group: u16, number| Change::AddMembers {
        group: id(group),
        members: vec![device(number)],
    };
    assert_eq!(
        refusal(&plane, add(ADMINS, 2)),
        Refusal::UnknownMembers(vec![device(2)])
    );
    assert_eq!(
        refusal(&plane, add(SITES[1], 1)),
        forbidden(Action::UpdateGroups)
    );
    plane.decide(&by_admin(&plane, add(ADMINS, 1))).unwrap();
    let delete = Change::Delete {
        key: Key::Group(id(SITES[1])),
    };
    assert_eq!(refusal(&plane, delete), forbidden(Action::UpdateGroups));
    // A group whose members have more than it has.
    create(&mut plane, Key::Group(id(90)), group("all admins"));
    let help_desk = role_id(BuiltInRole::HelpDeskOperator);
    let json = assignment(&help_desk, 90, ALL, &["0"]);
    create(&mut plane, Key::RoleAssignment(id(91)), json);
    let join = Change::AddPrincipal {
        group: id(90),
        token: id(TOKEN),
    };
    assert_eq!(
        refusal(&plane, join.clone()),
        forbidden(Action::ChangeRoles)
    );
    // Whoever changes groups, but not roles, makes nobody a member.
    let by = |role: BuiltInRole| Command {
        rights: Rights::of(&plane, TENANT, Some(role.id()), id(99)),
        ..command(join.clone())
    };
    let decided = plane.decide(&by(BuiltInRole::PolicyAndProfileManager));
    assert_eq!(decided, Err(forbidden(Action::ChangeRoles)));
    let decided = plane.decide(&by(BuiltInRole::IntuneRoleAdministrator));
    assert_eq!(decided.unwrap().effect, Effect::PrincipalAdded(id(TOKEN)));
}

#[test]
fn a_role_administrator_makes_no_administrators() {
    let mut plane = sites();
    let issue = Change::Issue {
        id: id(80),
        token: token(2, None),
    };
    apply(&mut plane, issue);
    let group = id(ADMINS);
    let administrator = role_id(BuiltInRole::Administrator);
    for change in [
        Change::AddPrincipal {
            group,
            token: id(80),
        },
        Change::RemovePrincipal {
            group,
            token: id(TOKEN),
        },
        Change::Delete {
            key: Key::Group(group),
        },
        Change::Delete {
            key: Key::RoleAssignment(id(60)),
        },
        creation(
            Key::RoleAssignment(id(70)),
            assignment(&administrator, ADMINS, ALL, &["0"]),
        ),
    ] {
        let by = |role: BuiltInRole| Command {
            rights: Rights::of(&plane, TENANT, Some(role.id()), id(99)),
            ..command(change.clone())
        };
        let refused = plane.decide(&by(BuiltInRole::IntuneRoleAdministrator));
        assert_eq!(refused, Err(forbidden(Action::ChangeRoles)));
        plane.decide(&by(BuiltInRole::Administrator)).unwrap();
    }
}

#[test]
fn a_role_is_changed_by_whoever_may_change_roles_in_the_whole_tenant() {
    let mut plane = sites();
    let definition = Key::RoleDefinition(id(70));
    let json = json!({ "displayName": "role", "rolePermissions": [], "roleScopeTagIds": ["1"] });
    create(&mut plane, definition, json.clone());
    let another = Key::RoleDefinition(id(71));
    // A user of an issuer may have any of them, which the objects do not tell.
    for change in [
        creation(another, json),
        patch(definition, json!({ "description": "x" })),
        Change::Delete { key: definition },
    ] {
        assert_eq!(
            refusal(&plane, change.clone()),
            forbidden(Action::ChangeRoles),
            "{change:?}"
        );
        let role = BuiltInRole::IntuneRoleAdministrator.id();
        let whole = Command {
            rights: Rights::of(&plane, TENANT, [role], id(TOKEN)),
            ..command(change)
        };
        plane.decide(&whole).unwrap();
    }
    let role = id(70).to_string();
    let json = assignment(&role, ADMINS, &id(SITES[1]).to_string(), &["1"]);
    create(&mut plane, Key::RoleAssignment(id(72)), json);
    let change = patch(definition, json!({ "description": "x" }));
    assert_eq!(
        refusal(&plane, change),
        forbidden(Action::ChangeRoles),
        "of another site"
    );
}
