//! Two sites of a tenant, each with a scope tag, a group, a device and objects; and another tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use muster_control::{
    Actor, Change, Command, ControlPlane, DEFENDER, Entry, Handling, Key, ObjectId, Precondition,
    Rights, ScopeTagId,
};
use muster_engine::{TenantIndex, Timestamp};
use serde_json::{Value, json};

use crate::tests::fixture::{DEVICE, Fake, at_risk, device, graph_options, two_tenants};
use crate::{Cell, Device, GraphGate, TokenRequest, new_secret};

const DEMO: TenantIndex = TenantIndex(0);
const OTHER: TenantIndex = TenantIndex(1);
const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// Whose token is used, by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// A token with this role of its own, for the whole tenant.
    Whole(&'static str),
    /// One whose group has this role for the objects and devices of the own site.
    Limited(&'static str),
    /// One with this role in another tenant.
    Elsewhere(&'static str),
}

impl Holder {
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Whole(role) | Self::Limited(role) | Self::Elsewhere(role) => role,
        }
    }
}

/// A site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// That of limited holders.
    Own,
    /// The other one.
    Foreign,
}

const SIDES: [Side; 2] = [Side::Own, Side::Foreign];

/// A response.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// The state before each request.
pub(super) struct Scene {
    control: (ControlPlane, Vec<Entry>),
    fleet: Vec<Device>,
    secrets: BTreeMap<Holder, String>,
    ids: BTreeMap<(&'static str, Side), String>,
    next_id: u32,
    /// For requests that change nothing.
    reading: OnceLock<GraphGate>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Self {
            control: two_tenants(),
            fleet: Vec::new(),
            secrets: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_id: 0,
            reading: OnceLock::new(),
        };
        for tenant in [DEMO, OTHER] {
            scene.create(tenant, Key::Connector(DEFENDER), json!({}));
        }
        scene.name("connector", &DEFENDER.to_string());
        let plain = scene.group("plain");
        scene.name("group", &plain.to_string());
        for side in SIDES {
            scene.add_site(side);
        }
        let ring = scene.group("ring");
        scene.name("ring", &ring.to_string());
        let members: Vec<_> = SIDES
            .map(|side| scene.id("device", side).parse().unwrap())
            .into();
        scene.apply(
            DEMO,
            Change::AddMembers {
                group: ring,
                members,
            },
        );
        let stored = scene.new_id();
        scene.name("stored", &stored.to_string());
        let user = json!({ "displayName": "Ada", "userPrincipalName": "ada@example.org" });
        scene.create(DEMO, Key::User(stored), user);
        for role in super::ROLES {
            scene.add_holders(role);
        }
        let fleet = SIDES.map(|side| {
            let mut device = device();
            device.record.device_id = scene.id("device", side).parse().unwrap();
            if let Some(inventory) = &mut device.inventory {
                inventory.user_principal_name = scene.id("named", side);
            }
            device.targets = scene.control.0.targets_of(DEMO, &device.record.device_id);
            device
        });
        scene.fleet = fleet.into();
        scene
    }

    /// The id of what has this placeholder.
    pub(super) fn id(&self, name: &'static str, side: Side) -> String {
        self.ids[&(name, side)].clone()
    }

    fn name(&mut self, name: &'static str, id: &str) {
        for side in SIDES {
            self.ids.insert((name, side), id.to_owned());
        }
    }

    fn new_id(&mut self) -> ObjectId {
        self.next_id += 1;
        format!("{:08x}-1111-4000-8000-000000000001", self.next_id)
            .parse()
            .unwrap()
    }

    fn apply(&mut self, tenant: TenantIndex, change: Change) -> Entry {
        let entry = self.control.0.decide(&Command {
            actor: Actor::Local,
            address: None,
            rights: Rights::local(),
            at: NOW,
            tenant,
            expected: Precondition::Nothing,
            handling: Handling::Strict,
            change,
        });
        let entry = entry.unwrap();
        self.control.0.apply(&entry).unwrap();
        self.control.1.push(entry.clone());
        entry
    }

