//! The order of the devices of a tenant by name: by the folded name, then by the id, as lists sort.
//!
//! A device without a name is listed with its id as its name. Those are in a separate set, in which a device is its
//! id. Pure; owned by one tenant's part of [`super::Names`].

use muster_wire::DeviceId;

use super::key_set::KeySet;
use crate::backend::Device;
use crate::odata::fold_text;

/// Bytes of an id.
const ID: usize = 16;

/// A device and the name by which it is sorted, folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::graph) struct Named {
    pub(in crate::graph) name: String,
    pub(in crate::graph) id: DeviceId,
}

/// Which names are wanted. The name of each device in the range is, and that of no other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::graph) enum Range {
    /// All.
    All,
    /// Those that start with this folded text.
    Prefix(String),
    /// This folded text.
    Equal(String),
}

/// The order.
#[derive(Debug, Default)]
pub(super) struct NameOrder {
    /// Folded name, a zero byte, id. No name has a zero byte, so keys are in the order of names.
    named: KeySet,
    /// Ids of devices without a name, whose text is in the order of their bytes.
    unnamed: KeySet,
}

/// The name by which a device is sorted.
pub(in crate::graph) fn name_of(device: &Device) -> Named {
    let id = device.record.device_id;
    Named {
        name: given_name(device).map_or_else(|| id.to_string(), fold_text),
        id,
    }
}

fn given_name(device: &Device) -> Option<&str> {
    let known = device.inventory.as_ref()?;
    Some(known.device_name.as_str()).filter(|name| !name.is_empty())
}

impl Range {
    /// The text at which the range begins.
    fn begin(&self) -> &str {
        match self {
            Self::All => "",
            Self::Prefix(text) | Self::Equal(text) => text,
        }
    }

    /// Whether the range is over once a list has come to this name.
    pub(in crate::graph) fn is_behind(&self, last: &Named, descending: bool) -> bool {
        let text = self.begin();
        !self.contains(&last.name) && (text < last.name.as_str()) != descending
    }

    /// Whether a name is in the range.
    pub(in crate::graph) fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(text) => name.starts_with(text.as_str()),
            Self::Equal(text) => name == text,
        }
    }
}

