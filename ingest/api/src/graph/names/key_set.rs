//! An ordered set of keys that takes little more memory than what its keys do not share with their neighbours.
//!
//! Keys are in blocks of [`BLOCK_BYTES`]; in a block each key is what it does not share with the one before. Pure.
//! Bounded by its caller, who can ask for [`KeySet::bytes`]. Keys are never removed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

/// Bytes at which a block is divided into two.
const BLOCK_BYTES: usize = 2_048;

/// What a block takes besides its bytes: its place in a tree whose nodes are half full, and two allocations.
const BLOCK_OVERHEAD: usize = 112;

/// A length or a number of shared bytes takes one byte below this, and three from there on.
const LONG: u8 = u8::MAX;

/// The set.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    /// The first key of a block, and what follows it.
    blocks: BTreeMap<Box<[u8]>, Box<[u8]>>,
    len: u64,
    bytes: usize,
}

/// Reads the keys of a block in their order.
struct Cursor<'a> {
    rest: &'a [u8],
    key: Vec<u8>,
}

impl<'a> Cursor<'a> {
    fn new(first: &[u8], rest: &'a [u8]) -> Self {
        Self {
            rest,
            key: first.to_vec(),
        }
    }

    /// Moves to the next key; `None` behind the last one.
    fn advance(&mut self) -> Option<()> {
        let (shared, rest) = take_length(self.rest)?;
        let (length, rest) = take_length(rest)?;
        let (suffix, rest) = rest.split_at_checked(length)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        self.rest = rest;
        Some(())
    }
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < LONG {
        return Some((usize::from(*first), rest));
    }
    let (length, rest) = rest.split_first_chunk()?;
    Some((usize::from(u16::from_le_bytes(*length)), rest))
}

fn push_length(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < LONG => bytes.push(short),
        _ => {
            bytes.push(LONG);
            let length = u16::try_from(length).expect("a name and an id are shorter");
            bytes.extend(length.to_le_bytes());
        }
    }
}

/// Appends a key as what it does not share with the one before.
fn push(bytes: &mut Vec<u8>, before: &[u8], key: &[u8]) {
    let pairs = before.iter().zip(key);
    let shared = pairs.take_while(|(one, other)| one == other).count();
    push_length(bytes, shared);
    push_length(bytes, key.len() - shared);
    bytes.extend_from_slice(&key[shared..]);
}

impl KeySet {
    /// Number of keys.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Memory of the set, approximately.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.blocks.len() * BLOCK_OVERHEAD
    }

    /// Adds a key of at most 65,535 bytes.
    pub(super) fn insert(&mut self, key: &[u8]) {
        let before = self.range(Unbounded, Included(key)).next_back();
        let first = before.or_else(|| self.blocks.first_key_value());
        let Some((first, rest)) = first.map(|(first, rest)| (first.clone(), rest)) else {
            self.put(key.into(), Box::default());
            self.len += 1;
            return;
        };
        let Some((new_first, bytes)) = inserted(&first, rest, key) else {
            return;
        };
        self.len += 1;
        self.take(&first);
        match divided(&new_first, &bytes) {
            Some([left, second, right]) => {
                self.put(new_first, left);
                self.put(second, right);
            }
            None => self.put(new_first, bytes.into()),
        }
    }

    /// The blocks whose first keys are between these bounds.
    fn range<'a>(
        &'a self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a Box<[u8]>, &'a Box<[u8]>)> {
        self.blocks.range::<[u8], _>((from, to))
    }

    fn put(&mut self, first: Box<[u8]>, rest: Box<[u8]>) {
        self.bytes += first.len() + rest.len();
        self.blocks.insert(first, rest);
    }

    fn take(&mut self, first: &[u8]) {
        if let Some(rest) = self.blocks.remove(first) {
            self.bytes -= first.len() + rest.len();
        }
    }

    /// The keys from `from` on, in ascending order, as long as `each` returns true.
    pub(super) fn visit(&self, from: &[u8], mut each: impl FnMut(&[u8]) -> bool) {
        let before = self.range(Unbounded, Included(from)).next_back();
        let begin = before.map_or(from, |(first, _)| first);
        for (first, rest) in self.range(Included(begin), Unbounded) {
            let mut cursor = Cursor::new(first, rest);
            loop {
                if *cursor.key >= *from && !each(&cursor.key) {
                    return;
                }
                if cursor.advance().is_none() {
                    break;
                }
            }
        }
    }

    /// The greatest key below `end`; of all keys if there is no end.
    pub(super) fn last_before(&self, end: Option<&[u8]>) -> Option<Vec<u8>> {
        let block = match end {
            Some(end) => self.range(Unbounded, Excluded(end)).next_back(),
            None => self.blocks.last_key_value(),
        };
        let (first, rest) = block?;
        let mut cursor = Cursor::new(first, rest);
        let mut last = cursor.key.clone();
        while cursor.advance().is_some() && end.is_none_or(|end| *cursor.key < *end) {
            last.clone_from(&cursor.key);
        }
        Some(last)
    }
}

