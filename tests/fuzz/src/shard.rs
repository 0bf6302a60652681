//! Target for the state machine: events that authenticated clients and operators cause, in any order, with any values.
//!
//! Properties: the engine's answers and counts match the slow model's; after a crash at any point recovery rebuilds the
//! same devices and counts from the pages of a checkpoint and the journal after it; and the model's disk reader, which
//! shares only the codecs with the engine, reads the same counts from the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::model::{Answer, Model, ModelCell, ModelDisk};
use muster_engine::{
    CheckpointProgress, Connector, DeviceRules, Effects, Facets, Outcome, PAGE_RECORDS, PageNumber,
    PlatformRules, PolicySet, Recovery, Revision, Sequence, Shard, ShardId, ShardLimits,
    TenantIndex, TenantPolicy, Threshold, Timestamp,
};
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{
    CheckInBytes, CheckInRecord, DeviceId, Inventory, Owner, Platform, RejectReason, Rejection,
};

use crate::Input;
use crate::seed_inputs::check_in_of;

/// Events of one input that are applied; bounds the time of a long input.
const EVENTS_MAX: usize = 256;

const LIMITS: ShardLimits = ShardLimits { devices_max: 1000 };

/// Devices at the beginning: of the devices that events create, two are on the first page and the others on the
/// second, so that a crash can hit a checkpoint between its pages.
const INITIAL_DEVICES: u8 = PAGE_RECORDS as u8 - 2;

/// Applies a list of events: check-ins, inventories, actions on devices, time, policy changes, crashes. The high bits of
/// an event choose how many pages of a checkpoint its commit writes.
pub fn shard(data: &[u8]) {
    let mut input = Input(data);
    let mut harness = Harness::new();
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let event = input.u8();
        harness.pages_max = usize::from(event / 8 % 3);
        match event % 8 {
            0..=2 => harness.check_in(&mut input),
            3 => harness.act(&mut input),
            4 => harness.inventory(&mut input),
            5 => harness.advance_time(u32::from(input.u16())),
            6 => harness.change_policy(&mut input),
            _ => harness.crash(),
        }
    }
    harness.advance_time(0);
    harness.check();
    harness.crash();
    harness.check();
}

/// The engine with its disk, and the model, to which the same events are applied.
struct Harness {
    shard: Shard,
    disk: Disk,
    model: Model,
    policy: Arc<PolicySet>,
    now: Timestamp,
    effects: Effects,
    /// How many pages of a checkpoint the next commit writes; at 0 no checkpoint begins either.
    pages_max: usize,
}

/// What the store has of the shard.
#[derive(Default)]
struct Disk {
    pages: BTreeMap<PageNumber, Vec<u8>>,
    /// Journal values by sequence, after the last complete checkpoint.
    journal: BTreeMap<Sequence, Vec<u8>>,
    /// The last sequence that a complete checkpoint covers.
    cursor: Sequence,
    context: Vec<u8>,
    /// What the current checkpoint covers: the last sequence, and the context then.
    begun: (Sequence, Vec<u8>),
    policies: BTreeMap<u32, Arc<PolicySet>>,
}

impl Harness {
    fn new() -> Self {
        let mut harness = Self {
            shard: Shard::new(ShardId(0), LIMITS, 1),
            disk: Disk::default(),
            model: Model::default(),
            policy: Arc::default(),
            now: Timestamp::from_seconds(1_800_000_000),
            effects: Effects::default(),
            pages_max: 0,
        };
        harness.advance_time(0);
        harness.apply_policy(vec![TenantPolicy::with_threshold(Threshold::Medium); 2]);
        harness.add_initial_devices();
        harness
    }

