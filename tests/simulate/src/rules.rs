//! Rules of the tenants of a simulated server: the replay of its control log, and the commands of its operators.
//!
//! What `ControlService` and the start of the server do, without waiting. Bounded by the limits of `muster-control`;
//! random commands create at most `POLICIES_MAX` policies for a tenant, and one more tenant at a time.

use std::error::Error;
use std::sync::Arc;

use muster_control::{
    Access, AccessRecord, AccessText, Actor, Change, Command, ControlPlane, DEFENDER, Entry,
    Handling, Key, ObjectId, Precondition, Properties, Rights, compile,
};
use muster_engine::{PolicySet, Revision, TenantIndex, Timestamp};
use muster_store::Store;
use muster_testkit::objects::policy_document;
use muster_testkit::random::Random;
use serde_json::{Value, json};

/// More policies would hide each other: the lowest threshold of a platform decides.
const POLICIES_MAX: usize = 6;

/// A tenant without devices that comes and goes.
const TRANSIENT: &str = "transient";

const TYPES: [&str; 5] = [
    "#microsoft.graph.windows10CompliancePolicy",
    "#microsoft.graph.iosCompliancePolicy",
    "#microsoft.graph.androidCompliancePolicy",
    "#microsoft.graph.androidWorkProfileCompliancePolicy",
    "#microsoft.graph.androidDeviceOwnerCompliancePolicy",
];

/// Around the versions in inventories. One policy may contradict another.
const MINIMUMS: [Option<&str>; 4] = [None, None, Some("10.0.2"), Some("10.0.4")];
const MAXIMUMS: [Option<&str>; 4] = [None, None, Some("10.0.2"), Some("10.0.3")];

const LEVELS: [&str; 6] = ["unavailable", "notSet", "secured", "low", "medium", "high"];

/// A command that has been decided.
#[derive(Debug)]
pub struct Decided {
    /// What is appended to the control log.
    pub entry: Entry,
    /// The objects afterwards.
    pub plane: ControlPlane,
    /// The resulting policy set, if it differs from the latest.
    pub policy: Option<Arc<PolicySet>>,
}

/// Replays the control log of a store, and creates the tenants that a new store does not have. The latest policy set
/// must follow from the log; a new store gets one.
pub(crate) fn recover(
    store: &Store,
    tenants: &[String],
) -> Result<(ControlPlane, Arc<PolicySet>), Box<dyn Error>> {
    let mut plane = ControlPlane::default();
    store
        .snapshot()
        .control_log::<Box<dyn Error>>(|revision, stored| {
            plane.replay(revision, stored)?;
            Ok(())
        })?;
    let created = usize::from(plane.next_tenant());
    for name in tenants.iter().skip(created) {
        let entry = plane.decide(&command(
            Timestamp::default(),
            TenantIndex(0),
            creation(name),
        ))?;
        plane.apply(&entry)?;
        store.append_control(entry.revision, &plane.stored(&entry), None)?;
    }
    let indexes = (0..plane.next_tenant().0).map(TenantIndex);
    let rules: Vec<_> = indexes.map(|tenant| compile(&plane, tenant)).collect();
    let policy = match store.policy_set_latest()? {
        Some((_, bytes)) => {
            PolicySet::decode(&bytes).ok_or("the latest policy set is unreadable")?
        }
        None => {
            let revision = Revision(plane.revision().0 + 1);
            let policy = PolicySet::new(revision, rules.clone());
            store.put_policy_set(policy.revision(), &policy.encode())?;
            policy
        }
    };
    if policy.tenants() != rules {
        return Err("the latest policy set does not follow from the control log".into());
    }
    plane.skip_to(policy.revision());
    Ok((plane, Arc::new(policy)))
}

fn command(at: Timestamp, tenant: TenantIndex, change: Change) -> Command {
    Command {
        actor: Actor::Local,
        address: None,
        at,
        tenant,
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change,
    }
}

fn creation(name: &str) -> Change {
    Change::Create {
        key: Key::Tenant,
        properties: properties(json!({ "name": name })),
    }
}

