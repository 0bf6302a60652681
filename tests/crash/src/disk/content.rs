//! The bytes of one file: the live ones that programs read, the durable ones, and the unsynced changes in between.
//!
//! Owned by the [tree](super::tree) of a disk. Pure: no IO, no clock. The capacity of the disk bounds the live bytes,
//! [`UNSYNCED_CHANGES_MAX`] the list of changes: when it is full the oldest is written back, as a kernel may do at any
//! time. [`super::survival`] samples which changes survive a power loss; this module applies the result.

use std::collections::VecDeque;

/// The unit that a disk writes atomically: a power loss tears no sector, except the last one of a torn write.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Bounds the list for a file that is never synced (the info log of RocksDB, a mark that is rewritten all the time). A
/// write-ahead log has a handful of changes between two syncs.
const UNSYNCED_CHANGES_MAX: usize = 4096;

/// One change since the last sync.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Write { offset: u64, bytes: Box<[u8]> },
    Resize { len: u64 },
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: VecDeque<Change>,
}

/// Which unsynced changes of one file survive. Changes are counted from the oldest; that `n` survive means the first
/// `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Survival {
    /// The first changes, and the first bytes of the next one if that is a write.
    InOrder {
        /// Number of whole changes.
        changes: usize,
        /// Bytes of the write after them.
        torn_bytes: usize,
    },
    /// Each sector has its own number of surviving changes, sampled from the seed. The length is that after
    /// `length_changes`; bytes that no surviving sector covers are zeros.
    BySector {
        /// Seed of the numbers.
        seed: u64,
        /// Number of changes that the length reflects.
        length_changes: usize,
    },
    /// The length of the live file survives, but no byte of the changes.
    LengthOnly,
}

impl Content {
    /// Length as readers see it.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Number of changes since the last sync.
    pub(super) fn unsynced_changes(&self) -> usize {
        self.unsynced.len()
    }

    /// Bytes of the newest change; 0 if it is not a write.
    pub(super) fn newest_write_bytes(&self) -> usize {
        self.write_bytes(self.unsynced.len().wrapping_sub(1))
    }

    /// Bytes of the unsynced write with this index; 0 if there is none.
    pub(super) fn write_bytes(&self, index: usize) -> usize {
        match self.unsynced.get(index) {
            Some(Change::Write { bytes, .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// Reads up to `len` bytes at `offset`; fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, len: usize) -> &[u8] {
        let begin = index(offset).min(self.live.len());
        let end = begin.saturating_add(len).min(self.live.len());
        &self.live[begin..end]
    }

    /// Writes to the live file; a gap before `offset` reads as zeros.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.record(Change::Write {
            offset,
            bytes: bytes.into(),
        });
    }

    /// Truncates the file, or extends it with zeros.
    pub(super) fn resize(&mut self, len: u64) {
        self.live.resize(index(len), 0);
        self.record(Change::Resize { len });
    }

    fn record(&mut self, change: Change) {
        if self.unsynced.len() >= UNSYNCED_CHANGES_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            apply(&mut self.durable, &oldest);
        }
        self.unsynced.push_back(change);
    }

    /// Makes the live file durable.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// Drops the unsynced changes after a failed sync: programs still read them, but no later sync makes them durable.
    pub(super) fn drop_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// Loses the changes that do not survive. Returns whether the live file has changed.
    pub(super) fn lose_power(&mut self, survival: &Survival) -> bool {
        let changes = std::mem::take(&mut self.unsynced);
        let live_len = self.len();
        match *survival {
            Survival::InOrder {
                changes: kept,
                torn_bytes,
            } => {
                for change in changes.iter().take(kept) {
                    apply(&mut self.durable, change);
                }
                if let Some(Change::Write { offset, bytes }) = changes.get(kept) {
                    let torn_bytes = torn_bytes.min(bytes.len());
                    put(&mut self.durable, *offset, &bytes[..torn_bytes]);
                }
            }
            Survival::BySector {
                seed,
                length_changes,
            } => self.lose_by_sector(&changes, seed, length_changes),
            Survival::LengthOnly => self.durable.resize(index(live_len), 0),
        }
        let differs = self.durable != self.live;
        self.live.clone_from(&self.durable);
        differs
    }

    fn lose_by_sector(&mut self, changes: &VecDeque<Change>, seed: u64, length_changes: usize) {
        let mut length = self.durable.len();
        for (number, change) in changes.iter().enumerate() {
            match change {
                Change::Write { offset, bytes } => {
                    for (offset, part) in sectors(*offset, bytes) {
                        let surviving = super::survival::sector_changes(
                            seed,
                            offset / SECTOR_BYTES,
                            changes.len(),
                        );
                        if number < surviving {
                            put(&mut self.durable, offset, part);
                        }
                    }
                    if number < length_changes {
                        length = length.max(index(*offset).saturating_add(bytes.len()));
                    }
                }
                Change::Resize { len } if number < length_changes => {
                    length = index(*len);
                    // Truncated bytes do not come back when the file grows again.
                    self.durable.truncate(length);
                }
                Change::Resize { .. } => {}
            }
        }
        self.durable.resize(length, 0);
    }
}