    fn add_initial_devices(&mut self) {
        let record = |number: u8| {
            let mut id = [0; 16];
            (id[14], id[15]) = (1, number);
            check_in_of(DeviceId::from_bytes(id), 1)
        };
        let records: Vec<_> = (0..INITIAL_DEVICES).map(record).collect();
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        let outcome = self
            .shard
            .apply_check_ins(TenantIndex(0), &records, &mut effects);
        self.commit(effects);
        assert_eq!(outcome.accepted, u32::from(INITIAL_DEVICES));
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
        let reason = effects.rejections.first().and_then(Rejection::reason);
        self.commit(effects);
        let answer = self.model.check_in(&self.policy, tenant, &record, self.now);
        assert_eq!(to_answer(outcome, reason), answer);
    }

    /// Applies an inventory.
    fn inventory(&mut self, input: &mut Input<'_>) {
        let (tenant, device) = (TenantIndex((input.u8() % 2).into()), input.u8() % 4);
        let mut id = [0; 16];
        id[15] = device + 1;
        let (revision, owner, tags) = (input.u32(), input.u8(), input.u8());
        let names = ["berlin", "kiosk", "pilot"];
        let inventory = Inventory {
            device_id: DeviceId::from_bytes(id),
            os_version: u64::from(tags >> 4),
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
        let reason = effects.rejections.first().and_then(Rejection::reason);
        self.commit(effects);
        let answer = self
            .model
            .inventory(&self.policy, tenant, &inventory, self.now);
        assert_eq!(to_answer(outcome, reason), answer);
    }

    /// An operator resets the numbers of a device, removes it, or restores it.
    fn act(&mut self, input: &mut Input<'_>) {
        let (tenant, byte) = (TenantIndex((input.u8() % 2).into()), input.u8());
        let mut id = [0; 16];
        id[15] = byte % 4 + 1;
        let device_id = DeviceId::from_bytes(id);
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        let (shard, model) = (&mut self.shard, &mut self.model);
        match byte / 4 % 4 {
            0 | 1 => {
                let reset = shard.reset_sequence(tenant, &device_id, &mut effects);
                let is_known = model.reset_sequence(tenant, device_id, self.now);
                assert_eq!(reset.is_some(), is_known);
            }
            2 => {
                shard.remove_device(tenant, &device_id, &mut effects);
                model.remove(tenant, device_id, false, self.now);
            }
            _ => {
                shard.restore_device(tenant, &device_id, &mut effects);
                model.remove(tenant, device_id, true, self.now);
            }
        }
        self.commit(effects);
    }

    /// Advances the time.
    fn advance_time(&mut self, minutes: u32) {
        let millis = self.now.as_millis() + u64::from(minutes) * 60_000;
        self.now = Timestamp::from_millis(millis);
        self.model.time(&self.policy, self.now);
        let mut effects = std::mem::take(&mut self.effects);
        self.shard.begin(self.now, &mut effects);
        self.shard.tick(u32::MAX, &mut effects);
        self.commit(effects);
    }

    fn change_policy(&mut self, input: &mut Input<'_>) {
        let mut tenants = vec![TenantPolicy::default(); 2];
        for tenant in &mut tenants {
            let bits = input.u8();
            tenant.secure_by_default = bits & 1 == 1;
            tenant.auto_create_devices = bits & 2 == 0;
            if bits & 4 != 0 {
                tenant.validity_seconds = 24 * 3600;
            }
            for &platform in Platform::ALL {
                let (bits, device) = (u32::from(input.u8()), input.u8());
                let of_platform = PlatformRules {
                    policy_assigned: bits & 0x10 == 0,
                    threshold: Threshold::from_index(bits & 7).unwrap_or_default(),
                    // Bits that are not set give an enabled connector, so that levels decide for most inputs.
                    connector: Connector::from_index(bits >> 5 & 3 ^ 2)
                        .unwrap_or(Connector::Enabled),
                    blocked_on_missing: bits & 8 != 0,
                    device: DeviceRules {
                        os_minimum: u64::from(device & 7),
                        os_maximum: match device >> 3 & 7 {
                            0 => u64::MAX,
                            version => version.into(),
                        },
                        blocks_jailbroken: device & 0x40 != 0,
                        requires_encryption: device & 0x80 != 0,
                    },
                };
                tenant.change_platform(platform, |rules| *rules = of_platform);
            }
        }
        self.apply_policy(tenants);
    }

    fn apply_policy(&mut self, tenants: Vec<TenantPolicy>) {
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

    /// Writes the effects of a batch to the disk. The commit also begins a checkpoint or writes some of its pages. As
    /// in the store, pages are written even if the batch has no journal value, since the shard counts them as written.
    fn commit(&mut self, mut effects: Effects) {
        let sequence = self.shard.seal(&mut effects);
        let disk = &mut self.disk;
        let mut is_complete = false;
        if self.pages_max > 0 {
            if self.shard.checkpoint_begin() {
                disk.begun = (sequence, self.shard.checkpoint_context());
            } else {
                let progress = self.shard.checkpoint_step(self.pages_max, &mut effects);
                is_complete = progress == CheckpointProgress::Complete;
            }
        }
        if !effects.journal_value().is_empty() {
            disk.journal
                .insert(sequence, effects.journal_value().to_vec());
        }
        let pages = effects.pages.iter();
        disk.pages
            .extend(pages.map(|page| (page.page, page.bytes.clone())));
        if is_complete {
            (disk.cursor, disk.context) = disk.begun.clone();
            disk.journal = disk.journal.split_off(&disk.cursor.next());
        }
        self.effects = effects;
    }

    fn crash(&mut self) {
        let policies = &self.disk.policies;
        let mut policy_set = |revision: Revision| policies.get(&revision.0).cloned();
        let mut recovery = Recovery::new(ShardId(0), LIMITS, 2);
        for (number, bytes) in &self.disk.pages {
            recovery
                .page(*number, bytes)
                .expect("recovery reads what was written");
        }
        if !self.disk.context.is_empty() {
            recovery
                .checkpoint(self.disk.cursor, &self.disk.context, &mut policy_set)
                .expect("recovery reads what was written");
        }
        for (sequence, bytes) in &self.disk.journal {
            recovery
                .replay(*sequence, bytes, &mut policy_set)
                .expect("recovery reads what was written");
        }
        let recovered = recovery.finish().expect("recovery needs nothing else");
        assert_eq!(cells(&recovered), cells(&self.shard));
        assert!(
            recovered.iter().eq(self.shard.iter()),
            "recovery rebuilds every device"
        );
        assert_eq!(recovered.sequence(), self.shard.sequence());
        assert_eq!(recovered.revision(), self.shard.revision());
        self.shard = recovered;
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
        let mut model_disk = ModelDisk::default();
        const READS: &str = "the model reads what was written";
        for (number, bytes) in &self.disk.pages {
            model_disk.page(*number, bytes).expect(READS);
        }
        if !self.disk.context.is_empty() {
            model_disk
                .checkpoint(self.disk.cursor, &self.disk.context)
                .expect(READS);
        }
        for (sequence, bytes) in &self.disk.journal {
            model_disk
                .journal(*sequence, bytes, &mut policy_set)
                .expect(READS);
        }
        model_disk.evaluate(&mut policy_set).expect(READS);
        assert_eq!(model_disk.cells(), counted);
    }
}

/// The answer to the one record of a batch.
fn to_answer(outcome: Outcome, reason: Option<RejectReason>) -> Answer {
    assert_eq!(outcome.total(), 1);
    match outcome {
        Outcome { accepted: 1, .. } => Answer::Accepted,
        Outcome { duplicate: 1, .. } => Answer::Duplicate,
        Outcome { stale: 1, .. } => Answer::Stale,
        _ => match reason {
            Some(RejectReason::SeqAhead) => Answer::SeqAhead,
            Some(RejectReason::DeviceRemoved) => Answer::DeviceRemoved,
            _ => Answer::UnknownDevice,
        },
    }
}

/// The counts of all cells.
pub(crate) fn cells(shard: &Shard) -> BTreeMap<ModelCell, u64> {
    let cells = shard.cells().map(|(key, count)| {
        let facets = Facets::from_word(key.facets).expect("a cell has facets");
        ((key.tenant, facets), u64::from(count))
    });
    cells.collect()
}
