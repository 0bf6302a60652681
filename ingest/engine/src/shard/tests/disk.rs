//! The durable state of one shard in memory: enough to crash and recover at any commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::cell::CellKey;
use crate::effects::Transition;
use crate::facet::FacetWord;
use crate::model::{ModelCell, ModelDisk};
use crate::shard::recovery::Recovery;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pages: BTreeMap<PageNumber, Vec<u8>>,
    journal: BTreeMap<Sequence, Vec<u8>>,
    cursor: Sequence,
    /// The context of the last completed checkpoint.
    context: Vec<u8>,
    begun: (Sequence, Vec<u8>),
    policies: BTreeMap<Revision, Arc<PolicySet>>,
    /// The devices that are counted, by the transitions of all commits.
    counted: BTreeMap<SlotIndex, (DeviceId, CellKey)>,
}

impl Disk {
    /// The disk of a shard that has no devices yet: it has its policy sets and its context.
    pub(super) fn of(shard: &Shard) -> Self {
        let mut disk = Self {
            context: shard.checkpoint_context(),
            cursor: shard.sequence(),
            ..Self::default()
        };
        disk.add_policy(shard.policy());
        disk
    }

    pub(super) fn add_policy(&mut self, policy: &Arc<PolicySet>) {
        self.policies.insert(policy.revision(), Arc::clone(policy));
    }

    /// Commits all effects of a sealed batch atomically.
    pub(super) fn commit(&mut self, sequence: Sequence, effects: &Effects) {
        for write in &effects.pages {
            self.pages.insert(write.page, write.bytes.clone());
        }
        if !effects.journal_value().is_empty() {
            self.journal
                .insert(sequence, effects.journal_value().to_vec());
        }
        for transition in &effects.transitions {
            let Transition {
                tenant, device_id, ..
            } = *transition;
            let of = |facets| (device_id, CellKey { tenant, facets });
            let before = match transition.after {
                Some(after) => self.counted.insert(transition.slot, of(after)),
                None => self.counted.remove(&transition.slot),
            };
            assert_eq!(before, transition.before.map(of), "{transition:?}");
        }
    }

    /// Whether the transitions of all commits lead to the devices that a shard counts.
    pub(super) fn counts_what_is_in(&self, shard: &Shard) -> bool {
        let counted = self.counted.iter().map(|(slot, (_, cell))| (*slot, *cell));
        counted.eq(shard.counted())
    }

    pub(super) fn checkpoint_begins(&mut self, shard: &Shard) {
        self.begun = (shard.sequence(), shard.checkpoint_context());
    }

    /// Completes the checkpoint: trims the journal up to its begin.
    pub(super) fn checkpoint_is_complete(&mut self) {
        (self.cursor, self.context) = self.begun.clone();
        self.journal = self.journal.split_off(&self.cursor.next());
    }

    /// Replaces the facets in a device's record on a page.
    pub(super) fn set_facets(&mut self, page: PageNumber, device: &DeviceId, facets: FacetWord) {
        let bytes = &self.pages[&page];
        let mut decoded = crate::page::decode(bytes).unwrap();
        let mut records = decoded.records.iter_mut();
        let record = records.find(|record| record.device_id == *device);
        record.unwrap().facets = facets;
        let bytes = crate::page::encode(decoded.sequence, &decoded.records, &decoded.cold);
        self.pages.insert(page, bytes);
    }

    pub(super) fn lose_journal_tail(&mut self) {
        self.journal.pop_last();
    }

    /// The cells on this disk, counted by the model's rules.
    pub(super) fn recount(&self) -> BTreeMap<ModelCell, u64> {
        let mut model = ModelDisk::default();
        let mut policy_set = |revision: Revision| self.policies.get(&revision).cloned();
        self.pages
            .iter()
            .for_each(|(page, bytes)| model.page(*page, bytes).unwrap());
        if !self.context.is_empty() {
            model.checkpoint(self.cursor, &self.context).unwrap();
        }
        for (sequence, bytes) in &self.journal {
            model.journal(*sequence, bytes, &mut policy_set).unwrap();
        }
        model.evaluate(&mut policy_set).unwrap();
        model.cells()
    }

    pub(super) fn recover(
        &self,
        shard: ShardId,
        limits: ShardLimits,
        seed: u64,
    ) -> Result<Shard, RecoveryError> {
        let mut recovery = Recovery::new(shard, limits, seed);
        let mut policy_set = |revision: Revision| self.policies.get(&revision).cloned();
        for (page, bytes) in &self.pages {
            recovery.page(*page, bytes)?;
        }
        if !self.context.is_empty() {
            recovery.checkpoint(self.cursor, &self.context, &mut policy_set)?;
        }
        for (sequence, bytes) in &self.journal {
            recovery.replay(*sequence, bytes, &mut policy_set)?;
        }
        recovery.finish()
    }
}