impl NameOrder {
    pub(super) fn insert(&mut self, device: &Device) {
        let id = device.record.device_id;
        match given_name(device) {
            None => self.unnamed.insert(id.as_bytes()),
            Some(name) => self.named.insert(&key(&fold_text(name), Some(id))),
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.named.len() + self.unnamed.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.named.bytes() + self.unnamed.bytes()
    }

    /// The next names of a range, at most `limit`, in the order of names in either direction; ids always ascend.
    pub(super) fn next(
        &self,
        range: &Range,
        after: Option<&Named>,
        descending: bool,
        limit: usize,
    ) -> Vec<Named> {
        let mut found = if descending {
            self.descending(range, after, limit)
        } else {
            self.ascending(range, after, limit)
        };
        found.sort_by(|one, other| {
            let by_name = one.name.cmp(&other.name);
            let by_name = if descending {
                by_name.reverse()
            } else {
                by_name
            };
            by_name.then(one.id.cmp(&other.id))
        });
        found.truncate(limit);
        found
    }

    /// Number of names in a range, counted up to `max`.
    pub(super) fn count(&self, range: &Range, max: u64) -> u64 {
        if *range == Range::All {
            return self.len().min(max);
        }
        let limit = usize::try_from(max).unwrap_or(usize::MAX);
        (self.ascending(range, None, limit).len() as u64).min(max)
    }

    /// The next `limit` of both sets, in no order.
    fn ascending(&self, range: &Range, after: Option<&Named>, limit: usize) -> Vec<Named> {
        let mut found = self.ascending_named(range, after, limit);
        found.append(&mut self.ascending_unnamed(range, after, limit));
        found
    }

    fn ascending_named(&self, range: &Range, after: Option<&Named>, limit: usize) -> Vec<Named> {
        let begin = match after {
            Some(after) => key(&after.name, Some(after.id)),
            None => range.begin().as_bytes().to_vec(),
        };
        ascending(&self.named, &begin, named, range, after, limit)
    }

    fn ascending_unnamed(&self, range: &Range, after: Option<&Named>, limit: usize) -> Vec<Named> {
        let begin = after.map_or(range.begin(), |after| after.name.as_str());
        match self.first_unnamed(begin) {
            Some(begin) => ascending(&self.unnamed, &begin, unnamed, range, after, limit),
            None => Vec::new(),
        }
    }

    /// The same, from the end of the range to its beginning. Devices of the same name ascend.
    fn descending(&self, range: &Range, after: Option<&Named>, limit: usize) -> Vec<Named> {
        // The rest of the devices with the name of the last one come first.
        let mut found = after.map_or_else(Vec::new, |after| {
            self.ascending(&Range::Equal(after.name.clone()), Some(after), limit)
        });
        let mut end = match after {
            Some(after) => Some(key(&after.name, None)),
            None => key_end(range),
        };
        let mut rest = limit;
        while rest > 0
            && let Some(last) = self.named.last_before(end.as_deref())
            && let Some(Named { name, .. }) = named(&last)
            && range.contains(&name)
        {
            end = Some(key(&name, None));
            let mut group = self.ascending_named(&Range::Equal(name), None, rest);
            rest -= group.len().min(rest);
            found.append(&mut group);
        }
        let mut end = match (after, range) {
            (Some(after), _) => self.first_unnamed(&after.name),
            (None, Range::All) => None,
            (None, Range::Equal(text)) => self.first_unnamed(&format!("{text}\0")),
            (None, Range::Prefix(text)) => self.first_unnamed(&format!("{text}{}", char::MAX)),
        }
        .map(Vec::from);
        for _ in 0..limit {
            let Some(last) = self.unnamed.last_before(end.as_deref()) else {
                break;
            };
            let Some(named) = unnamed(&last).filter(|named| range.contains(&named.name)) else {
                break;
            };
            end = Some(last);
            found.push(named);
        }
        found
    }

    /// The first id whose text is not before this one; `None` if all are, or if no device is without a name.
    fn first_unnamed(&self, text: &str) -> Option<[u8; ID]> {
        (self.unnamed.len() > 0).then(|| first_id(text)).flatten()
    }
}

/// The devices of a set from a key on that are in a range and behind the last one, at most `limit`.
fn ascending(
    keys: &KeySet,
    begin: &[u8],
    read: impl Fn(&[u8]) -> Option<Named>,
    range: &Range,
    after: Option<&Named>,
    limit: usize,
) -> Vec<Named> {
    let mut found = Vec::new();
    keys.visit(begin, |key| {
        let Some(named) = read(key) else {
            return true;
        };
        if after.is_some_and(|after| named <= *after) {
            return true;
        }
        if !range.contains(&named.name) {
            return false;
        }
        found.push(named);
        found.len() < limit
    });
    found
}

/// The key of a device, or, without an id, what is before all devices of this name.
fn key(name: &str, id: Option<DeviceId>) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.push(0);
    key.extend(id.iter().flat_map(DeviceId::as_bytes));
    key
}

/// What is behind all keys of a range; `None` if nothing is.
fn key_end(range: &Range) -> Option<Vec<u8>> {
    match range {
        Range::All => None,
        Range::Equal(text) => Some([text.as_bytes(), &[1]].concat()),
        // No byte of UTF-8 is this high.
        Range::Prefix(text) => Some([text.as_bytes(), &[u8::MAX]].concat()),
    }
}

fn named(key: &[u8]) -> Option<Named> {
    let (name, id) = key.split_last_chunk::<ID>()?;
    Some(Named {
        name: std::str::from_utf8(name.strip_suffix(&[0])?)
            .ok()?
            .to_owned(),
        id: DeviceId::from_bytes(*id),
    })
}

fn unnamed(key: &[u8]) -> Option<Named> {
    let id = DeviceId::from_bytes(key.try_into().ok()?);
    Some(Named {
        name: id.to_string(),
        id,
    })
}

/// The first id whose text is not before this one; `None` if all are. The texts of ids are in the order of their bytes.
fn first_id(text: &str) -> Option<[u8; ID]> {
    let is_before = |id: u128| DeviceId::from_bytes(id.to_be_bytes()).to_string().as_str() < text;
    if is_before(u128::MAX) {
        return None;
    }
    let (mut low, mut high) = (0, u128::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Some(low.to_be_bytes())
}

#[cfg(test)]
mod tests;
