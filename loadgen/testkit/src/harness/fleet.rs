//! Seeded devices and their reports, and the oracle for the counts that a server must have.

use std::collections::BTreeMap;

use muster_engine::model::{Answer, Model};
use muster_engine::{PolicySet, Revision, TenantIndex, TenantPolicy, Timestamp};
use muster_wire::{
    CheckIn, CheckInBytes, CheckInRecord, DeviceId, Flags, Inventory, ManagementAgent, Onboarding,
    Owner, PartnerThreatState, Platform, RejectReason, Risk, encode_check_ins,
    encode_check_ins_header, encode_inventory,
};

use super::ops::Cells;
use crate::clock;
use crate::device::device_id;
use crate::random::Random;

fn now() -> Timestamp {
    Timestamp::from_millis(clock::millis())
}

/// The id of the device with this number.
pub const fn device(number: u64) -> DeviceId {
    device_id(0, number)
}

/// The check-in of a registered Windows device at risk low, whose sensor works.
pub fn healthy(device_id: DeviceId, seq: u64) -> CheckIn {
    CheckIn {
        device_id,
        seq,
        // A device with a clock of its own, which nothing is evaluated by.
        sent_at_ms: 1,
        boot_id: 1,
        payload: 0,
        flags: Flags::SENSOR_RUNNING
            | Flags::COMMAND_AND_CONTROL_OK
            | Flags::TELEMETRY_OK
            | Flags::FULL_REPORT
            | Flags::REGISTERED,
        risk: Risk::Low,
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: Onboarding::Onboarded,
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
    }
}

/// The record of a check-in that is valid.
pub fn record(check_in: CheckIn) -> CheckInRecord {
    check_in.to_record().expect("neither id nor seq is zero")
}

/// A check-in with random values.
pub fn random_check_in(random: &mut Random, device_id: DeviceId, seq: u64) -> CheckInRecord {
    record(CheckIn {
        flags: Flags::from_bits_truncate(random.bits() as u16),
        risk: random.choose(Risk::ALL),
        partner_threat_state: random.choose(PartnerThreatState::ALL),
        onboarding: random.choose(Onboarding::ALL),
        platform: random.choose(Platform::ALL),
        management_agent: random.choose(ManagementAgent::ALL),
        ..healthy(device_id, seq)
    })
}

/// An inventory with one of a few owners and sets of tags.
pub fn random_inventory(random: &mut Random, device_id: DeviceId, revision: u32) -> Inventory {
    let tags = ["berlin", "kiosk", "pilot"]
        .into_iter()
        .filter(|_| random.below(2) == 0);
    let tags = tags.map(str::to_owned).collect();
    Inventory {
        device_id,
        os_version: Inventory::pack_version([10, 0, 22631, 4317]),
        revision,
        owner: random.choose(Owner::ALL),
        device_name: format!("device-{revision}"),
        os_name: "Windows".to_owned(),
        model: "Notebook 14".to_owned(),
        manufacturer: String::new(),
        serial_number: "SN-000042".to_owned(),
        user_principal_name: String::new(),
        tags,
    }
}

/// A frame of check-ins, including the header.
pub fn frame(records: &[CheckInRecord]) -> bytes::Bytes {
    let mut bytes = Vec::new();
    encode_check_ins(&mut bytes, records).expect("a frame");
    bytes.into()
}

/// A frame of records that need not be valid.
pub fn frame_of(records: &[CheckInBytes]) -> Vec<u8> {
    let header = encode_check_ins_header(records.len()).expect("a frame");
    [&header, records.as_flattened()].concat()
}

/// An inventory frame whose archive need not be valid.
pub fn inventory_frame(archive: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_inventory(&mut bytes, archive).expect("within the limits of a frame");
    bytes
}

/// An inventory with these tags and otherwise minimal content.
pub fn inventory_of(device_id: DeviceId, tags: &[&str]) -> Inventory {
    Inventory {
        device_id,
        os_version: 0,
        revision: 1,
        owner: Owner::Company,
        device_name: "ab".to_owned(),
        os_name: String::new(),
        model: "a long name of a model".to_owned(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

/// The engine's slow model of a whole server, fed with the same input as the server.
#[derive(Debug)]
pub struct Oracle {
    model: Model,
    policy: PolicySet,
    tenants: Vec<&'static str>,
    /// Answers so far: accepted, duplicate, stale.
    pub answers: [u64; 3],
}

impl Oracle {
    /// An oracle for the tenants of the default settings, with the default rules.
    #[expect(
        clippy::new_without_default,
        reason = "an oracle has tenants and rules from the start"
    )]
    pub fn new() -> Self {
        let tenants = vec!["contoso", "fabrikam"];
        let rules = vec![TenantPolicy::default(); tenants.len()];
        let policy = PolicySet::new(Revision(1), rules);
        Self {
            model: Model::default(),
            policy,
            tenants,
            answers: [0; 3],
        }
    }

    /// An oracle for the rules of [`Ops::require_medium`](super::Ops::require_medium).
    pub fn with_medium() -> Self {
        let mut oracle = Self::new();
        oracle.set_policy(vec![crate::objects::medium(); oracle.tenants.len()]);
        oracle
    }

    /// Replaces the rules.
    pub fn set_policy(&mut self, rules: Vec<TenantPolicy>) {
        self.policy = PolicySet::new(Revision(self.policy.revision().0 + 1), rules);
    }

    /// Applies a check-in. Returns the reason if the server must reject it.
    pub fn check_in(&mut self, tenant: &str, check_in: &CheckInRecord) -> Option<RejectReason> {
        let index = self.index(tenant);
        let answer = self.model.check_in(&self.policy, index, check_in, now());
        self.count(answer)
    }

    /// Applies check-ins in this order.
    pub fn check_ins(&mut self, tenant: &str, check_ins: &[CheckInRecord]) {
        for check_in in check_ins {
            assert_eq!(self.check_in(tenant, check_in), None);
        }
    }

    /// Applies an inventory. Returns the reason if the server must reject it.
    pub fn inventory(&mut self, tenant: &str, inventory: &Inventory) -> Option<RejectReason> {
        let index = self.index(tenant);
        let answer = self.model.inventory(&self.policy, index, inventory, now());
        self.count(answer)
    }

    fn count(&mut self, answer: Answer) -> Option<RejectReason> {
        let index = match answer {
            Answer::Accepted => 0,
            Answer::Duplicate => 1,
            Answer::Stale => 2,
            Answer::SeqAhead => return Some(RejectReason::SeqAhead),
            Answer::DeviceRemoved => return Some(RejectReason::DeviceRemoved),
            Answer::UnknownDevice => panic!("the default rules create devices"),
        };
        self.answers[index] += 1;
        None
    }

    fn index(&self, tenant: &str) -> TenantIndex {
        let index = self.tenants.iter().position(|name| *name == tenant);
        TenantIndex(index.expect("a tenant from the settings") as u16)
    }

    /// The number of devices.
    pub fn devices(&self) -> u64 {
        self.model.devices() as u64
    }

    /// What `GET /cells` must return.
    pub fn cells(&self) -> Cells {
        let cells = self.model.cells(&self.policy, now());
        let cells = cells.into_iter().map(|((tenant, facets), count)| {
            let tenant = self.tenants[usize::from(tenant)].to_owned();
            ((tenant, facets.word().0), count)
        });
        cells.collect::<BTreeMap<_, _>>()
    }
}
