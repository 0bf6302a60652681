//! Tests of changes: durable, then in force in every shard.

use muster_api::{ApiError, Backend, Caller, Changed};
use muster_control::limits::MEMBERS_PER_COMMAND_MAX;
use muster_control::{
    Change, DEFENDER, DeviceAction, ETag, Effect, Key, Precondition, Refusal, Scope,
};
use muster_engine::{Revision, TenantIndex};
use muster_wire::DeviceId;
use serde_json::json;

use super::fixture::{Conduct, RESET, Server, device_id};
use crate::control_plane::ControlLog;
use crate::phase::Phase;

const TENANT: TenantIndex = TenantIndex(0);

/// A change without a condition.
fn unconditional() -> Caller {
    Caller::local(Precondition::Nothing)
}

async fn change(server: &Server, json: serde_json::Value) -> Result<Changed, ApiError> {
    change_if(server, Precondition::Nothing, json).await
}

async fn change_if(
    server: &Server,
    expected: Precondition,
    json: serde_json::Value,
) -> Result<Changed, ApiError> {
    let change = Change::Update {
        key: Key::Settings,
        properties: json.as_object().unwrap().clone(),
    };
    server
        .backend
        .change(Caller::local(expected), TENANT, change)
        .await
}

fn revision(server: &Server) -> Revision {
    server.backend.policy().revision()
}

#[tokio::test]
async fn a_change_is_in_the_log_and_in_force_in_every_shard() {
    let server = Server::new();
    let changed = change(&server, json!({ "secureByDefault": true }))
        .await
        .unwrap();
    assert_eq!(changed.devices, 3, "the sum over shards");
    assert!(changed.control.settings(TENANT).secure_by_default);
    let policy = server.backend.policy();
    assert_eq!(policy.revision(), Revision(3));
    assert!(policy.tenant(TENANT).unwrap().secure_by_default);
    assert!(!policy.tenant(TenantIndex(1)).unwrap().secure_by_default);
    let store = &server.backend.context.store;
    assert_eq!(
        store.policy_set(Revision(3)).unwrap(),
        Some(policy.encode())
    );
    let replayed = ControlLog::replay(store).unwrap();
    assert_eq!(replayed.plane, changed.control);
}

#[tokio::test]
async fn a_change_that_changes_no_rule_reaches_no_shard() {
    // The change would wait for a shard that does not answer.
    let server = Server::with(&[Conduct::Silent; 2]);
    // A change of a rule, which does not end.
    change(&server, json!({ "sensorInactiveDays": 9 }))
        .await
        .unwrap_err();
    let before = server.backend.policy();
    let rename = async |server: &Server| {
        let properties = json!({ "displayName": "renamed" });
        let change = Change::Update {
            key: Key::Tenant,
            properties: properties.as_object().unwrap().clone(),
        };
        let nothing = Precondition::Nothing;
        server
            .backend
            .change(Caller::local(nothing), TENANT, change)
            .await
    };
    let error = rename(&server).await.unwrap_err();
    assert!(
        matches!(error, ApiError::Timeout { .. }),
        "the previous change has not ended: {error}"
    );
    let server = Server::new();
    change(&server, json!({ "sensorInactiveDays": 9 }))
        .await
        .unwrap();
    let changed = rename(&server).await.unwrap();
    assert_eq!((changed.devices, revision(&server)), (0, Revision(3)));
    assert_eq!(changed.control.revision(), Revision(4));
    assert_ne!(before.revision(), Revision(4));
    // The same name again is not written.
    let again = rename(&server).await.unwrap();
    assert_eq!((again.devices, again.control.revision()), (0, Revision(4)));
}

#[tokio::test]
async fn a_refused_change_is_in_no_log() {
    let server = Server::new();
    let stale = Precondition::Is(ETag::of(Revision(9)));
    let json = json!({ "secureByDefault": true });
    let error = change_if(&server, stale, json).await.unwrap_err();
    assert!(
        matches!(error, ApiError::Refused(Refusal::Stale { .. })),
        "{error}"
    );
    let error = change(&server, json!({ "secureByDefault": 1 }))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ApiError::Refused(Refusal::Invalid(_))),
        "{error}"
    );
    let store = &server.backend.context.store;
    assert_eq!(store.revision_latest(), Ok(Revision(2)));
}