/// Decides a random command; `None` if it is refused or would change nothing.
pub(crate) fn decide(
    plane: &ControlPlane,
    latest: &PolicySet,
    random: &mut Random,
    at: Timestamp,
) -> Option<Decided> {
    let (tenant, change) = match (random.below(12), plane.tenant_named(TRANSIENT)) {
        (0, None) => (TenantIndex(0), creation(TRANSIENT)),
        (0, Some(tenant)) => (tenant, Change::Delete { key: Key::Tenant }),
        (1, _) => (TenantIndex(0), sample_access(random)),
        _ => {
            let tenants: Vec<_> = plane.tenants().map(|(index, _)| index).collect();
            let tenant = random.choose(&tenants);
            (tenant, sample(plane, tenant, random))
        }
    };
    let entry = plane.decide(&command(at, tenant, change)).ok()?;
    let mut plane = plane.clone();
    plane
        .apply(&entry)
        .expect("an entry follows from the state that decided it");
    let indexes = (0..plane.next_tenant().0).map(TenantIndex);
    let tenants: Vec<_> = indexes.map(|tenant| compile(&plane, tenant)).collect();
    let differs = tenants != latest.tenants();
    let policy = differs.then(|| Arc::new(PolicySet::new(entry.revision, tenants)));
    Some(Decided {
        entry,
        plane,
        policy,
    })
}

fn sample(plane: &ControlPlane, tenant: TenantIndex, random: &mut Random) -> Change {
    match random.below(10) {
        0..2 => Change::Update {
            key: Key::Settings,
            properties: sample_settings(random),
        },
        2 => Change::Delete {
            key: Key::Connector(DEFENDER),
        },
        3..6 => Change::Replace {
            key: Key::Connector(DEFENDER),
            properties: sample_connector(random),
        },
        _ => sample_policy(plane, tenant, random),
    }
}

/// An access, which changes no rule.
fn sample_access(random: &mut Random) -> Change {
    let text = AccessText::cut;
    let access = match random.below(3) {
        0 => Access::SignedIn,
        1 => Access::Downloaded { job: text("job") },
        _ => Access::Refused {
            method: text("GET"),
            path: text("/v1.0/groups"),
            reason: text("denied"),
        },
    };
    let unrecorded = random.below(100) as u32;
    Change::Access(AccessRecord { access, unrecorded })
}

fn sample_settings(random: &mut Random) -> Properties {
    properties(json!({
        "secureByDefault": random.below(2) == 0,
        "autoCreateDevices": random.below(5) != 0,
        "sensorInactiveDays": 1 + random.below(8),
        "noSensorDataHours": 1 + random.below(48),
        "deviceComplianceCheckinThresholdDays": 1 + random.below(8),
        "removedRetentionDays": 1 + random.below(8),
        // So long that it ends in no run, see `world/clock.rs`.
        "profileRetentionDays": 170 + random.below(20),
    }))
}

fn sample_connector(random: &mut Random) -> Properties {
    let mut switch = |one_of: u64| random.below(one_of) != 0;
    properties(json!({
        "windowsEnabled": switch(5),
        "windowsDeviceBlockedOnMissingPartnerData": switch(2),
        "iosEnabled": switch(5),
        "iosDeviceBlockedOnMissingPartnerData": switch(2),
        "androidEnabled": switch(5),
        "androidDeviceBlockedOnMissingPartnerData": switch(2),
    }))
}

fn sample_policy(plane: &ControlPlane, tenant: TenantIndex, random: &mut Random) -> Change {
    let ids: Vec<ObjectId> = plane.policies(tenant).map(|(id, ..)| id).collect();
    let level = random.choose(&LEVELS);
    if ids.len() < POLICIES_MAX && (ids.is_empty() || random.below(2) == 0) {
        let id = u128::from(random.bits()) << 64 | u128::from(random.bits());
        return Change::Create {
            key: Key::Policy(ObjectId::from_bytes(id.to_be_bytes())),
            properties: properties(policy_document(random.choose(&TYPES), level)),
        };
    }
    let key = Key::Policy(random.choose(&ids));
    match random.below(4) {
        0 => Change::Delete { key },
        _ => Change::Update {
            key,
            properties: properties(json!({
                "deviceThreatProtectionRequiredSecurityLevel": level,
                "deviceThreatProtectionEnabled": random.below(5) != 0,
                "osMinimumVersion": random.choose(&MINIMUMS),
                "osMaximumVersion": random.choose(&MAXIMUMS),
            })),
        },
    }
}

fn properties(document: Value) -> Properties {
    match document {
        Value::Object(properties) => properties,
        _ => Properties::default(),
    }
}