    fn create(&mut self, tenant: TenantIndex, key: Key, json: Value) -> Entry {
        let properties = json.as_object().unwrap().clone();
        self.apply(tenant, Change::Create { key, properties })
    }

    fn group(&mut self, name: &str) -> ObjectId {
        let id = self.new_id();
        let group = json!({ "displayName": name, "mailEnabled": false, "mailNickname": name, "securityEnabled": true });
        self.create(DEMO, Key::Group(id), group);
        id
    }

    /// A group with a device and a scope tag, and an object of each type with this tag.
    fn add_site(&mut self, side: Side) {
        let (number, device) = match side {
            Side::Own => (1, DEVICE.to_owned()),
            Side::Foreign => (2, format!("00000001{}", &DEVICE[8..])),
        };
        let tag = number.to_string();
        let site = self.group(&format!("site{number}"));
        let members = vec![device.parse().unwrap()];
        self.apply(
            DEMO,
            Change::AddMembers {
                group: site,
                members,
            },
        );
        let target = json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": site.to_string() });
        let assignments = json!([{ "target": target }]);
        let key = Key::ScopeTag(ScopeTagId(number));
        self.create(
            DEMO,
            key,
            json!({ "displayName": format!("Site {number}") }),
        );
        let properties = json!({ "assignments": assignments });
        let properties = properties.as_object().unwrap().clone();
        self.apply(
            DEMO,
            Change::AssignTag {
                tag: ScopeTagId(number),
                properties,
            },
        );
        let mut ids = vec![("site", site.to_string()), ("device", device)];
        // Lists of tags have small numbers, which other texts have too.
        ids.push(("tag", tag.clone()));
        ids.push(("named", format!("site{number}@example.org")));
        let policy = self.new_id();
        let made = self.create(DEMO, Key::Policy(policy), json!({
            "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
            "displayName": format!("policy {number}"),
            "roleScopeTagIds": [tag],
            "assignments": assignments,
            "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        }));
        ids.push(("policy", policy.to_string()));
        ids.push(("event", made.revision.0.to_string()));
        let filter = self.new_id();
        self.create(DEMO, Key::Filter(filter), json!({
            "displayName": "filter", "platform": "iOS", "rule": "device.model -eq 'x'", "roleScopeTags": [tag],
        }));
        ids.push(("filter", filter.to_string()));
        let definition = self.new_id();
        let allowed = json!(["Microsoft.Intune_Audit_Read"]);
        self.create(
            DEMO,
            Key::RoleDefinition(definition),
            json!({
                "displayName": "definition", "roleScopeTagIds": [tag],
                "rolePermissions": [{ "resourceActions": [{ "allowedResourceActions": allowed }] }],
            }),
        );
        ids.push(("definition", definition.to_string()));
        let assignment = self.assign("Help Desk Operator", site, site, &tag);
        ids.push(("assignment", assignment.to_string()));
        for (name, id) in ids {
            self.ids.insert((name, side), id);
        }
    }

    /// Assigns a role to the members of a group, for the devices of a site.
    fn assign(&mut self, role: &str, members: ObjectId, site: ObjectId, tag: &str) -> ObjectId {
        let id = self.new_id();
        let definition = self.control.0.role_named(DEMO, role).unwrap();
        self.create(
            DEMO,
            Key::RoleAssignment(id),
            json!({
                "displayName": role,
                "members": [members.to_string()],
                "resourceScopes": [site.to_string()],
                "roleDefinition@odata.bind": definition.to_string(),
                "roleScopeTags@odata.bind": [tag],
            }),
        );
        id
    }

    fn add_token(&mut self, tenant: TenantIndex, holder: Holder, role: &str) -> ObjectId {
        let (secret, id) = (new_secret(), self.new_id());
        let request = TokenRequest {
            name: "script",
            role,
            valid_days: 9,
        };
        let token = request
            .token(&self.control.0, tenant, &secret, NOW)
            .unwrap();
        self.apply(tenant, Change::Issue { id, token });
        self.secrets.insert(holder, secret);
        id
    }

    fn add_holders(&mut self, role: &'static str) {
        let whole = self.add_token(DEMO, Holder::Whole(role), role);
        self.name("token", &whole.to_string());
        self.add_token(OTHER, Holder::Elsewhere(role), role);
        let token = self.add_token(DEMO, Holder::Limited(role), "");
        let group = self.group(&format!("admins{}", self.next_id));
        self.apply(DEMO, Change::AddPrincipal { group, token });
        let site = self.id("site", Side::Own).parse().unwrap();
        self.assign(role, group, site, "1");
    }

    fn gate(&self) -> GraphGate {
        let gate = GraphGate::default();
        let cell = Cell {
            tenant: DEMO,
            facets: at_risk(),
            count: self.fleet.len() as u64,
        };
        let fake = Fake {
            control: Mutex::new(self.control.clone()),
            fleet: self.fleet.clone(),
            cells: vec![cell],
            ..Fake::default()
        };
        gate.open(Arc::new(fake), graph_options("muster.test"));
        gate
    }

    /// Sends a request to a server in the state of the scene, with the ids of a site for placeholders.
    pub(super) async fn ask(
        &self,
        holder: Holder,
        side: Side,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> Reply {
        let made;
        let gate = if *method == Method::GET && !path.contains("{job}") {
            self.reading.get_or_init(|| self.gate())
        } else {
            made = self.gate();
            &made
        };
        let mut path = path.to_owned();
        let mut body = body.to_string();
        if path.contains("{job}") {
            path = path.replace("{job}", &self.job(gate, holder, side).await);
        }
        for ((name, of), id) in &self.ids {
            if *of == Side::Own {
                body = body.replace(&format!("{{own_{name}}}"), id);
            }
            if *of == side {
                path = path.replace(&format!("{{{name}}}"), id);
                body = body.replace(&format!("{{{name}}}"), id);
            }
        }
        self.request(gate, holder, method, &path, &body).await
    }

    /// Sends a request without placeholders.
    pub(super) async fn send(
        &self,
        holder: Holder,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> Reply {
        self.request(&self.gate(), holder, method, path, &body.to_string())
            .await
    }

    /// An export job of the holder itself if it may have one, or of an administrator.
    async fn job(&self, gate: &GraphGate, holder: Holder, side: Side) -> String {
        let path = "/devicemanagement/reports/exportjobs";
        let body = json!({ "reportName": "Devices" }).to_string();
        let administrator = Holder::Whole("Administrator");
        let owner = match side {
            Side::Own if !matches!(holder, Holder::Elsewhere(_)) => holder,
            _ => administrator,
        };
        let mut made = self.request(gate, owner, &Method::POST, path, &body).await;
        if made.status != StatusCode::CREATED {
            made = self
                .request(gate, administrator, &Method::POST, path, &body)
                .await;
        }
        let made: Value = serde_json::from_str(&made.text).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    async fn request(
        &self,
        gate: &GraphGate,
        holder: Holder,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Reply {
        let version = if path.starts_with("/api/") {
            ""
        } else {
            "/beta"
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{version}{}", path.replace(' ', "%20")))
            .header("authorization", format!("Bearer {}", self.secrets[&holder]))
            .header("content-type", "application/json");
        let body = if body == "null" {
            Body::empty()
        } else {
            Body::from(body.to_owned())
        };
        let (head, body) = gate.answer(request.body(body).unwrap()).await.into_parts();
        let text = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Reply {
            status: head.status,
            text: String::from_utf8(text).unwrap(),
        }
    }
}
