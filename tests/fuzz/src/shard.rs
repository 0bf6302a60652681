//! Target for the state machine: what an authenticated client may do to it, in any order, with any values.
//!
//! What must hold: the engine answers and counts as its slow model does; a crash at any point gives the same
//! devices and counts back, from pages of a checkpoint and the journal that it does not cover; and a reader that shares
//! nothing with the engine but the codecs finds them on the disk too.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::model::{Answer, Model, ModelCell, ModelDisk};
use muster_engine::{
    CellId, CheckpointProgress, CohortId, Effects, Facets, Outcome, PAGE_RECORDS, PageNumber,
    PolicySet, Recovery, Revision, Sequence, Shard, ShardId, ShardLimits, SlotIndex, TenantIndex,
    TenantPolicy, Threshold, Timestamp,
};
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInBytes, CheckInRecord, DeviceId, Inventory, Owner, Platform};

use crate::Input;
use crate::seeds::check_in_of;

/// Events of one input; an input of any length takes bounded time.
const EVENTS_MAX: usize = 256;

const LIMITS: ShardLimits = ShardLimits {
    devices_max: 1000,
    cells_max: 10_000,
    cohorts_max: 1000,
};

/// Devices that are there from the beginning: of those that come, two are still on the first page and the others
/// on the second, so that a checkpoint can be between its pages.
const CROWD: u8 = PAGE_RECORDS as u8 - 2;

/// A list of events: check-ins, inventories, time that passes, rules that change, crashes. The high bits of an event
/// say how far its commit takes a checkpoint.
pub fn shard(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new();
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let event = input.u8();
        world.pages_max = usize::from(event / 8 % 3);
        match event % 8 {
            0..=3 => world.check_in(&mut input),
            4 => world.inventory(&mut input),
            5 => world.time(u32::from(input.u16())),
            6 => world.rules(&mut input),
            _ => world.crash(),
        }
    }
    world.time(0);
    world.check();
    world.crash();
    world.check();
}

/// The engine with its disk, and the model, told the same.
struct World {
    shard: Shard,
    disk: Disk,
    model: Model,
    policy: Arc<PolicySet>,
    now: Timestamp,
    effects: Effects,
    /// Pages of a checkpoint that the next commit takes along; without any none begins either.
    pages_max: usize,
}

