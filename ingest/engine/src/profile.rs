//! Profiles: the sets of targets that hold for devices (design D23).
//!
//! A target is what policies are assigned to, such as a group. What follows from a set of targets is the policy set's,
//! so a changed policy renumbers nobody. Each set has a number in its shard, which the record of a device has; 0 is the
//! empty set. The journal defines a number before its first use, a checkpoint record has those in use. A number without
//! devices is given again: pages that still have it are older than the event that took it from their device.
//!
//! Owned by the shard. Never full: a shard has no more profiles than devices that are in a group, whose number the
//! control plane bounds for each tenant.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::bytes::Reader;
use crate::ids::{ProfileId, TargetId, TenantIndex};

/// The sets of one shard.
#[derive(Debug)]
pub(crate) struct Profiles {
    /// By number, from 1.
    sets: Vec<Option<Profile>>,
    numbers: HashMap<(TenantIndex, Box<[TargetId]>), ProfileId, FixedState>,
    /// Numbers that are not in use.
    free: Vec<ProfileId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) tenant: TenantIndex,
    /// Ascending, not empty.
    pub(crate) targets: Box<[TargetId]>,
    devices: u32,
}

impl Profiles {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            sets: Vec::new(),
            numbers: HashMap::with_hasher(FixedState::with_seed(seed)),
            free: Vec::new(),
        }
    }

    /// The set with a number; `None` for 0 and for a number that is not in use.
    pub(crate) fn get(&self, profile: ProfileId) -> Option<&Profile> {
        let index = (profile.0 as usize).checked_sub(1)?;
        self.sets.get(index)?.as_ref()
    }

    /// Every number in use, with its set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProfileId, &Profile)> {
        let numbered = self.sets.iter().zip(1..);
        numbered.filter_map(|(set, number)| Some((ProfileId(number), set.as_ref()?)))
    }

    /// Number of sets in use.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a set of ascending targets, and whether it is new: then it has to be defined in the journal.
    pub(crate) fn number(
        &mut self,
        tenant: TenantIndex,
        targets: &[TargetId],
    ) -> (ProfileId, bool) {
        if targets.is_empty() {
            return (ProfileId::default(), false);
        }
        let key = (tenant, targets.into());
        if let Some(profile) = self.numbers.get(&key) {
            return (*profile, false);
        }
        let next = ProfileId(self.sets.len() as u32 + 1);
        let profile = self.free.pop().unwrap_or(next);
        self.define(profile, tenant, targets);
        (profile, true)
    }

    /// Gives a number a set. Replaces the set that it had.
    pub(crate) fn define(&mut self, profile: ProfileId, tenant: TenantIndex, targets: &[TargetId]) {
        let index = profile.0 as usize - 1;
        if self.sets.len() <= index {
            self.sets.resize(index + 1, None);
        }
        if let Some(before) = self.sets[index].take() {
            self.numbers.remove(&(before.tenant, before.targets));
        }
        self.numbers.insert((tenant, targets.into()), profile);
        self.sets[index] = Some(Profile {
            tenant,
            targets: targets.into(),
            devices: 0,
        });
    }

    /// A device has this profile now.
    pub(crate) fn enter(&mut self, profile: ProfileId) {
        if let Some(index) = (profile.0 as usize).checked_sub(1)
            && let Some(Some(set)) = self.sets.get_mut(index)
        {
            set.devices += 1;
        }
    }

    /// A device has this profile no longer. The last one frees the number.
    pub(crate) fn leave(&mut self, profile: ProfileId) {
        let Some(index) = (profile.0 as usize).checked_sub(1) else {
            return;
        };
        let set = self.sets[index].as_mut();
        let set = set.expect("a device had a profile that is not in use");
        set.devices -= 1;
        if set.devices == 0 {
            self.forget(index);
        }
    }

    fn forget(&mut self, index: usize) {
        if let Some(set) = self.sets[index].take() {
            self.numbers.remove(&(set.tenant, set.targets));
            self.free.push(ProfileId(index as u32 + 1));
        }
    }

    /// After a recovery that has entered every device: frees the numbers without devices.
    pub(crate) fn forget_unused(&mut self) {
        for index in 0..self.sets.len() {
            match &self.sets[index] {
                Some(set) if set.devices > 0 => (),
                Some(_) => self.forget(index),
                None => self.free.push(ProfileId(index as u32 + 1)),
            }
        }
        self.free.reverse();
    }

    /// The bytes of a checkpoint record: for each number in use the number u32, tenant u16, targets u32, each target
    /// u32.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for (profile, set) in self.iter() {
            into.extend(profile.0.to_le_bytes());
            into.extend(set.tenant.0.to_le_bytes());
            into.extend((set.targets.len() as u32).to_le_bytes());
            into.extend(set.targets.iter().flat_map(|target| target.0.to_le_bytes()));
        }
    }

    /// Reads [`Profiles::encode`] to its end; `None` if the bytes are not of its form.
    pub(crate) fn decode(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        while !reader.is_empty() {
            let (profile, tenant, targets) = read(reader)?;
            self.define(profile, tenant, &targets);
        }
        Some(())
    }
}

