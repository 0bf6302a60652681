//! Seed inputs of the control plane: a document of each type, and an entry of each kind.

use muster_control::{
    Access, AccessRecord, AccessText, Actor, Change, Command, ControlPlane, DeviceAction,
    DisplayName, Export, Handling, Key, ObjectId, Precondition, Properties, Rights, ScopeTagId,
};
use muster_engine::{SequenceReset, TenantIndex, Timestamp};
use muster_wire::DeviceId;

/// What operators send, each with the bytes that select object and verb.
const DOCUMENTS: [(u8, &str); 12] = [
    (0, r#"{"secureByDefault":true,"sensorInactiveDays":9}"#),
    (
        1,
        r#"{"windowsEnabled":true,"iosDeviceBlockedOnMissingPartnerData":true}"#,
    ),
    (
        2,
        r##"{"@odata.type":"#microsoft.graph.iosCompliancePolicy","displayName":"iOS","description":null,
        "deviceThreatProtectionEnabled":true,"deviceThreatProtectionRequiredSecurityLevel":"Low",
        "scheduledActionsForRule":[{"scheduledActionConfigurations":[{"actionType":"block"}]}],
        "assignments":[{"target":{"@odata.type":"#microsoft.graph.allDevicesAssignmentTarget"}}]}"##,
    ),
    (
        3,
        r#"{"displayName":"Ring 1","mailEnabled":false,"mailNickname":"ring1","securityEnabled":true,"groupTypes":[]}"#,
    ),
    (4, r#"{"name":"contoso","displayName":"Contoso"}"#),
    (
        5,
        r#"{"displayName":"Dell","platform":"windows10AndLater","roleScopeTags":["0"],
        "rule":"(device.manufacturer -eq \"Dell\") and device.osVersion -ge \"10.0\""}"#,
    ),
    (6, r#"{"displayName":"Site A","description":"north"}"#),
    (
        7,
        r#"{"displayName":"Reader","rolePermissions":[{"resourceActions":[
        {"allowedResourceActions":["Microsoft.Intune_MobileThreatDefense_Read"]}]}]}"#,
    ),
    (
        8,
        r#"{"displayName":"Readers","members":[],"roleScopeTags@odata.bind":["roleScopeTags('0')"],
        "roleDefinition@odata.bind":"roleDefinitions('c56d53a2-73d0-4502-b6bd-4a9d3dba28d5')"}"#,
    ),
    (
        9,
        r#"{"displayName":"Ada","userPrincipalName":"ada@example.org","accountEnabled":true,
        "passwordProfile":{"password":"x"}}"#,
    ),
    (
        3,
        r#"{"displayName":"Ours","mailEnabled":false,"mailNickname":"ours","securityEnabled":true,
        "groupTypes":["DynamicMembership"],"membershipRule":"(device.deviceOwnership -eq \"Company\")",
        "membershipRuleProcessingState":"On"}"#,
    ),
    (
        10,
        r#"{"notes":"spare","managedDeviceOwnerType":"company","deviceName":"ignored"}"#,
    ),
];

pub(super) fn control_documents() -> Vec<Vec<u8>> {
    let documents = DOCUMENTS.iter();
    documents
        .map(|(kind, json)| [&[*kind, 2], json.as_bytes()].concat())
        .collect()
}

/// An entry of each kind.
pub(super) fn control_entries() -> Vec<Vec<u8>> {
    let mut plane = ControlPlane::default();
    let command = |change| Command {
        actor: Actor::Token {
            id: ObjectId::from_bytes([0xac; 16]),
            name: DisplayName::new("somebody").expect("its length is allowed"),
        },
        address: Some([192, 0, 2, 7].into()),
        at: Timestamp::from_seconds(1),
        tenant: TenantIndex(0),
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change,
    };
    let commands = changes().into_iter().map(command);
    commands
        .map(|command| {
            let entry = plane.decide(&command).expect("the command is valid");
            plane.apply(&entry).expect("it was decided on this state");
            entry.encode()
        })
        .collect()
}

/// A change of each kind, each valid after those before it.
fn changes() -> Vec<Change> {
    let (policy, group) = (ObjectId::from_bytes([1; 16]), ObjectId::from_bytes([2; 16]));
    let further = [
        Key::Filter(policy),
        Key::ScopeTag(ScopeTagId(1)),
        Key::RoleDefinition(policy),
        Key::RoleAssignment(policy),
        Key::User(policy),
    ];
    let keys = [
        Key::Settings,
        Key::Connector(muster_control::DEFENDER),
        Key::Policy(policy),
        Key::Group(group),
    ];
    let read =
        |json: &str| -> Properties { serde_json::from_str(json).expect("the JSON is valid") };
    let mut changes = vec![Change::Create {
        key: Key::Tenant,
        properties: read(DOCUMENTS[4].1),
    }];
    changes.extend(
        keys.into_iter()
            .zip(DOCUMENTS)
            .map(|(key, (_, json))| Change::Replace {
                key,
                properties: read(json),
            }),
    );
    let documents = DOCUMENTS[5..].iter();
    changes.extend(further.into_iter().zip(documents).map(|(key, (_, json))| {
        let properties = read(json);
        Change::Create { key, properties }
    }));
    let members = vec![DeviceId::from_bytes([3; 16])];
    changes.push(Change::AddMembers {
        group,
        members: members.clone(),
    });
    changes.push(Change::RemoveMembers { group, members });
    changes.push(Change::Delete { key: keys[2] });
    changes.push(Change::Device {
        device: DeviceId::from_bytes([3; 16]),
        action: DeviceAction::ResetSequence(SequenceReset {
            seq_before: 4_102_444_800_000,
            seq: 1_767_225_600_000,
            inventory_revision_before: 3,
            inventory_revision: 3,
        }),
    });
    for action in [DeviceAction::Remove, DeviceAction::Restore] {
        let device = DeviceId::from_bytes([3; 16]);
        changes.push(Change::Device { device, action });
    }
    changes.extend(accesses());
    changes.push(Change::Delete { key: Key::Tenant });
    changes
}

/// An access with few texts, and one with many.
fn accesses() -> [Change; 2] {
    let text = AccessText::cut;
    let refused = Access::Refused {
        method: text("GET"),
        path: text("/v1.0/groups"),
        reason: text("denied"),
    };
    let exported = Access::Exported(Export {
        job: text("Devices_1"),
        report: text("Devices"),
        format: text("csv"),
        filter: text("OwnerType eq '1'"),
        select: text("DeviceId"),
    });
    [refused, exported].map(|access| {
        let unrecorded = 7;
        Change::Access(AccessRecord { access, unrecorded })
    })
}
