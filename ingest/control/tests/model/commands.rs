//! Random commands of few tenants, ids and values, so that they collide; some are invalid.

use muster_control::{
    ALL_DEVICES, Access, AccessRecord, AccessText, Actor, BuiltInRole, Change, Command, DEFENDER,
    DeviceAction, DisplayName, ETag, Handling, Key, ObjectId, Precondition, Properties, Rights,
    ScopeTagId, SecretHash, Token,
};
use muster_engine::{Revision, SequenceReset, TenantIndex, Timestamp};
use muster_wire::DeviceId;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The first tenants, two of which exist at the beginning.
pub(crate) const TENANTS: [TenantIndex; 4] = [
    TenantIndex(0),
    TenantIndex(1),
    TenantIndex(2),
    TenantIndex(3),
];

/// The command that creates a tenant.
pub(crate) fn creation(name: &str) -> Command {
    let properties = json!({ "name": name });
    Command {
        actor: Actor::Local,
        address: None,
        at: Timestamp::from_millis(0),
        tenant: TENANTS[0],
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change: Change::Create {
            key: Key::Tenant,
            properties: properties.as_object().unwrap().clone(),
        },
    }
}

/// The property that adds members.
pub(crate) const MEMBERS: &str = "members@odata.bind";

fn id(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 16])
}

pub(crate) fn groups() -> [ObjectId; 3] {
    [id(1), id(2), ALL_DEVICES]
}

