//! Newtypes for ids and indexes, so that the compiler distinguishes a shard from a tenant.
//!
//! Plain integers in memory and on disk, bounded by the integer type; the code that assigns an id may bound it further.
//! Counts are not ids and stay integers.

use std::fmt;

/// Records in a page: 9.5 KiB, small enough to rewrite for one changed device, large enough that 10 M devices need only
/// 78,000 keys.
pub const PAGE_RECORDS: usize = 128;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($number:ty);)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[repr(transparent)]
            pub struct $name(pub $number);

            impl fmt::Display for $name {
                fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(formatter)
                }
            }
        )+
    };
}

ids! {
    /// A shard, dense from 0.
    ShardId(u16);
    /// A tenant of this server, dense from 0, assigned at the tenant's first use and never reused.
    TenantIndex(u16);
    /// A version of the policy set; incremented by every change of any tenant's rules.
    Revision(u32);
    /// Position of a device's record in its shard.
    SlotIndex(u32);
    /// What policies are assigned to, such as a group: the revision that created it, so it is never reused.
    TargetId(u32);
    /// A set of targets of a shard, from 1; 0 is the empty set. At most 2^31 - 1.
    ProfileId(u32);
    /// A page of a shard: a run of [`PAGE_RECORDS`] slots.
    PageNumber(u32);
    /// Number of a batch that changed the state of its shard, from 1 without a gap; 0 is before the first.
    Sequence(u64);
}

/// The index into a list by shard.
impl From<ShardId> for usize {
    fn from(shard: ShardId) -> Self {
        shard.0.into()
    }
}

/// The index into a list by tenant.
impl From<TenantIndex> for usize {
    fn from(tenant: TenantIndex) -> Self {
        tenant.0.into()
    }
}

impl SlotIndex {
    /// Beyond every slot.
    pub const MAX: Self = Self(u32::MAX);

    /// The page of this slot.
    pub(crate) const fn page(self) -> PageNumber {
        PageNumber(self.0 / PAGE_RECORDS as u32)
    }

    /// The slots from this one up to but not including `end`.
    pub(crate) fn until(self, end: Self) -> impl Iterator<Item = Self> {
        (self.0..end.0).map(Self)
    }
}

impl ProfileId {
    /// Whether a record has room for it.
    pub(crate) const fn is_possible(self) -> bool {
        self.0 >= 1 && self.0 < 1 << 31
    }
}

impl PageNumber {
    /// The last page all of whose slots fit a [`SlotIndex`].
    pub(crate) const MAX: Self = Self(u32::MAX / PAGE_RECORDS as u32 - 1);

    /// The slots of this page, which must be at most [`PageNumber::MAX`].
    pub(crate) fn slots(self) -> impl Iterator<Item = SlotIndex> {
        let first = self.0 * PAGE_RECORDS as u32;
        SlotIndex(first).until(SlotIndex(first + PAGE_RECORDS as u32))
    }
}

impl Sequence {
    /// The sequence of the next batch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
