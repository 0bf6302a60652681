//! What the rows have in common: a server whose clock the test moves, with a connector and a policy, and its devices.

use muster_wire::{CheckIn, DeviceId};
use serde_json::{Value, json};

use crate::harness::*;

const DEFENDER: &str =
    "/tenants/contoso/mobileThreatDefenseConnectors/fc780465-2017-40d4-a0c5-307022471b92";
const POLICIES: &str = "/tenants/contoso/deviceCompliancePolicies";
const GROUPS: &str = "/tenants/contoso/groups";
const SETTINGS: &str = "/tenants/contoso/settings";

pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// A server with its clock.
pub(crate) struct Scene {
    place: Installation,
    running: Option<(Server, TestClock)>,
    seq: u64,
}

impl Scene {
    /// A tenant without objects.
    pub(crate) fn empty() -> Self {
        let place = Installation::new();
        let running = Some(place.start_with_clock());
        Self {
            place,
            running,
            seq: 0,
        }
    }

    /// A connector that is on for every platform, and a policy with threshold Medium for Windows devices.
    pub(crate) fn new() -> Self {
        let scene = Self::empty();
        scene.connector(
            json!({ "windowsEnabled": true, "iosEnabled": true, "androidEnabled": true }),
        );
        scene.create_policy("windows10", "medium");
        scene
    }

    pub(crate) fn server(&self) -> &Server {
        let (server, _) = self.running.as_ref().expect("it runs except in a restart");
        server
    }

    pub(crate) fn clock(&self) -> &TestClock {
        let (_, clock) = self.running.as_ref().expect("it runs except in a restart");
        clock
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock().advance(seconds);
    }

    /// Replaces the connector.
    #[track_caller]
    pub(crate) fn connector(&self, properties: Value) {
        self.change("PUT", DEFENDER, &properties);
    }

    /// Changes properties of the connector.
    #[track_caller]
    pub(crate) fn change_connector(&self, properties: Value) {
        self.change("PATCH", DEFENDER, &properties);
    }

    #[track_caller]
    pub(crate) fn settings(&self, properties: Value) {
        self.change("PATCH", SETTINGS, &properties);
    }

    /// Creates a policy for all devices of a subclass and returns its path.
    #[track_caller]
    pub(crate) fn create_policy(&self, subclass: &str, level: &str) -> String {
        self.create(POLICIES, &policy(subclass, level))
    }

    /// Creates a policy for Windows devices that are in one group and not in another.
    #[track_caller]
    pub(crate) fn create_targeted(&self, level: &str, included: &str, excluded: &str) {
        let target = |name: &str, group: &str| {
            let group = group.rsplit('/').next();
            json!({ "target": {
                "@odata.type": format!("#microsoft.graph.{name}"), "groupId": group,
            }})
        };
        let mut body = policy("windows10", level);
        body["assignments"] = json!([
            target("groupAssignmentTarget", included),
            target("exclusionGroupAssignmentTarget", excluded),
        ]);
        self.create(POLICIES, &body);
    }

    /// Creates a group with these members and returns its path.
    #[track_caller]
    pub(crate) fn create_group(&self, name: &str, members: &[DeviceId]) -> String {
        let group = self.create(
            GROUPS,
            &json!({
                "displayName": name,
                "mailEnabled": false,
                "mailNickname": name,
                "securityEnabled": true,
            }),
        );
        for member in members {
            let member = format!("http://localhost/tenants/contoso/devices/{member}");
            let path = format!("{group}/members/$ref");
            self.change("POST", &path, &json!({ "@odata.id": member }));
        }
        group
    }

    /// Creates an object and returns its path.
    #[track_caller]
    fn create(&self, collection: &str, body: &Value) -> String {
        let object = self.change("POST", collection, body);
        format!("{collection}/{}", object["id"].as_str().expect("a new id"))
    }