/// Reads one set of [`Profiles::encode`].
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<(ProfileId, TenantIndex, Vec<TargetId>)> {
    let profile = ProfileId(reader.u32()?);
    let tenant = TenantIndex(reader.u16()?);
    let count = reader.u32()?;
    let bytes = reader.take((count as usize).checked_mul(4)?)?;
    let targets = bytes.as_chunks().0.iter();
    let targets: Vec<_> = targets
        .map(|bytes| TargetId(u32::from_le_bytes(*bytes)))
        .collect();
    let is_set = !targets.is_empty() && targets.is_sorted_by(|one, next| one < next);
    (profile.is_possible() && is_set).then_some((profile, tenant, targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantIndex = TenantIndex(3);

    #[test]
    fn equal_sets_of_a_tenant_share_a_number_which_the_last_device_frees() {
        let mut profiles = Profiles::new(1);
        let set = [TargetId(4), TargetId(9)];
        assert_eq!(profiles.number(TENANT, &[]), (ProfileId(0), false));
        assert_eq!(profiles.number(TENANT, &set), (ProfileId(1), true));
        assert_eq!(profiles.number(TENANT, &set), (ProfileId(1), false));
        let other = profiles.number(TenantIndex(4), &set);
        assert_eq!(other, (ProfileId(2), true));
        for profile in [ProfileId(1), ProfileId(1), ProfileId(2), ProfileId(0)] {
            profiles.enter(profile);
        }
        profiles.leave(ProfileId(1));
        assert_eq!(*profiles.get(ProfileId(1)).unwrap().targets, set);
        profiles.leave(ProfileId(1));
        assert_eq!((profiles.get(ProfileId(1)), profiles.len()), (None, 1));
        assert_eq!(profiles.number(TENANT, &set[..1]), (ProfileId(1), true));
    }

    #[test]
    fn the_table_round_trips_and_unused_numbers_are_free_after_it() {
        let mut profiles = Profiles::new(1);
        for target in 1..=3 {
            let (profile, _) = profiles.number(TENANT, &[TargetId(target)]);
            profiles.enter(profile);
        }
        profiles.leave(ProfileId(2));
        let mut bytes = Vec::new();
        profiles.encode(&mut bytes);
        let mut read = Profiles::new(2);
        read.decode(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(read.get(ProfileId(3)).unwrap().targets[..], [TargetId(3)]);
        read.enter(ProfileId(3));
        read.forget_unused();
        assert_eq!(read.len(), 1);
        assert_eq!(read.number(TENANT, &[TargetId(8)]), (ProfileId(1), true));
        assert_eq!(read.number(TENANT, &[TargetId(9)]), (ProfileId(2), true));
        let mut cut = Profiles::new(2);
        assert!(cut.decode(&mut Reader::new(&bytes[1..])).is_none());
    }
}
