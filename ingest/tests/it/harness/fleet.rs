//! Seeded devices and what they report, and the oracle that says what a server must count.

use std::collections::BTreeMap;

use muster_engine::model::{Answer, Model};
use muster_engine::{PolicySet, Revision, TenantIndex, TenantPolicy};
use muster_ingest::clock;
use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner,
    PartnerThreatState, Platform, Risk, encode_check_ins,
};

use super::ops::Cells;

/// SplitMix64: small, and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The device with this number.
pub(crate) fn device(number: u64) -> DeviceId {
    let mut random = Random(number);
    let id = u128::from(random.next()) << 64 | u128::from(random.next());
    DeviceId::from_bytes(id.to_be_bytes())
}

/// A check-in that says anything a device may say.
pub(crate) fn random_check_in(random: &mut Random, device_id: DeviceId, seq: u64) -> CheckInRecord {
    let check_in = CheckIn {
        device_id,
        seq,
        sent_at_ms: 1,
        boot_id: 1,
        payload: 0,
        flags: Flags::from_bits_truncate(random.next() as u16),
        risk: random.one_of(Risk::ALL),
        partner_threat_state: random.one_of(PartnerThreatState::ALL),
        onboarding: random.one_of(Onboarding::ALL),
        platform: random.one_of(Platform::ALL),
        management_agent: random.one_of(ManagementAgent::ALL),
    };
    check_in.to_record().expect("neither id nor seq is zero")
}

/// An inventory with one of a few owners and sets of tags.
pub(crate) fn random_inventory(
    random: &mut Random,
    device_id: DeviceId,
    revision: u32,
) -> Inventory {
    let tags = ["berlin", "kiosk", "pilot"]
        .into_iter()
        .filter(|_| random.below(2) == 0);
    let tags = tags.map(str::to_owned).collect();
    Inventory {
        device_id,
        os_version: Inventory::pack_version([10, 0, 22631, 4317]),
        revision,
        owner: random.one_of(Owner::ALL),
        device_name: format!("device-{revision}"),
        os_name: "Windows".to_owned(),
        model: "Notebook 14".to_owned(),
        manufacturer: String::new(),
        serial_number: "SN-000042".to_owned(),
        user_principal_name: String::new(),
        tags,
    }
}

/// A frame of check-ins, header included.
pub(crate) fn frame(records: &[CheckInRecord]) -> bytes::Bytes {
    let mut bytes = Vec::new();
    encode_check_ins(&mut bytes, records).expect("a frame");
    bytes.into()
}

/// The engine's slow model of a whole server, told the same as the server.
#[derive(Debug)]
pub(crate) struct Oracle {
    model: Model,
    policy: PolicySet,
    tenants: Vec<&'static str>,
    /// Answers so far: accepted, duplicate, stale.
    pub(crate) answers: [u64; 3],
}

impl Oracle {
    /// For the tenants of the default settings, by the default rules.
    pub(crate) fn new() -> Self {
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

    /// Other rules are in force from here on.
    pub(crate) fn judge_by(&mut self, rules: Vec<TenantPolicy>) {
        self.policy = PolicySet::new(Revision(self.policy.revision().0 + 1), rules);
    }

    pub(crate) fn check_in(&mut self, tenant: &str, check_in: &CheckInRecord) {
        let index = self.index(tenant);
        let answer = self
            .model
            .check_in(&self.policy, index, check_in, clock::wall());
        self.count(answer);
    }

    pub(crate) fn check_ins(&mut self, tenant: &str, check_ins: &[CheckInRecord]) {
        for check_in in check_ins {
            self.check_in(tenant, check_in);
        }
    }

    pub(crate) fn inventory(&mut self, tenant: &str, inventory: &Inventory) {
        let index = self.index(tenant);
        let answer = self
            .model
            .inventory(&self.policy, index, inventory, clock::wall());
        self.count(answer);
    }

    fn count(&mut self, answer: Answer) {
        let index = match answer {
            Answer::Accepted => 0,
            Answer::Duplicate => 1,
            Answer::Stale => 2,
            Answer::UnknownDevice => panic!("the default rules create devices"),
        };
        self.answers[index] += 1;
    }

    fn index(&self, tenant: &str) -> TenantIndex {
        let index = self.tenants.iter().position(|name| *name == tenant);
        TenantIndex(index.expect("a tenant of the settings") as u16)
    }

    pub(crate) fn devices(&self) -> u64 {
        self.model.devices() as u64
    }

    /// What `GET /cells` must say.
    pub(crate) fn cells(&self) -> Cells {
        let cells = self.model.cells(&self.policy, clock::wall());
        let cells = cells.into_iter().map(|((tenant, cohort, facets), count)| {
            let tenant = self.tenants[usize::from(tenant)].to_owned();
            let owner = cohort.owner().name().to_owned();
            (
                (tenant, owner, cohort.tags().to_vec(), facets.word().0),
                count,
            )
        });
        cells.collect::<BTreeMap<_, _>>()
    }
}