    /// Whether the server refuses a policy of this subclass.
    #[track_caller]
    pub(crate) fn refuses_policy(&self, subclass: &str, level: &str) -> bool {
        let body = policy(subclass, level);
        let (refused, _) = self.server().ops.change("POST", POLICIES, None, &body);
        refused.status == 400
    }

    #[track_caller]
    pub(crate) fn change(&self, method: &str, path: &str, body: &Value) -> Value {
        let (changed, answer) = self.server().ops.change(method, path, None, body);
        assert!((200..300).contains(&changed.status), "{path}: {answer}");
        answer
    }

    /// The devices check in, each with the next seq.
    #[track_caller]
    pub(crate) fn check_in(&mut self, reports: &[CheckIn]) {
        self.seq += 1;
        let credentials = self.place.pki.gateway("contoso", "gw-1");
        let mut session = self.server().session(&self.place.pki, &credentials);
        let seq = self.seq;
        let records: Vec<_> = reports
            .iter()
            .map(|report| record(CheckIn { seq, ..*report }))
            .collect();
        session.check_ins(&records);
        let (totals, _) = session.acknowledged(1);
        assert_eq!(totals.accepted, records.len() as u64);
        session.goodbye();
    }

    #[track_caller]
    pub(crate) fn device(&self, device_id: DeviceId) -> Value {
        let device = self.server().ops.device("contoso", device_id);
        device.expect("it has checked in")
    }

    /// A count of the tenant.
    #[track_caller]
    pub(crate) fn count(&self, group: &str, member: &str) -> u64 {
        let counts = self.server().ops.get_json("/counts?tenant=contoso");
        let count = &counts["tenants"][0][group][member];
        count
            .as_u64()
            .unwrap_or_else(|| panic!("no count {group} {member}"))
    }

    /// The counts of C4 that are not 0.
    #[track_caller]
    pub(crate) fn summary(&self) -> Vec<(String, u64)> {
        let counts = self.server().ops.get_json("/counts?tenant=contoso");
        let summary = &counts["tenants"][0]["deviceCompliancePolicyDeviceStateSummary"];
        let members = summary.as_object().expect("a group of counts");
        let sum: u64 = members.values().filter_map(Value::as_u64).sum();
        assert_eq!(json!(sum), counts["tenants"][0]["enrolled"]);
        let present = members.iter().filter(|(_, count)| **count != json!(0));
        present
            .map(|(name, count)| (name.clone(), count.as_u64().expect("a number")))
            .collect()
    }

    /// Asserts something of the server, that a recount agrees with it, and both again after a kill and a restart.
    #[track_caller]
    pub(crate) fn holds(&mut self, check: impl Fn(&Self)) {
        check(self);
        self.server().ops.recount_is_verified();
        let (server, clock) = self.running.take().expect("it runs except in a restart");
        server.kill();
        drop(clock);
        self.running = Some(self.place.start_with_clock());
        check(self);
        self.server().ops.recount_is_verified();
    }

    /// Asserts compliance, status and reason of the threat setting of a device, and that `why` begins with these rows.
    #[track_caller]
    pub(crate) fn is(
        &self,
        device_id: DeviceId,
        compliance: &str,
        setting: (&str, Option<&str>),
        rows: (&str, &str),
    ) {
        let device = self.device(device_id);
        assert_eq!(device["compliance"], compliance, "{device:#}");
        assert_eq!(device["threat_setting"], setting.0, "{device:#}");
        assert_eq!(
            device["threat_setting_reason"],
            json!(setting.1),
            "{device:#}"
        );
        for (line, row) in [(0, rows.0), (1, rows.1)] {
            let why = device["why"][line].as_str().expect("a line for each rule");
            assert!(why.starts_with(&format!("{row}: ")), "{why}");
        }
    }
}

fn policy(subclass: &str, level: &str) -> Value {
    json!({
        "@odata.type": format!("#microsoft.graph.{subclass}CompliancePolicy"),
        "displayName": subclass,
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": level,
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
    })
}