/// Every key that commands have.
pub(crate) fn keys() -> Vec<Key> {
    let mut keys = vec![
        Key::Settings,
        Key::Connector(DEFENDER),
        Key::Connector(id(9)),
    ];
    keys.extend([1, 2, 3].map(|number| Key::Policy(id(number))));
    keys.extend(groups().map(Key::Group));
    keys.push(Key::Device(DeviceId::from_bytes([1; 16])));
    keys.extend([1, 2].map(|number| Key::Token(id(number))));
    keys.extend([1, 2].map(|number| Key::Filter(id(number))));
    keys.extend([0, 1, 2, 3].map(|number| Key::ScopeTag(ScopeTagId(number))));
    keys.push(Key::RoleDefinition(id(1)));
    keys.push(Key::RoleAssignment(id(1)));
    keys.push(Key::User(id(1)));
    keys
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let tenant = prop_oneof![4 => select(TENANTS[..2].to_vec()), 1 => select(TENANTS.to_vec())];
    let expected = prop_oneof![
        16 => Just(Precondition::Nothing),
        1 => Just(Precondition::Exists),
        2 => (0..12u32).prop_map(|revision| Precondition::Is(ETag::of(Revision(revision)))),
    ];
    let handling = prop_oneof![3 => Just(Handling::Strict), 1 => Just(Handling::Lenient)];
    let values = (tenant, expected, handling, change(), 0..1_000u64);
    values.prop_map(|(tenant, expected, handling, change, at)| Command {
        actor: Actor::Local,
        address: None,
        at: Timestamp::from_millis(at),
        tenant,
        expected,
        rights: Rights::local(),
        handling,
        change,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let whole = (select(keys()), 0..10u8).prop_flat_map(|(key, verb)| {
        properties(key, verb < 5).prop_map(move |properties| match verb {
            0..=3 => Change::Create { key, properties },
            4 => Change::Replace { key, properties },
            5..=8 => Change::Update { key, properties },
            _ => Change::Delete { key },
        })
    });
    let device = (0..6u8).prop_map(|number| DeviceId::from_bytes([number; 16]));
    let members = prop::collection::vec(device, 0..4);
    let members = (select(groups().to_vec()), members, any::<bool>());
    let members = members.prop_map(|(group, members, adds)| {
        if adds {
            Change::AddMembers { group, members }
        } else {
            Change::RemoveMembers { group, members }
        }
    });
    let reset = (0..2u8, any::<u64>()).prop_map(|(number, seq)| Change::Device {
        device: DeviceId::from_bytes([number; 16]),
        action: DeviceAction::ResetSequence(SequenceReset {
            seq_before: u64::MAX,
            seq,
            inventory_revision_before: 7,
            inventory_revision: 5,
        }),
    });
    let tenant = (0..8u8, properties(Key::Tenant, true)).prop_map(|(verb, properties)| {
        let key = Key::Tenant;
        match verb {
            0..=3 => Change::Create { key, properties },
            4..=6 => Change::Update { key, properties },
            _ => Change::Delete { key },
        }
    });
    let token = (1..3u8, 0..4u8).prop_map(|(number, secret)| Change::Issue {
        id: id(number),
        token: token(secret),
    });
    let accesses = [
        Access::SignedIn,
        Access::Downloaded {
            job: AccessText::cut("x"),
        },
    ];
    let access = (select(accesses.to_vec()), any::<u32>())
        .prop_map(|(access, unrecorded)| Change::Access(AccessRecord { access, unrecorded }));
    prop_oneof![
        20 => whole, 4 => members, 2 => part(), 1 => reset, 1 => tenant, 1 => token, 1 => access,
    ]
}

/// A change of a part of a policy, whose property may be missing, beside one that is not known.
fn part() -> impl Strategy<Value = Change> {
    let values = (1..4u8, any::<bool>(), 0..8usize, 0..10u8);
    values.prop_map(|(number, assigns, pick, rare)| {
        let (name, values) = if assigns {
            ("assignments", assignment_lists())
        } else {
            ("deviceComplianceScheduledActionForRules", action_lists())
        };
        let mut properties = Properties::new();
        if rare != 0 {
            let value = values[pick % values.len()].clone();
            properties.insert(name.to_owned(), value);
        }
        if rare == 1 {
            properties.insert("unknown".to_owned(), json!(true));
        }
        let policy = id(number);
        if assigns {
            Change::Assign { policy, properties }
        } else {
            Change::ScheduleActions { policy, properties }
        }
    })
}

/// A token with this secret, which its time of creation shows.
fn token(secret: u8) -> Token {
    Token {
        display_name: DisplayName::new("script").unwrap(),
        hash: SecretHash::from_bytes([secret; 32]),
        // None, one that may not exist, or a built-in one.
        role: match secret {
            2 => None,
            3 => Some(id(1)),
            _ => Some(BuiltInRole::ReadOnlyOperator.id()),
        },
        created_at: Timestamp::from_millis(secret.into()),
        expires_at: Timestamp::from_millis(1_000),
    }
}

/// Properties of an object with this key, each present or absent, and rarely invalid.
fn properties(key: Key, makes: bool) -> impl Strategy<Value = Properties> {
    let candidates = candidates(key);
    let names = candidates.len();
    let picks = prop::collection::vec((0..100u8, any::<u16>()), names);
    (picks, 0..40u8, 0..4u8).prop_map(move |(picks, unknown, members)| {
        let mut properties = Properties::new();
        let adds_members = members == 0 && (!makes || unknown == 1);
        for ((name, values), (chance, pick)) in candidates.iter().zip(picks) {
            // A document with members has nothing else, or is invalid.
            let is_members = *name == MEMBERS;
            if is_members && adds_members && unknown != 0 {
                properties.clear();
            }
            if chance < presence(name, makes) && (!is_members || adds_members) {
                properties.insert((*name).to_owned(), value(values, pick.into()));
            }
        }
        if unknown == 0 {
            properties.insert("unknown".to_owned(), json!(true));
        }
        properties
    })
}

/// In how many of a hundred documents a property is.
fn presence(name: &str, makes: bool) -> u8 {
    let required = [
        "@odata.type",
        "displayName",
        "userPrincipalName",
        "mailEnabled",
        "mailNickname",
        "securityEnabled",
        "platform",
        "rule",
        "members",
        "name",
        "roleDefinition@odata.bind",
        "scheduledActionsForRule",
    ];
    match name {
        MEMBERS => 100,
        "osMinimumVersion" | "osMaximumVersion" | "storageRequireEncryption" => 20,
        "passwordMinimumLength" => 10,
        "scheduledActionsForRule" if !makes => 3,
        "assignments" if !makes => 10,
        "@odata.type" if !makes => 10,
        name if required.contains(&name) && makes => 97,
        _ => 40,
    }
}

/// One of the values, of which the first half is valid by itself: mostly one of these.
fn value(values: &[Value], pick: usize) -> Value {
    let (kind, pick) = (pick % 8, pick / 8);
    let length = if kind == 0 {
        values.len()
    } else {
        values.len().div_ceil(2)
    };
    values[pick % length].clone()
}

type Candidates = Vec<(&'static str, Vec<Value>)>;

fn of_a_device() -> Candidates {
    vec![
        (
            "managedDeviceName",
            vec![json!("front desk"), Value::Null, json!(5)],
        ),
        (
            "managedDeviceOwnerType",
            vec![json!("company"), json!("personal"), json!("nobody")],
        ),
        (
            "notes",
            vec![json!("spare"), json!(""), Value::Null, json!([])],
        ),
    ]
}

fn candidates(key: Key) -> Candidates {
    let flag = || {
        [true, false, true, false]
            .map(Value::from)
            .into_iter()
            .chain([json!("true")])
            .collect::<Vec<_>>()
    };
    let mut candidates: Candidates = match key {
        Key::Settings => vec![
            ("secureByDefault", flag()),
            ("autoCreateDevices", flag()),
            (
                "deviceComplianceCheckinThresholdDays",
                vec![json!(1), json!(120), json!(121)],
            ),
            ("isScheduledActionEnabled", flag()),
            ("enhancedJailBreak", flag()),
            ("sensorInactiveDays", vec![json!(3), json!(180), json!(0)]),
            ("noSensorDataHours", vec![json!(5), json!(720), json!(1.5)]),
            (
                "removedRetentionDays",
                vec![json!(1), json!(3650), json!(0)],
            ),
            ("profileRetentionDays", vec![json!(90), json!(3651)]),
        ],
        Key::Connector(_) => vec![
            ("androidEnabled", flag()),
            ("iosEnabled", flag()),
            ("windowsEnabled", flag()),
            ("androidDeviceBlockedOnMissingPartnerData", flag()),
            ("iosDeviceBlockedOnMissingPartnerData", flag()),
            ("windowsDeviceBlockedOnMissingPartnerData", flag()),
            ("macEnabled", flag()),
            ("allowPartnerToCollectIOSApplicationMetadata", flag()),
            ("iosMobileApplicationManagementEnabled", flag()),
            (
                "partnerUnresponsivenessThresholdInDays",
                vec![json!(1), json!(365), json!(366)],
            ),
        ],
        Key::Policy(_) => policy_candidates(),
        Key::Group(_) => group_candidates(),
        Key::Device(_) => of_a_device(),
        Key::Token(_) => Vec::new(),
        Key::User(_) => user_candidates(),
        Key::Filter(_) | Key::ScopeTag(_) | Key::RoleDefinition(_) | Key::RoleAssignment(_) => {
            access_candidates(key)
        }
        Key::Tenant => vec![
            (
                "name",
                vec![json!("t-0"), json!("t-1"), json!("t-2"), json!("T")],
            ),
            ("displayName", vec![json!("One"), json!("")]),
        ],
    };
    let some = vec![json!(null), json!("any")];
    candidates.push(("id", some.clone()));
    candidates.push(("members@odata.context", some.clone()));
    candidates.push(("lastModifiedDateTime", some));
    candidates
}

fn user_candidates() -> Candidates {
    let names = [
        "ada@example.org",
        "Ada@Example.org",
        "bob@example.org",
        "ada",
    ];
    vec![
        ("displayName", vec![json!("Ada"), json!("Bob"), json!("")]),
        ("userPrincipalName", names.map(Value::from).to_vec()),
        (
            "accountEnabled",
            vec![json!(true), json!(false), json!("true")],
        ),
        (
            "department",
            vec![json!("x"), json!(""), Value::Null, json!(5)],
        ),
        ("passwordProfile", vec![json!({ "password": "secret" })]),
    ]
}

fn group_candidates() -> Candidates {
    vec![
        (
            "displayName",
            vec![json!("Ring 1"), json!("Ring 2"), json!("")],
        ),
        ("description", vec![json!("x"), Value::Null, json!(5)]),
        ("mailEnabled", vec![json!(false)]),
        (
            "mailNickname",
            vec![json!("ring1"), json!("ring2"), json!("ring 1")],
        ),
        (
            "securityEnabled",
            vec![json!(true), json!(true), json!(false)],
        ),
        (
            "groupTypes",
            vec![
                json!([]),
                json!([]),
                json!(["DynamicMembership"]),
                json!(["Unified"]),
            ],
        ),
        (
            "membershipRule",
            vec![Value::Null, Value::Null, json!("true"), json!("(")],
        ),
        (
            "membershipRuleProcessingState",
            vec![Value::Null, Value::Null, json!("on"), json!("off")],
        ),
        (MEMBERS, bound_members()),
    ]
}

/// Ids of scope tags, of which few exist.
fn tags() -> Vec<Value> {
    let zero = json!(["0"]);
    vec![
        zero.clone(),
        zero,
        json!(["0", "1"]),
        json!(["2"]),
        json!([]),
        json!([0]),
    ]
}

fn role_assignment_candidates() -> Candidates {
    let [one, two, all] = groups().map(|id| id.to_string());
    vec![
        (
            "members",
            vec![
                json!([one]),
                json!([one]),
                json!([one, two]),
                json!([all]),
                json!(["x"]),
            ],
        ),
        (
            "resourceScopes",
            vec![json!([]), json!([two]), json!([all])],
        ),
        ("scopeType", vec![json!("allDevices"), json!("some")]),
        (
            "roleDefinition@odata.bind",
            vec![
                json!("https://h/beta/roleDefinitions/c56d53a2-73d0-4502-b6bd-4a9d3dba28d5"),
                json!("https://h/beta/roleDefinitions/c56d53a2-73d0-4502-b6bd-4a9d3dba28d5"),
                json!(format!("roleDefinitions('{one}')")),
                json!("roleDefinitions('x')"),
            ],
        ),
        (
            "roleScopeTags@odata.bind",
            vec![
                json!([]),
                json!(["roleScopeTags('1')"]),
                json!(["roleScopeTags('x')"]),
            ],
        ),
    ]
}

/// Of filters, scope tags and roles.
fn access_candidates(key: Key) -> Candidates {
    let names = vec![json!("One"), json!("Two"), json!("One"), json!("")];
    let mut candidates = vec![
        ("displayName", names),
        ("description", vec![json!("x"), json!(5)]),
    ];
    candidates.extend(match key {
        Key::Filter(_) => vec![
            (
                "platform",
                vec![
                    json!("iOS"),
                    json!("windows10AndLater"),
                    json!("ios"),
                    json!("tv"),
                ],
            ),
            (
                "rule",
                vec![
                    json!("device.model -eq 'a'"),
                    json!("device.model -eq 'b'"),
                    json!("a"),
                ],
            ),
            ("roleScopeTags", tags()),
        ],
        Key::RoleDefinition(_) => {
            let actions = |name: &str| {
                json!([{ "resourceActions": [
                    { "allowedResourceActions": [name], "notAllowedResourceActions": [] },
                ]}])
            };
            let names = [
                "Microsoft.Intune_Roles_Read",
                "Microsoft.Intune_Audit_Read",
                "Read",
            ];
            vec![
                ("rolePermissions", names.map(actions).to_vec()),
                ("roleScopeTagIds", tags()),
            ]
        }
        Key::RoleAssignment(_) => role_assignment_candidates(),
        _ => Vec::new(),
    });
    candidates
}

/// Lists of members, rarely used: a document with members and other properties is invalid.
fn bound_members() -> Vec<Value> {
    let url = |number: u8| {
        let id = DeviceId::from_bytes([number; 16]);
        format!("https://graph.microsoft.com/v1.0/devices/{id}")
    };
    vec![
        json!([url(1)]),
        json!([url(2), url(3)]),
        json!([url(4), "x", url(4)]),
        json!([]),
    ]
}

/// Lists of assignments: valid, not evaluated, invalid.
fn assignment_lists() -> Vec<Value> {
    let to = |name: &str| json!({ "target": { "@odata.type": format!("#microsoft.graph.{name}AssignmentTarget") } });
    let all = json!([to("allDevices")]);
    let mut filtered = to("allDevices");
    filtered["target"]["deviceAndAppManagementAssignmentFilterId"] = id(1).to_string().into();
    filtered["target"]["deviceAndAppManagementAssignmentFilterType"] = "include".into();
    vec![
        all.clone(),
        all.clone(),
        all,
        json!([]),
        json!([to("allDevices"), to("allLicensedUsers")]),
        json!([filtered]),
        json!([{}]),
    ]
}

/// Lists of scheduled actions: two valid ones, one without a block action.
fn action_lists() -> Vec<Value> {
    let block =
        json!({ "actionType": "Block", "gracePeriodHours": 24, "notificationTemplateId": "" });
    let push = json!({ "actionType": "pushNotification", "notificationMessageCCList": [] });
    let rule = |actions: Value| json!([{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": actions }]);
    let valid = rule(json!([block]));
    vec![
        valid.clone(),
        valid.clone(),
        valid,
        rule(json!([push, block])),
        rule(json!([push])),
    ]
}

fn policy_candidates() -> Candidates {
    let types = [
        "#microsoft.graph.windows10CompliancePolicy",
        "microsoft.graph.iosCompliancePolicy",
        "#microsoft.graph.androidCompliancePolicy",
        "#microsoft.graph.androidWorkProfileCompliancePolicy",
        "#microsoft.graph.androidDeviceOwnerCompliancePolicy",
        "#microsoft.graph.macOSCompliancePolicy",
        "#microsoft.graph.noSuchPolicy",
    ];
    let levels = [
        "unavailable",
        "secured",
        "low",
        "Medium",
        "high",
        "notSet",
        "none",
    ];
    vec![
        ("@odata.type", types.map(Value::from).to_vec()),
        (
            "displayName",
            vec![
                json!("One"),
                json!("Two"),
                json!("x".repeat(256)),
                json!("x".repeat(257)),
            ],
        ),
        (
            "description",
            vec![
                json!("ü".repeat(1024)),
                Value::Null,
                json!("ü".repeat(1025)),
            ],
        ),
        (
            "deviceThreatProtectionEnabled",
            vec![json!(true), json!(true), json!(false), json!(1)],
        ),
        (
            "deviceThreatProtectionRequiredSecurityLevel",
            levels.map(Value::from).to_vec(),
        ),
        ("assignments", assignment_lists()),
        ("scheduledActionsForRule", action_lists()),
        (
            "osMinimumVersion",
            vec![Value::Null, Value::Null, json!("14.2"), json!("14,2")],
        ),
        (
            "osMaximumVersion",
            vec![Value::Null, Value::Null, json!("13.9"), json!("14,2")],
        ),
        ("passwordMinimumLength", vec![Value::Null, json!(8)]),
        (
            "storageRequireEncryption",
            vec![json!(false), json!(false), json!(true)],
        ),
    ]
}