#[tokio::test]
async fn members_must_be_devices_of_the_tenant() {
    let server = Server::new();
    let group = server.backend.new_object_id();
    let key = Key::Group(group);
    let json = json!({
        "displayName": "Ring 1", "mailEnabled": false, "mailNickname": "x", "securityEnabled": true,
    });
    let properties = json.as_object().unwrap().clone();
    for tenant in [TENANT, TenantIndex(1)] {
        let properties = properties.clone();
        let create = Change::Create { key, properties };
        let created = server.backend.change(unconditional(), tenant, create);
        created.await.unwrap();
    }
    let add = async |tenant, members: &[DeviceId]| {
        let members = members.to_vec();
        let add = Change::AddMembers { group, members };
        server.backend.change(unconditional(), tenant, add).await
    };
    let [one, other] = [[1; 16], [2; 16]].map(DeviceId::from_bytes);
    let error = add(TENANT, &[other, device_id(), one]).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::UnknownDevices(ids) if ids[..] == [one, other]),
        "{error:?}"
    );
    let error = add(TenantIndex(1), &[device_id()]).await.unwrap_err();
    assert!(matches!(error, ApiError::UnknownDevices(_)), "{error}");
    let changed = add(TENANT, &[device_id()]).await.unwrap();
    let members = changed.control.members(TENANT, group, None);
    assert_eq!(members.collect::<Vec<_>>(), [device_id()]);
}

#[tokio::test]
async fn members_that_are_refused_anyway_cost_no_query() {
    let server = Server::with(&[Conduct::Silent; 2]);
    let group = server.backend.new_object_id();
    let members: Vec<_> = (1..=MEMBERS_PER_COMMAND_MAX as u128 + 1)
        .map(|number| DeviceId::from_bytes(number.to_be_bytes()))
        .collect();
    // The group exists, so that only the number of members refuses the first command; the second has no group.
    let json = json!({
        "displayName": "Ring 1", "mailEnabled": false, "mailNickname": "x", "securityEnabled": true,
    });
    let properties = json.as_object().unwrap().clone();
    let key = Key::Group(group);
    let create = Change::Create { key, properties };
    let created = server.backend.change(unconditional(), TENANT, create);
    // The shards do not answer, but the group is in the log.
    assert!(matches!(created.await, Err(ApiError::NotInForce)));
    let other = server.backend.new_object_id();
    for (group, members) in [(group, members.clone()), (other, members[..1].to_vec())] {
        let add = Change::AddMembers { group, members };
        let error = server.backend.change(unconditional(), TENANT, add);
        let error = error.await.unwrap_err();
        assert!(matches!(error, ApiError::Refused(_)), "{error}");
    }
    let members = members[..1].to_vec();
    let add = Change::AddMembers { group, members };
    let error = server.backend.change(unconditional(), TENANT, add);
    assert!(
        matches!(error.await, Err(ApiError::Timeout { .. })),
        "this one is asked"
    );
}

#[tokio::test]
async fn a_change_that_a_shard_does_not_take_is_durable_nevertheless() {
    for conduct in Conduct::WITHOUT_REPLY {
        let server = Server::with(&[Conduct::Answers, conduct]);
        let error = change(&server, json!({ "secureByDefault": true }))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ApiError::NotInForce),
            "{conduct:?}: {error}"
        );
        assert_eq!(revision(&server), Revision(0), "not in force everywhere");
        let control = server.backend.control();
        assert!(control.settings(TENANT).secure_by_default, "{conduct:?}");
        let replayed = ControlLog::replay(&server.backend.context.store).unwrap();
        assert_eq!(replayed.plane, control);
    }
}

#[tokio::test]
async fn no_change_begins_while_the_server_drains() {
    let server = Server::new();
    server.backend.context.phase.advance(Phase::Draining);
    let error = change(&server, json!({ "secureByDefault": true }))
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::Draining), "{error}");
}

