//! The bytes of one file: as its readers see them, as the platter has them, and the changes in between.
//!
//! Owned by the [tree](super::tree) of a disk. Pure: no IO, no clock. Bounded by the capacity of the disk for
//! what is live, and by [`UNSYNCED_CHANGES_MAX`] for the list of changes: the oldest is written back before
//! one more is taken, as a kernel does when it likes. What of the changes survives a loss of power is drawn in
//! [`super::survival`]; this module only applies the draw.

use std::collections::VecDeque;

/// What a disk writes as a whole: a loss of power never tears inside of one, but for the last of a file.
pub(super) const SECTOR_BYTES: u64 = 512;

/// A file that is never synced (the diary of RocksDB, a mark that is rewritten all the time) must not grow a
/// list for ever. Between two syncs of a log there is a handful.
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

/// How much of the unsynced changes of one file survives. Changes count from the oldest; `n` of them survive
/// means the first `n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Survival {
    /// These many changes, and of the next one, if it is a write, so many bytes.
    InOrder {
        /// Whole changes.
        changes: usize,
        /// Bytes of the write after them.
        torn_bytes: usize,
    },
    /// Each sector is of an age of its own, drawn from the seed; the length is that after so many changes.
    /// What the length covers and no surviving sector does is zero.
    BySector {
        /// Draws the age of a sector.
        seed: u64,
        /// Changes of the length.
        length_changes: usize,
    },
    /// The length is that of the live file, and no byte of the changes is there.
    LengthOnly,
}

impl Content {
    /// Length as readers see it.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Changes since the last sync.
    pub(super) fn unsynced_changes(&self) -> usize {
        self.unsynced.len()
    }

    /// Bytes of the newest change, 0 if that is no write.
    pub(super) fn newest_write_bytes(&self) -> usize {
        self.write_bytes(self.unsynced.len().wrapping_sub(1))
    }

    /// Bytes of the write with this index among the unsynced changes, 0 if there is none.
    pub(super) fn write_bytes(&self, index: usize) -> usize {
        match self.unsynced.get(index) {
            Some(Change::Write { bytes, .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// At most `len` bytes from `offset` on; fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, len: usize) -> &[u8] {
        let begin = index(offset).min(self.live.len());
        let end = begin.saturating_add(len).min(self.live.len());
        &self.live[begin..end]
    }

    /// Writes as a program sees it; a gap before `offset` reads as zeros.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.note(Change::Write {
            offset,
            bytes: bytes.into(),
        });
    }

    /// Cuts the file, or extends it by zeros.
    pub(super) fn resize(&mut self, len: u64) {
        self.live.resize(index(len), 0);
        self.note(Change::Resize { len });
    }

    fn note(&mut self, change: Change) {
        if self.unsynced.len() >= UNSYNCED_CHANGES_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            apply(&mut self.durable, &oldest);
        }
        self.unsynced.push_back(change);
    }

    /// Everything that readers see is on the platter.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync has failed: readers still see the changes, and nothing will ever make them durable.
    pub(super) fn drop_unsynced(&mut self) {
        self.unsynced.clear();
    }

    /// Power is lost: the file is what was synced and what the draw lets survive of the rest, and that is
    /// durable. Returns whether readers see any difference.
    pub(super) fn lose(&mut self, survival: &Survival) -> bool {
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
                        let age = super::survival::age(seed, offset / SECTOR_BYTES, changes.len());
                        if number < age {
                            put(&mut self.durable, offset, part);
                        }
                    }
                    if number < length_changes {
                        length = length.max(index(*offset).saturating_add(bytes.len()));
                    }
                }
                Change::Resize { len } if number < length_changes => {
                    length = index(*len);
                    // Blocks that the file gave up are not read back when it grows again.
                    self.durable.truncate(length);
                }
                Change::Resize { .. } => {}
            }
        }
        self.durable.resize(length, 0);
    }
}

/// The parts of a write, each within one sector, with its offset in the file.
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

/// Offsets are those of a file in memory: the tree refuses what is beyond its capacity.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory is no longer than memory")
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
    fn what_was_synced_survives_and_nothing_else() {
        let mut content = synced(b"synced");
        content.write(6, b" and not");
        content.write(0, b"S");
        assert_eq!(live(&content), b"Synced and not");
        assert!(content.lose(&NOTHING));
        assert_eq!(live(&content), b"synced");
        assert!(!content.lose(&NOTHING), "there is nothing more to lose");
    }

    #[test]
    fn a_gap_reads_as_zeros_and_a_cut_file_gives_up_its_end() {
        let mut content = synced(b"abcdef");
        content.resize(2);
        content.write(4, b"x");
        assert_eq!(live(&content), b"ab\0\0x");
        content.sync();
        assert!(!content.lose(&NOTHING));
        assert_eq!(content.read(1, 3), b"b\0\0");
        assert_eq!(content.read(9, 3), b"");
    }

    #[test]
    fn in_order_keeps_the_first_changes_and_tears_the_next() {
        let mut content = synced(b"");
        for part in [b"one ", b"two ", b"six "] {
            content.write(content.len(), part);
        }
        content.lose(&Survival::InOrder {
            changes: 1,
            torn_bytes: 2,
        });
        assert_eq!(live(&content), b"one tw");
    }

    #[test]
    fn length_only_extends_by_zeros_and_keeps_old_bytes() {
        let mut content = synced(b"old");
        content.write(0, b"newer");
        content.lose(&Survival::LengthOnly);
        assert_eq!(live(&content), b"old\0\0");
    }

    #[test]
    fn sectors_survive_as_a_whole_and_each_for_itself() {
        let sector = index(SECTOR_BYTES);
        let mut seen = [false; 2];
        for seed in 0..64 {
            let mut content = synced(&vec![b'-'; 8 * sector]);
            // Unaligned, so that the first and the last sector take a part of the write only.
            content.write(100, &vec![b'+'; 7 * sector]);
            content.lose(&Survival::BySector {
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
    fn a_sector_never_has_a_later_change_without_the_earlier() {
        for seed in 0..64 {
            let mut content = synced(b"");
            for (offset, byte) in (0u64..).zip(b"abcdefgh") {
                content.write(offset, &[*byte]);
            }
            content.lose(&Survival::BySector {
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
    fn a_cut_that_is_lost_gives_back_what_was_synced() {
        for length_changes in [0, 1] {
            let mut content = synced(b"synced");
            content.resize(2);
            content.lose(&Survival::BySector {
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
    fn a_file_that_is_never_synced_is_written_back_in_the_end() {
        let mut content = Content::default();
        for number in 0..=UNSYNCED_CHANGES_MAX as u64 {
            content.write(number, b"x");
        }
        assert_eq!(content.unsynced_changes(), UNSYNCED_CHANGES_MAX);
        content.lose(&NOTHING);
        assert_eq!(live(&content), b"x");
    }
}
