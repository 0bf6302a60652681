//! Target for a disk that says anything: tables, pages and journal values that pass their checksums and
//! contradict each other.
//!
//! What must hold: the disk is refused, or the shard that comes back is consistent in itself (every device in
//! one cell, counts equal a recount of its devices) and works. The slow reader of a disk may refuse what the
//! engine takes; it must not panic either.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::model::ModelDisk;
use muster_engine::page::{self, PAGE_BYTES};
use muster_engine::{
    CellId, CohortId, Effects, PageNumber, PolicySet, Recovery, RecoveryError, Revision, Sequence,
    Shard, ShardId, ShardLimits, SlotIndex, TenantPolicy, Timestamp,
};

use crate::Input;

const LIMITS: ShardLimits = ShardLimits {
    devices_max: 10_000,
    cells_max: 100,
    cohorts_max: 10,
};

/// A list of stored values: a byte for the kind, one for the length, the value.
pub fn recovery(data: &[u8]) {
    let disk = Disk::read(Input(data));
    let mut reader = ModelDisk::default();
    // Nobody says what a slow reader makes of such a disk, only that it survives it.
    let _ = disk.told_to_model(&mut reader);
    reader.cells();
    match disk.recovered() {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(mut shard) => {
            check(&shard);
            works(&mut shard);
            check(&shard);
        }
    }
}

#[derive(Default)]
struct Disk {
    cohorts: Vec<Vec<u8>>,
    cells: Vec<Vec<u8>>,
    pages: BTreeMap<PageNumber, Vec<u8>>,
    cursor: Sequence,
    journal: Vec<Vec<u8>>,
}

impl Disk {
    fn read(mut input: Input<'_>) -> Self {
        let mut disk = Self::default();
        while !input.is_empty() {
            let kind = input.u8() % 5;
            let length = usize::from(input.u8());
            match kind {
                0 => disk.cohorts.push(input.take(length).to_vec()),
                1 => disk.cells.push(input.take(length).to_vec()),
                2 => {
                    // The number of a page is the key's; below 256, or a test would need the memory.
                    let number = u32::from(input.u8());
                    let mut bytes = input.take(length).to_vec();
                    bytes.resize(PAGE_BYTES, 0);
                    disk.pages.insert(PageNumber(number), bytes);
                }
                3 => disk.cursor = Sequence(input.u64()),
                _ => disk.journal.push(input.take(length * 4).to_vec()),
            }
        }
        disk
    }

    fn recovered(&self) -> Result<Shard, RecoveryError> {
        let mut recovery = Recovery::new(ShardId(0), LIMITS, 1);
        for (id, bytes) in (1..).map(CohortId).zip(&self.cohorts) {
            recovery.cohort(id, bytes)?;
        }
        for (id, bytes) in (0..).map(CellId).zip(&self.cells) {
            recovery.cell(id, bytes)?;
        }
        for (number, bytes) in &self.pages {
            recovery.page(*number, bytes)?;
        }
        recovery.cursor(self.cursor);
        for (index, bytes) in (1..).zip(&self.journal) {
            recovery.replay(
                Sequence(self.cursor.0.wrapping_add(index)),
                bytes,
                &mut policy_set,
            )?;
        }
        recovery.finish(&mut policy_set)
    }

    fn told_to_model(&self, reader: &mut ModelDisk) -> Result<(), muster_engine::model::DiskError> {
        self.cohorts
            .iter()
            .try_for_each(|bytes| reader.cohort(bytes))?;
        self.cells.iter().try_for_each(|bytes| reader.cell(bytes))?;
        for (number, bytes) in &self.pages {
            reader.page(*number, bytes)?;
        }
        for (index, bytes) in (1..).zip(&self.journal) {
            reader.journal(
                Sequence(self.cursor.0.wrapping_add(index)),
                bytes,
                &mut policy_set,
            )?;
        }
        Ok(())
    }
}

/// Two tenants from revision 1 on; more than three revisions there are not.
fn policy_set(revision: Revision) -> Option<Arc<PolicySet>> {
    let tenants = match revision.0 {
        0 => 0,
        1..=3 => 2,
        _ => return None,
    };
    let tenants = vec![TenantPolicy::default(); tenants];
    Some(Arc::new(PolicySet::new(revision, tenants)))
}

fn check(shard: &Shard) {
    let mut recounted = BTreeMap::<_, u32>::new();
    for (record, key) in shard.iter() {
        *recounted.entry(key).or_default() += 1;
        let found = shard.device(record.tenant, &record.device_id);
        assert_eq!(found, Some((record, key)), "every device is found");
        assert_eq!(key.tenant, record.tenant);
        assert!(shard.cohort(key.cohort).is_some());
    }
    let counted: BTreeMap<_, _> = shard.cells().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, recounted);
    assert_eq!(recounted.values().sum::<u32>(), shard.devices());
}

/// Rules change, time passes and a checkpoint runs: all that touches every device.
fn works(shard: &mut Shard) {
    let mut effects = Effects::default();
    let revision = Revision(shard.revision().0 + 1);
    let rules = PolicySet::new(revision, vec![TenantPolicy::default(); 2]);
    shard.begin(Timestamp::from_seconds(1_800_000_000), &mut effects);
    shard.apply_policy(Arc::new(rules), &mut effects);
    shard.seal(&mut effects);
    check(shard);
    shard.begin(Timestamp::from_seconds(1_900_000_000), &mut effects);
    shard.apply_time(SlotIndex(0), shard.slots(), &mut effects);
    shard.seal(&mut effects);
    shard.checkpoint_begin();
    shard.checkpoint_step(1000, &mut effects);
    for write in &effects.pages {
        assert!(
            page::decode(&write.bytes).is_some(),
            "what is written can be read"
        );
    }
}
