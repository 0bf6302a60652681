//! The history of an object: its entries, newest first.

use muster_engine::TenantIndex;

use crate::entry::Entry;
use crate::object::Key;

/// The entries of one object, newest first, from entries in the order of the log.
pub fn history<'a>(
    entries: impl DoubleEndedIterator<Item = &'a Entry>,
    tenant: TenantIndex,
    key: Key,
) -> impl Iterator<Item = &'a Entry> {
    entries
        .rev()
        .filter(move |entry| entry.tenant == tenant && entry.key == key)
}
