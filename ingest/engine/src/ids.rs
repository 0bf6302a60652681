//! The numbers that name things, each a type of its own, so that the compiler tells a shard from a tenant.
//!
//! Plain integers in memory and on disk. Bounds are those of the integer; who gives a number out says more. How many
//! there are of something is a count, not an id, and stays an integer.

use std::fmt;

/// Devices in a page: 8 KiB of records, small enough to rewrite for one dirty device, large enough
/// that 10 M devices are 78 k keys.
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
    /// A tenant in this server, dense from 0, given at the tenant's first use and never reused.
    TenantIndex(u16);
    /// A policy set; grows by one with every change of any tenant's rules.
    Revision(u32);
    /// Where the record of a device is in its shard.
    SlotIndex(u32);
    /// A page of a shard: a run of [`PAGE_RECORDS`] slots.
    PageNumber(u32);
    /// A batch of a shard that changed something, from 1 and without a gap; 0 is before the first.
    Sequence(u64);
}

/// The place in a list by shard.
impl From<ShardId> for usize {
    fn from(shard: ShardId) -> Self {
        shard.0.into()
    }
}

/// The place in a list by tenant.
impl From<TenantIndex> for usize {
    fn from(tenant: TenantIndex) -> Self {
        tenant.0.into()
    }
}

impl SlotIndex {
    /// The page of this slot.
    pub(crate) const fn page(self) -> PageNumber {
        PageNumber(self.0 / PAGE_RECORDS as u32)
    }

    /// This slot and those behind it, up to but not including `end`.
    pub(crate) fn until(self, end: Self) -> impl Iterator<Item = Self> {
        (self.0..end.0).map(Self)
    }
}

impl PageNumber {
    /// The last page all of whose slots have a number.
    pub(crate) const MAX: Self = Self(u32::MAX / PAGE_RECORDS as u32 - 1);

    /// The slots of this page, which is at most [`PageNumber::MAX`].
    pub(crate) fn slots(self) -> impl Iterator<Item = SlotIndex> {
        let first = self.0 * PAGE_RECORDS as u32;
        SlotIndex(first).until(SlotIndex(first + PAGE_RECORDS as u32))
    }
}

impl Sequence {
    /// The number of the next batch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