/// What a store keeps of the shard.
#[derive(Default)]
struct Disk {
    cells: Vec<Vec<u8>>,
    cohorts: Vec<Vec<u8>>,
    pages: BTreeMap<PageNumber, Vec<u8>>,
    /// What no checkpoint covers.
    journal: BTreeMap<Sequence, Vec<u8>>,
    /// The last sequence that a checkpoint covers.
    cursor: Sequence,
    /// The same of the checkpoint that runs.
    begun: Sequence,
    policies: BTreeMap<u32, Arc<PolicySet>>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            shard: Shard::new(ShardId(0), LIMITS, 1),
            disk: Disk::default(),
            model: Model::default(),
            policy: Arc::default(),
            now: Timestamp::from_seconds(1_800_000_000),
            effects: Effects::default(),
            pages_max: 0,
        };
        world.judge_by(vec![TenantPolicy::default(); 2]);
        world.crowd();
        world
    }

    fn crowd(&mut self) {
        let record = |number: u8| {
            let mut id = [0; 16];
            (id[14], id[15]) = (1, number);
            check_in_of(DeviceId::from_bytes(id), 1)
        };
        let records: Vec<_> = (0..CROWD).map(record).collect();
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        let outcome = self
            .shard
            .apply_check_ins(TenantIndex(0), &records, &mut effects);
        self.commit(effects);
        assert_eq!(outcome.accepted, u32::from(CROWD));
        for record in &records {
            let answer = self
                .model
                .check_in(&self.policy, TenantIndex(0), record, self.now);
            assert_eq!(answer, Answer::Accepted);
        }
    }

    fn check_in(&mut self, input: &mut Input<'_>) {
        let mut bytes: CheckInBytes = [0; CHECK_IN_BYTES];
        let (tenant, device) = (TenantIndex((input.u8() % 2).into()), input.u8() % 4);
        bytes[15] = device + 1;
        bytes[16..24].copy_from_slice(&input.u64().to_le_bytes());
        bytes[40..48].copy_from_slice(&input.array::<8>());
        let Ok(record) = CheckInRecord::validate(&bytes) else {
            return;
        };
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        let outcome = self.shard.apply_check_ins(tenant, &[record], &mut effects);
        self.commit(effects);
        let answer = self.model.check_in(&self.policy, tenant, &record, self.now);
        assert_eq!(one(outcome), answer);
    }

    fn inventory(&mut self, input: &mut Input<'_>) {
        let (tenant, device) = (TenantIndex((input.u8() % 2).into()), input.u8() % 4);
        let mut id = [0; 16];
        id[15] = device + 1;
        let (revision, owner, tags) = (input.u32(), input.u8(), input.u8());
        let names = ["berlin", "kiosk", "pilot"];
        let inventory = Inventory {
            device_id: DeviceId::from_bytes(id),
            os_version: 0,
            revision,
            owner: Owner::from_code(owner).unwrap_or(Owner::Unknown),
            device_name: String::new(),
            os_name: String::new(),
            model: String::new(),
            manufacturer: String::new(),
            serial_number: String::new(),
            user_principal_name: String::new(),
            tags: (0..3)
                .filter(|bit| tags >> bit & 1 == 1)
                .map(|bit| names[bit].to_owned())
                .collect(),
        };
        let Ok(archive) = inventory.to_bytes() else {
            return;
        };
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        let outcome = self
            .shard
            .apply_inventory(tenant, &inventory, &archive, &mut effects);
        self.commit(effects);
        let answer = self
            .model
            .inventory(&self.policy, tenant, &inventory, self.now);
        assert_eq!(one(outcome), answer);
    }

    /// Time passes, and the shard looks at everybody.
    fn time(&mut self, minutes: u32) {
        let millis = self.now.as_millis() + u64::from(minutes) * 60_000;
        self.now = Timestamp::from_millis(millis);
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        self.shard
            .apply_time(SlotIndex(0), self.shard.slots(), &mut effects);
        self.commit(effects);
    }

    fn rules(&mut self, input: &mut Input<'_>) {
        let mut tenants = vec![TenantPolicy::default(); 2];
        for tenant in &mut tenants {
            let bits = input.u8();
            tenant.secure_by_default = bits & 1 == 1;
            tenant.auto_create_devices = bits & 2 == 0;
            for &platform in Platform::ALL {
                let bits = input.u8();
                if let Some(threshold) = Threshold::from_index(u32::from(bits & 7)) {
                    tenant.set_threshold(platform, threshold);
                }
                tenant.set_blocked_on_missing(platform, bits & 8 != 0);
            }
        }
        self.judge_by(tenants);
    }

    fn judge_by(&mut self, tenants: Vec<TenantPolicy>) {
        let revision = Revision(self.policy.revision().0 + 1);
        self.policy = Arc::new(PolicySet::new(revision, tenants));
        self.disk
            .policies
            .insert(revision.0, Arc::clone(&self.policy));
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        self.shard
            .apply_policy(Arc::clone(&self.policy), &mut effects);
        self.commit(effects);
    }

    /// Everything the sealed batch asks for, at once: a checkpoint begins with it, or some pages of one go along.
    /// Pages are kept also where nothing happened, as the store keeps them: the shard counts them as written.
    fn commit(&mut self, mut effects: Effects) {
        let sequence = self.shard.seal(&mut effects);
        let disk = &mut self.disk;
        let mut is_complete = false;
        if self.pages_max > 0 {
            if self.shard.checkpoint_begin() {
                disk.begun = sequence;
            } else {
                let progress = self.shard.checkpoint_step(self.pages_max, &mut effects);
                is_complete = progress == CheckpointProgress::Complete;
            }
        }
        disk.cells
            .extend(effects.cells.iter().map(|(_, bytes)| bytes.clone()));
        disk.cohorts
            .extend(effects.cohorts.iter().map(|(_, bytes)| bytes.clone()));
        if !effects.journal_value().is_empty() {
            disk.journal
                .insert(sequence, effects.journal_value().to_vec());
        }
        let pages = effects.pages.iter();
        disk.pages
            .extend(pages.map(|page| (page.page, page.bytes.clone())));
        if is_complete {
            disk.cursor = disk.begun;
            disk.journal = disk.journal.split_off(&disk.cursor.next());
        }
        self.effects = effects;
    }

    fn crash(&mut self) {
        let policies = &self.disk.policies;
        let mut policy_set = |revision: Revision| policies.get(&revision.0).cloned();
        let mut recovery = Recovery::new(ShardId(0), LIMITS, 2);
        for (id, bytes) in (1..).map(CohortId).zip(&self.disk.cohorts) {
            recovery
                .cohort(id, bytes)
                .expect("a cohort that was written");
        }
        for (id, bytes) in (0..).map(CellId).zip(&self.disk.cells) {
            recovery.cell(id, bytes).expect("a cell that was written");
        }
        for (number, bytes) in &self.disk.pages {
            recovery
                .page(*number, bytes)
                .expect("a page that was written");
        }
        recovery.cursor(self.disk.cursor);
        for (sequence, bytes) in &self.disk.journal {
            recovery
                .replay(*sequence, bytes, &mut policy_set)
                .expect("a value that was written");
        }
        let recovered = recovery
            .finish(&mut policy_set)
            .expect("nothing is missing");
        assert_eq!(cells(&recovered), cells(&self.shard));
        assert!(recovered.iter().eq(self.shard.iter()), "a device differs");
        assert_eq!(recovered.sequence(), self.shard.sequence());
        let is_known = recovered.revision() == self.shard.revision();
        assert!(is_known || self.disk.journal.is_empty());
        assert!(recovered.revision() <= self.shard.revision());
        self.shard = recovered;
        if !is_known {
            // Rules that moved no device, and a checkpoint has covered them: a start puts them in force again.
            let mut effects = std::mem::take(&mut self.effects);
            self.shard.begin(self.now, &mut effects);
            self.shard
                .apply_policy(Arc::clone(&self.policy), &mut effects);
            self.commit(effects);
        }
    }

    fn check(&self) {
        let counted = cells(&self.shard);
        assert_eq!(counted, self.model.cells(&self.policy, self.now));
        assert_eq!(
            counted.values().sum::<u64>(),
            u64::from(self.shard.devices())
        );
        let policies = &self.disk.policies;
        let mut policy_set = |revision: Revision| policies.get(&revision.0).cloned();
        let mut reader = ModelDisk::default();
        let written = "what was written can be read";
        self.disk
            .cohorts
            .iter()
            .for_each(|bytes| reader.cohort(bytes).expect(written));
        self.disk
            .cells
            .iter()
            .for_each(|bytes| reader.cell(bytes).expect(written));
        for (number, bytes) in &self.disk.pages {
            reader.page(*number, bytes).expect(written);
        }
        for (sequence, bytes) in &self.disk.journal {
            reader
                .journal(*sequence, bytes, &mut policy_set)
                .expect(written);
        }
        assert_eq!(reader.cells(), counted);
    }
}

/// The answer to one record.
fn one(outcome: Outcome) -> Answer {
    assert_eq!(outcome.total(), 1);
    match outcome {
        Outcome { accepted: 1, .. } => Answer::Accepted,
        Outcome { duplicate: 1, .. } => Answer::Duplicate,
        Outcome { stale: 1, .. } => Answer::Stale,
        _ => Answer::UnknownDevice,
    }
}

/// Cells with devices in them, cohorts spelt out.
pub(crate) fn cells(shard: &Shard) -> BTreeMap<ModelCell, u64> {
    let mut cells = BTreeMap::new();
    for (key, count) in shard.cells().filter(|(_, count)| *count > 0) {
        let cohort = shard
            .cohort(key.cohort)
            .cloned()
            .expect("a cell has a cohort");
        let facets = Facets::from_word(key.facets).expect("a cell has facets");
        *cells.entry((key.tenant, cohort, facets)).or_default() += u64::from(count);
    }
    cells
}