/// The block with one more key; `None` if it has it.
fn inserted(first: &[u8], rest: &[u8], key: &[u8]) -> Option<(Box<[u8]>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(rest.len() + key.len() + 12);
    if key < first {
        push(&mut bytes, key, first);
        bytes.extend_from_slice(rest);
        return Some((key.into(), bytes));
    }
    if key == first {
        return None;
    }
    let (mut cursor, mut before) = (Cursor::new(first, rest), Vec::new());
    loop {
        let at = rest.len() - cursor.rest.len();
        before.clone_from(&cursor.key);
        let order = match cursor.advance() {
            Some(()) => cursor.key.as_slice().cmp(key),
            None => Ordering::Greater,
        };
        match order {
            Ordering::Less => {}
            Ordering::Equal => return None,
            Ordering::Greater => {
                bytes.extend_from_slice(&rest[..at]);
                push(&mut bytes, &before, key);
                if at < rest.len() {
                    push(&mut bytes, key, &cursor.key);
                    bytes.extend_from_slice(cursor.rest);
                }
                return Some((first.into(), bytes));
            }
        }
    }
}

/// A block that is too long in two: what follows the first key, the first key of the second, and what follows that.
fn divided(first: &[u8], bytes: &[u8]) -> Option<[Box<[u8]>; 3]> {
    if bytes.len() < BLOCK_BYTES {
        return None;
    }
    let mut cursor = Cursor::new(first, bytes);
    loop {
        let at = bytes.len() - cursor.rest.len();
        cursor.advance()?;
        if at >= bytes.len() / 2 {
            return Some([
                bytes[..at].into(),
                cursor.key.as_slice().into(),
                cursor.rest.into(),
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn from(set: &KeySet, key: &[u8], limit: usize) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        set.visit(key, |key| {
            found.push(key.to_vec());
            found.len() < limit
        });
        found
    }

    /// Names that share a beginning, and some that are long.
    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => (0..4_000_u32).prop_map(|number| format!("device-{number:05}").into_bytes()),
            2 => prop::collection::vec(any::<u8>(), 0..40),
            1 => (any::<u8>(), 200..700_usize).prop_map(|(byte, length)| vec![byte; length]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_an_ordered_set(
            keys in prop::collection::vec(any_key(), 1..500),
            probes in prop::collection::vec((any_key(), 1..30_usize), 20),
        ) {
            let (mut set, mut model) = (KeySet::default(), BTreeSet::new());
            for key in &keys {
                set.insert(key);
                model.insert(key.clone());
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            let all: Vec<_> = model.iter().cloned().collect();
            prop_assert_eq!(from(&set, &[], usize::MAX), all);
            prop_assert_eq!(set.last_before(None), model.last().cloned());
            for (probe, limit) in probes {
                let expected: Vec<_> = model.range(probe.clone()..).take(limit).cloned().collect();
                prop_assert_eq!(from(&set, &probe, limit), expected);
                let before = model.range(..probe.clone()).next_back();
                prop_assert_eq!(set.last_before(Some(&probe)), before.cloned());
            }
            let lengths = set.blocks.iter().map(|(first, rest)| first.len() + rest.len());
            prop_assert_eq!(lengths.sum::<usize>(), set.bytes);
        }
    }

    /// Random names and ids: what a device takes of the budget.
    #[test]
    fn a_device_takes_little_more_than_its_id() {
        let mut set = KeySet::default();
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 16
        };
        const DEVICES: u64 = 20_000;
        for _ in 0..DEVICES {
            let name: String = (0..7)
                .map(|_| char::from_digit((next() % 36) as u32, 36).unwrap())
                .collect();
            let mut key = format!("desktop-{name}\0").into_bytes();
            key.extend(next().to_le_bytes());
            key.extend(next().to_le_bytes());
            set.insert(&key);
        }
        let bytes = set.bytes() as f64 / DEVICES as f64;
        assert!((20.0..26.0).contains(&bytes), "{bytes}");
    }
}
