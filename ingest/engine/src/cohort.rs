//! Cohorts: devices that policies will treat alike, by what their inventory says of owner and tags.
//!
//! A cohort is interned per shard in the order of first use and never removed; cohort 0 holds the
//! devices without inventory. Bounded by `cohorts_max`: an inventory that needs one more is rejected.

use std::sync::Arc;

use foldhash::HashMap;
use muster_wire::Owner;

use crate::bytes::Reader;

/// Number of a cohort in its shard, dense from 0; 0 is the default cohort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CohortId(pub u32);

/// What the devices of a cohort share. Tags are sorted and without repeats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohort {
    owner: Owner,
    // Shared: operators are handed every cell, each with its cohort.
    tags: Arc<[String]>,
}

impl Default for Cohort {
    /// The devices without inventory: owner unknown, no tags.
    fn default() -> Self {
        Self {
            owner: Owner::Unknown,
            tags: Arc::default(),
        }
    }
}

impl Cohort {
    /// The cohort of an owner and a set of tags, in any order.
    pub fn new(owner: Owner, tags: impl IntoIterator<Item = String>) -> Self {
        let mut tags: Vec<String> = tags.into_iter().collect();
        tags.sort_unstable();
        tags.dedup();
        Self {
            owner,
            tags: tags.into(),
        }
    }

    /// Company or personal.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The tags, sorted.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The bytes the store keeps: owner u8, number of tags u8, then each tag as u16 length and text.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.owner.code(), self.tags.len() as u8];
        for tag in &*self.tags {
            bytes.extend((tag.len() as u16).to_le_bytes());
            bytes.extend(tag.as_bytes());
        }
        bytes
    }

    /// Reads [`Cohort::encode`]; `None` if the bytes are no cohort. Tags in another order, or twice, would be
    /// a second cohort of the same devices.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let owner = Owner::from_code(reader.u8()?)?;
        let count = reader.u8()?;
        let tags = (0..count)
            .map(|_| {
                let length = reader.u16()?;
                let text = reader.take(usize::from(length))?;
                String::from_utf8(text.to_vec()).ok()
            })
            .collect::<Option<Arc<[String]>>>()?;
        let in_form = tags.is_sorted_by(|one, next| one < next);
        (in_form && reader.is_empty()).then_some(Self { owner, tags })
    }
}

/// The cohorts of one shard.
#[derive(Debug)]
pub(crate) struct CohortTable {
    cohorts: Vec<Cohort>,
    ids: HashMap<Cohort, CohortId>,
    max: usize,
}

impl CohortTable {
    /// A table with the default cohort alone, that never grows beyond `max`.
    pub(crate) fn new(max: usize) -> Self {
        let default = Cohort::default();
        let mut ids = HashMap::default();
        ids.insert(default.clone(), CohortId(0));
        Self {
            cohorts: vec![default],
            ids,
            max,
        }
    }

    /// Changes the bound. Cohorts beyond it stay; new ones are refused.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// The id that a cohort has, or would be given; `None` if it is new and the table is full. Changes
    /// nothing: whoever asks may still reject the record that needs it.
    pub(crate) fn id_of(&self, cohort: &Cohort) -> Option<CohortId> {
        let known = self.ids.get(cohort).copied();
        known.or_else(|| {
            (self.cohorts.len() < self.max).then_some(CohortId(self.cohorts.len() as u32))
        })
    }

    /// The id of a cohort, and whether it is new; `None` if the table is full.
    pub(crate) fn intern(&mut self, cohort: Cohort) -> Option<(CohortId, bool)> {
        let id = self.id_of(&cohort)?;
        let new = self.get(id).is_none();
        if new {
            self.cohorts.push(cohort.clone());
            self.ids.insert(cohort, id);
        }
        Some((id, new))
    }

    /// The cohort with this id.
    pub(crate) fn get(&self, id: CohortId) -> Option<&Cohort> {
        self.cohorts.get(id.0 as usize)
    }

    /// Number of cohorts, the default one included.
    pub(crate) fn len(&self) -> usize {
        self.cohorts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repeats_of_tags_do_not_matter() {
        let tags = |list: &[&str]| list.iter().map(|t| t.to_string()).collect::<Vec<_>>();
        let one = Cohort::new(Owner::Company, tags(&["b", "a", "b"]));
        assert_eq!(one, Cohort::new(Owner::Company, tags(&["a", "b"])));
        assert_eq!(Cohort::decode(&one.encode()), Some(one.clone()));
        let mut table = CohortTable::new(2);
        assert_eq!(table.intern(Cohort::default()), Some((CohortId(0), false)));
        assert_eq!(table.id_of(&one), Some(CohortId(1)));
        assert_eq!(table.len(), 1, "asking adds nothing");
        assert_eq!(table.intern(one.clone()), Some((CohortId(1), true)));
        assert_eq!(table.id_of(&one), Some(CohortId(1)));
        assert_eq!(table.id_of(&Cohort::new(Owner::Personal, [])), None);
        assert_eq!(table.intern(one), Some((CohortId(1), false)));
        assert_eq!(table.intern(Cohort::new(Owner::Personal, [])), None);
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = Cohort::new(Owner::Company, ["tag".to_owned()]).encode();
        for length in 0..bytes.len() {
            assert_eq!(Cohort::decode(&bytes[..length]), None);
        }
        for tags in [["b", "a"], ["a", "a"]] {
            let tags = tags.map(str::to_owned).to_vec();
            let owner = Owner::Company;
            assert_eq!(
                Cohort::decode(
                    &Cohort {
                        owner,
                        tags: tags.into()
                    }
                    .encode()
                ),
                None
            );
        }
    }
}
