//! Target for recovery from arbitrary pages and journal values, which have valid checksums but may contradict
//! each other.
//!
//! Properties: recovery refuses the disk, or the recovered shard is consistent (every device in one cell, counters
//! match a recount) and works. The model's disk reader may refuse what the engine accepts, but must not panic
//! either.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::model::{DiskError, ModelDisk};
use muster_engine::page::{self, PAGE_BYTES};
use muster_engine::{
    CellKey, Effects, PageNumber, PolicySet, Recovery, RecoveryError, Revision, Sequence, Shard,
    ShardId, ShardLimits, TenantPolicy, Threshold, Timestamp,
};

use crate::Input;

const LIMITS: ShardLimits = ShardLimits {
    devices_max: 10_000,
};

/// Recovers from a list of stored values, each of which is a byte for the kind, one for the length, and the value.
pub fn recovery(data: &[u8]) {
    let disk = Disk::parse(Input(data));
    let mut model_disk = ModelDisk::default();
    // The model may refuse the disk; the target checks only that it does not panic.
    let _ = disk.read_by_model(&mut model_disk);
    model_disk.cells();
    match disk.recover() {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(mut shard) => {
            check(&shard);
            touch_every_device(&mut shard);
            check(&shard);
        }
    }
}

#[derive(Default)]
struct Disk {
    pages: BTreeMap<PageNumber, Vec<u8>>,
    cursor: Sequence,
    context: Vec<u8>,
    journal: Vec<Vec<u8>>,
}

impl Disk {
    fn parse(mut input: Input<'_>) -> Self {
        let mut disk = Self::default();
        while !input.is_empty() {
            let kind = input.u8() % 4;
            let length = usize::from(input.u8());
            match kind {
                0 => {
                    // Page numbers below 256 bound the memory of the shard.
                    let number = u32::from(input.u8());
                    let mut bytes = input.take(length).to_vec();
                    bytes.resize(PAGE_BYTES, 0);
                    disk.pages.insert(PageNumber(number), bytes);
                }
                1 => disk.cursor = Sequence(input.u64()),
                2 => disk.context = input.take(length).to_vec(),
                _ => disk.journal.push(input.take(length * 4).to_vec()),
            }
        }
        disk
    }

    fn recover(&self) -> Result<Shard, RecoveryError> {
        let mut recovery = Recovery::new(ShardId(0), LIMITS, 1);
        for (number, bytes) in &self.pages {
            recovery.page(*number, bytes)?;
        }
        if !self.context.is_empty() {
            recovery.checkpoint(self.cursor, &self.context, &mut policy_set)?;
        }
        for (index, bytes) in (1..).zip(&self.journal) {
            recovery.replay(
                Sequence(self.cursor.0.wrapping_add(index)),
                bytes,
                &mut policy_set,
            )?;
        }
        recovery.finish()
    }

    fn read_by_model(&self, model: &mut ModelDisk) -> Result<(), DiskError> {
        for (number, bytes) in &self.pages {
            model.page(*number, bytes)?;
        }
        if !self.context.is_empty() {
            model.checkpoint(self.cursor, &self.context)?;
        }
        for (index, bytes) in (1..).zip(&self.journal) {
            let sequence = Sequence(self.cursor.0.wrapping_add(index));
            model.journal(sequence, bytes, &mut policy_set)?;
        }
        model.evaluate(&mut policy_set)
    }
}

/// The policy sets of the test: no tenant in revision 0, two in revisions 1 to 3, no later revision.
fn policy_set(revision: Revision) -> Option<Arc<PolicySet>> {
    let tenants = match revision.0 {
        0 => 0,
        1..=3 => 2,
        _ => return None,
    };
    let tenants = vec![TenantPolicy::with_threshold(Threshold::Medium); tenants];
    Some(Arc::new(PolicySet::new(revision, tenants)))
}

fn check(shard: &Shard) {
    let mut recounted = BTreeMap::<_, u32>::new();
    for (record, cold) in shard.iter() {
        let cell = CellKey {
            tenant: record.tenant,
            facets: record.facets,
        };
        *recounted.entry(cell).or_default() += 1;
        let found = shard.device(record.tenant, &record.device_id);
        assert_eq!(found, Some((record, cold)), "the index finds every device");
    }
    let counted: BTreeMap<_, _> = shard.cells().collect();
    assert_eq!(counted, recounted);
    assert_eq!(recounted.values().sum::<u32>(), shard.devices());
}

/// Applies the events that touch every device: a policy change, time, a checkpoint.
fn touch_every_device(shard: &mut Shard) {
    let mut effects = Effects::default();
    let revision = Revision(shard.revision().0 + 1);
    let policy = PolicySet::new(
        revision,
        vec![TenantPolicy::with_threshold(Threshold::Medium); 2],
    );
    shard.begin(Timestamp::from_seconds(1_800_000_000), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    // A pass may be in progress.
    shard.policy_step(u32::MAX, &mut effects);
    shard.apply_policy(Arc::new(policy), &mut effects);
    shard.seal(&mut effects);
    check(shard);
    shard.begin(Timestamp::from_seconds(1_900_000_000), &mut effects);
    shard.tick(u32::MAX, &mut effects);
    shard.seal(&mut effects);
    shard.checkpoint_begin();
    shard.checkpoint_step(1000, &mut effects);
    for write in &effects.pages {
        assert!(
            page::decode(&write.bytes).is_some(),
            "a written page can be decoded"
        );
    }
}