#[tokio::test]
async fn changes_are_listed_from_the_newest_on() {
    let server = Server::new();
    for days in 1..=5 {
        change(&server, json!({ "sensorInactiveDays": days }))
            .await
            .unwrap();
    }
    let list = async |before: Option<u32>, limit| {
        let page = server
            .backend
            .changes(Scope::Tenant(TENANT), before.map(Revision), limit)
            .await
            .unwrap();
        let revisions: Vec<u32> = page.listed.iter().map(|entry| entry.revision.0).collect();
        (revisions, page.has_more)
    };
    assert_eq!(list(None, 2).await, (vec![7, 6], true));
    assert_eq!(list(Some(6), 2).await, (vec![5, 4], true));
    assert_eq!(
        list(Some(4), 2).await,
        (vec![3, 1], false),
        "1 created the tenant"
    );
    assert_eq!(list(Some(0), 2).await, (vec![], false));
    assert_eq!(list(Some(99), 9).await, (vec![7, 6, 5, 4, 3, 1], false));
    let other = server
        .backend
        .changes(Scope::Tenant(TenantIndex(1)), None, 9)
        .await
        .unwrap();
    assert_eq!(other.listed.len(), 1);
}

#[tokio::test]
async fn the_history_of_an_object_is_read_from_the_log() {
    let server = Server::new();
    let connector = Key::Connector(DEFENDER);
    let put = |json: serde_json::Value| Change::Replace {
        key: connector,
        properties: json.as_object().unwrap().clone(),
    };
    change(&server, json!({ "sensorInactiveDays": 9 }))
        .await
        .unwrap();
    let orders = [
        put(json!({})),
        put(json!({ "iosEnabled": true })),
        Change::Delete { key: connector },
    ];
    for order in orders {
        let changed = server.backend.change(unconditional(), TENANT, order);
        changed.await.unwrap();
    }
    let list = async |key, before: Option<u32>, limit| {
        let page = server
            .backend
            .changes(Scope::Object(TENANT, key), before.map(Revision), limit);
        let page = page.await?;
        let revisions: Vec<u32> = page.listed.iter().map(|entry| entry.revision.0).collect();
        Ok::<_, ApiError>((revisions, page.has_more))
    };
    assert_eq!(
        list(connector, None, 2).await.unwrap(),
        (vec![6, 5], true),
        "also of what is deleted"
    );
    assert_eq!(list(connector, Some(5), 2).await.unwrap(), (vec![4], false));
    assert_eq!(
        list(Key::Settings, None, 2).await.unwrap(),
        (vec![3], false)
    );
    let never = Key::Policy(DEFENDER);
    let error = list(never, None, 2).await.unwrap_err();
    assert!(
        matches!(error, ApiError::Refused(Refusal::Unknown { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_reset_is_recorded_with_its_numbers() {
    let server = Server::new();
    let backend = &server.backend;
    let reset = backend
        .reset_sequence(unconditional(), TENANT, device_id())
        .await;
    assert_eq!(reset.unwrap(), Some(RESET));
    let key = Key::Device(device_id());
    let page = backend
        .changes(Scope::Object(TENANT, key), None, 9)
        .await
        .unwrap();
    let effects: Vec<_> = page.listed.iter().map(|entry| &entry.effect).collect();
    assert_eq!(
        effects,
        [&Effect::Device(DeviceAction::ResetSequence(RESET))]
    );
    let replayed = ControlLog::replay(&backend.context.store).unwrap();
    assert_eq!(replayed.plane, backend.control());
    let [unknown, other] = [
        (TENANT, DeviceId::from_bytes([9; 16])),
        (TenantIndex(1), device_id()),
    ];
    for (tenant, device) in [unknown, other] {
        assert_eq!(
            backend
                .reset_sequence(unconditional(), tenant, device)
                .await
                .unwrap(),
            None
        );
        let history = backend
            .changes(Scope::Object(tenant, Key::Device(device)), None, 9)
            .await;
        assert!(matches!(history, Err(ApiError::UnknownDevice)));
    }
    assert_eq!(backend.control().revision(), Revision(3));
    server.backend.context.phase.advance(Phase::Draining);
    let refused = backend
        .reset_sequence(unconditional(), TENANT, device_id())
        .await;
    assert!(matches!(refused, Err(ApiError::Draining)));
}

#[tokio::test]
async fn a_reset_that_a_shard_does_not_confirm_has_no_entry() {
    for conduct in Conduct::WITHOUT_REPLY {
        let server = Server::with(&[conduct; 2]);
        let reset = server
            .backend
            .reset_sequence(unconditional(), TENANT, device_id())
            .await;
        reset.unwrap_err();
        assert_eq!(
            server.backend.control().revision(),
            Revision(2),
            "{conduct:?}"
        );
    }
}

#[tokio::test]
async fn new_ids_are_random_uuids() {
    let server = Server::new();
    let [one, other] = [(); 2].map(|()| server.backend.new_object_id().to_string());
    assert_ne!(one, other);
    assert_eq!(&one[14..15], "4");
    assert!("89ab".contains(&one[19..20]), "{one}");
}

/// Creates or deletes a tenant.
async fn tenant(server: &Server, name: &str) -> Result<TenantIndex, ApiError> {
    let create = Change::Create {
        key: Key::Tenant,
        properties: [("name".to_owned(), name.into())].into_iter().collect(),
    };
    let changed = server
        .backend
        .change(unconditional(), TENANT, create)
        .await?;
    Ok(changed.control.tenant_named(name).unwrap())
}

#[tokio::test]
async fn the_devices_of_a_tenant_are_admitted_from_its_creation_to_its_deletion() {
    let server = Server::new();
    let served = |name| server.served.get(name).map(|tenant| tenant.index);
    assert_eq!(served("contoso"), None);
    let index = tenant(&server, "contoso").await.unwrap();
    assert_eq!((index, served("contoso")), (TenantIndex(2), Some(index)));
    let policy = server.backend.policy();
    assert!(
        policy.tenant(index).unwrap().auto_create_devices,
        "every shard knows it"
    );
    let further = tenant(&server, "adatum").await.unwrap_err();
    assert!(
        matches!(further, ApiError::Refused(Refusal::Limit { max: 3, .. })),
        "{further}"
    );
    let session = server.served.get("contoso").unwrap();
    let mut phase = server.backend.context.phase.watch();
    phase.mark_unchanged();
    let delete = Change::Delete { key: Key::Tenant };
    let deleted = server
        .backend
        .change(unconditional(), index, delete)
        .await
        .unwrap();
    assert!(!deleted.control.has_tenant(index));
    assert_eq!(served("contoso"), None);
    assert!(
        session.is_gone() && phase.has_changed().unwrap(),
        "its sessions are woken"
    );
    assert!(
        !server
            .backend
            .policy()
            .tenant(index)
            .unwrap()
            .auto_create_devices
    );
    assert_eq!(tenant(&server, "contoso").await.unwrap(), TenantIndex(3));
    let replayed = ControlLog::replay(&server.backend.context.store).unwrap();
    assert_eq!(replayed.plane, server.backend.control());
}

#[tokio::test]
async fn a_tenant_with_devices_is_not_deleted() {
    let server = Server::new();
    let delete = || Change::Delete { key: Key::Tenant };
    let refused = server
        .backend
        .change(unconditional(), TENANT, delete())
        .await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, ApiError::TenantHasDevices { devices: 6 }),
        "{error}"
    );
    assert!(server.served.get("demo").is_some());
    assert_eq!(server.backend.control().revision(), Revision(2));
    // Their number does not depend on an answer of the shards.
    let server = Server::with(&[Conduct::Answers, Conduct::Silent]);
    let refused = server
        .backend
        .change(unconditional(), TENANT, delete())
        .await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, ApiError::TenantHasDevices { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_tenant_that_a_shard_does_not_know_is_not_admitted() {
    let server = Server::with(&[Conduct::Answers, Conduct::Gone]);
    let error = tenant(&server, "contoso").await.unwrap_err();
    assert!(matches!(error, ApiError::NotInForce), "{error}");
    assert!(server.served.get("contoso").is_none());
    assert!(server.backend.control().tenant_named("contoso").is_some());
}

#[tokio::test]
async fn a_log_that_contradicts_itself_is_refused() {
    let server = Server::new();
    change(&server, json!({ "secureByDefault": true }))
        .await
        .unwrap();
    let store = &server.backend.context.store;
    let first = store.control_entry(Revision(3)).unwrap().unwrap();
    store.append_control(Revision(4), &first, None).unwrap();
    let error = ControlLog::replay(store).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 4 of the control log says that it is entry 3"
    );
    let server = Server::new();
    let store = &server.backend.context.store;
    store
        .append_control(Revision(3), &first[..9], None)
        .unwrap();
    let error = ControlLog::replay(store).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 3 of the control log: the entry ends early"
    );
}