/// Splits a write at sector boundaries; yields the offset of each part in the file.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = bytes;
    let mut at = offset;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let room = index(SECTOR_BYTES - at % SECTOR_BYTES);
        let (part, after) = rest.split_at(room.min(rest.len()));
        let begins = at;
        at += part.len() as u64;
        rest = after;
        Some((begins, part))
    })
}

fn apply(image: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => put(image, *offset, bytes),
        Change::Resize { len } => image.resize(index(*len), 0),
    }
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let begin = index(offset);
    let end = begin + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[begin..end].copy_from_slice(bytes);
}

/// Offsets fit, because files are in memory and the disk has a capacity.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory is smaller than the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(0, bytes);
        content.sync();
        content
    }

    fn live(content: &Content) -> &[u8] {
        content.read(0, usize::MAX)
    }

    const NOTHING: Survival = Survival::InOrder {
        changes: 0,
        torn_bytes: 0,
    };

    #[test]
    fn synced_bytes_survive() {
        let mut content = synced(b"synced");
        content.write(6, b" and not");
        content.write(0, b"S");
        assert_eq!(live(&content), b"Synced and not");
        assert!(content.lose_power(&NOTHING));
        assert_eq!(live(&content), b"synced");
        assert!(!content.lose_power(&NOTHING), "no unsynced change is left");
    }

    #[test]
    fn gaps_read_as_zeros_and_truncation_removes_bytes() {
        let mut content = synced(b"abcdef");
        content.resize(2);
        content.write(4, b"x");
        assert_eq!(live(&content), b"ab\0\0x");
        content.sync();
        assert!(!content.lose_power(&NOTHING));
        assert_eq!(content.read(1, 3), b"b\0\0");
        assert_eq!(content.read(9, 3), b"");
    }

    #[test]
    fn in_order_keeps_the_first_changes_and_tears_the_next() {
        let mut content = synced(b"");
        for part in [b"one ", b"two ", b"six "] {
            content.write(content.len(), part);
        }
        content.lose_power(&Survival::InOrder {
            changes: 1,
            torn_bytes: 2,
        });
        assert_eq!(live(&content), b"one tw");
    }

    #[test]
    fn length_only_extends_by_zeros_and_keeps_old_bytes() {
        let mut content = synced(b"old");
        content.write(0, b"newer");
        content.lose_power(&Survival::LengthOnly);
        assert_eq!(live(&content), b"old\0\0");
    }

    #[test]
    fn sectors_survive_independently_and_are_not_torn() {
        let sector = index(SECTOR_BYTES);
        let mut seen = [false; 2];
        for seed in 0..64 {
            let mut content = synced(&vec![b'-'; 8 * sector]);
            // Unaligned, so that the write covers only a part of the first and the last sector.
            content.write(100, &vec![b'+'; 7 * sector]);
            content.lose_power(&Survival::BySector {
                seed,
                length_changes: 1,
            });
            assert_eq!(content.len(), 8 * SECTOR_BYTES);
            for (number, bytes) in live(&content).chunks(sector).enumerate() {
                let begin = if number == 0 { 100 } else { 0 };
                let end = if number == 7 { 100 } else { sector };
                let survived = bytes[begin] == b'+';
                seen[usize::from(survived)] = true;
                let expected = if survived { b'+' } else { b'-' };
                assert!(bytes[begin..end].iter().all(|byte| *byte == expected));
                assert!(bytes[..begin].iter().all(|byte| *byte == b'-'));
                assert!(bytes[end..].iter().all(|byte| *byte == b'-'));
            }
        }
        assert_eq!(seen, [true, true]);
    }

    #[test]
    fn a_sector_never_has_a_later_change_without_the_earlier_ones() {
        for seed in 0..64 {
            let mut content = synced(b"");
            for (offset, byte) in (0u64..).zip(b"abcdefgh") {
                content.write(offset, &[*byte]);
            }
            content.lose_power(&Survival::BySector {
                seed,
                length_changes: 8,
            });
            let kept = live(&content).iter().take_while(|byte| **byte != 0);
            let kept = kept.count();
            assert_eq!(&live(&content)[..kept], &b"abcdefgh"[..kept]);
            assert!(live(&content)[kept..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_lost_truncation_restores_the_synced_bytes() {
        for length_changes in [0, 1] {
            let mut content = synced(b"synced");
            content.resize(2);
            content.lose_power(&Survival::BySector {
                seed: 1,
                length_changes,
            });
            let expected: &[u8] = if length_changes == 0 {
                b"synced"
            } else {
                b"sy"
            };
            assert_eq!(live(&content), expected);
        }
    }

    #[test]
    fn a_file_that_is_never_synced_is_written_back_when_the_list_is_full() {
        let mut content = Content::default();
        for number in 0..=UNSYNCED_CHANGES_MAX as u64 {
            content.write(number, b"x");
        }
        assert_eq!(content.unsynced_changes(), UNSYNCED_CHANGES_MAX);
        content.lose_power(&NOTHING);
        assert_eq!(live(&content), b"x");
    }
}
