//! The column families of the store. docs/reference/STORAGE.md describes the keys of each.

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keyspace {
    /// Journal values by log sequence number.
    Journal,
    /// Pages by shard and number.
    Pages,
    /// Inventories by device.
    Inventory,
    /// Tenants, policy sets, control entries.
    Control,
    /// Format, shards, trim point, checkpoints, clock record.
    Meta,
}

impl Keyspace {
    /// All column families.
    pub const ALL: [Self; 5] = [
        Self::Journal,
        Self::Pages,
        Self::Inventory,
        Self::Control,
        Self::Meta,
    ];

    /// Name in RocksDB.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Pages => "pages",
            Self::Inventory => "inventory",
            Self::Control => "control",
            Self::Meta => "meta",
        }
    }

    /// First byte of the checksum's input, which binds a value to its column family.
    pub(crate) const fn tag(self) -> u8 {
        self.name().as_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_family_has_its_own_tag() {
        let mut tags = Keyspace::ALL.map(Keyspace::tag);
        tags.sort_unstable();
        assert!(tags.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
