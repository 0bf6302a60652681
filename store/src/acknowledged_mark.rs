//! The file ACKNOWLEDGED: RocksDB's sequence number at the time of the last acknowledgement.
//!
//! ```text
//! muster-acknowledged 1 sequence 00000000000000000042 checksum dfbadc6d
//! ```
//!
//! The mark advances after every synced write and before that write is acknowledged, by one small write in place that
//! is not synced. A killed process leaves the exact number, a power loss may leave an older one. So the mark is a lower
//! bound: a log that ends below it has lost acknowledged data. Two copies in separate sectors are written alternately,
//! so that a torn write of one leaves the other intact. ADR 0009 gives the reasons.
//!
//! Owned by the database of the same directory. Fixed size; one system call per advance, no allocation. It does not
//! decide what a low mark means: the opening does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::kill_point::kill_point;

const NAME: &str = "ACKNOWLEDGED";
const NAME_CREATING: &str = "ACKNOWLEDGED.creating";
/// The unit that a disk writes atomically.
const SECTOR_BYTES: usize = 512;
const COPIES: usize = 2;
/// Fixed, so that a write replaces the whole copy.
const LINE_BYTES: usize = 70;

/// State of the file when the directory was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No file. Expected during creation, otherwise damage.
    Missing,
    /// Neither copy is intact.
    Damaged,
    /// Writes up to this RocksDB sequence number were acknowledged.
    Sequence(u64),
}

/// The open file.
#[derive(Debug)]
pub(crate) struct AcknowledgedMark {
    file: File,
    /// The copy to write next: the one without the highest number.
    next: usize,
}

/// Reads the mark of a directory.
pub(crate) fn read(directory: &Path) -> io::Result<Found> {
    match fs::read(directory.join(NAME)) {
        Ok(bytes) => Ok(match latest(&bytes) {
            Some((sequence, _)) => Found::Sequence(sequence),
            None => Found::Damaged,
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Missing),
        Err(error) => Err(error),
    }
}

/// Creates or replaces the mark of a directory atomically.
pub(crate) fn create(directory: &Path, sequence: u64) -> io::Result<()> {
    let mut bytes = vec![b' '; COPIES * SECTOR_BYTES];
    for copy in bytes.chunks_exact_mut(SECTOR_BYTES) {
        copy[..LINE_BYTES].copy_from_slice(&line(sequence));
        copy[SECTOR_BYTES - 1] = b'\n';
    }
    let creating = directory.join(NAME_CREATING);
    let mut file = File::create(&creating)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(creating, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

impl AcknowledgedMark {
    /// Opens the mark of a directory whose database is durable up to `sequence`, and advances it to there.
    pub(crate) fn begin(directory: &Path, found: Found, sequence: u64) -> io::Result<Self> {
        if !matches!(found, Found::Sequence(_)) {
            create(directory, sequence)?;
        }
        let path = directory.join(NAME);
        let next = latest(&fs::read(&path)?).map_or(0, |(_, copy)| (copy + 1) % COPIES);
        let file = OpenOptions::new().write(true).open(path)?;
        let mut mark = Self { file, next };
        mark.advance(sequence)?;
        Ok(mark)
    }

    /// Advances the mark to `sequence`, which must be durable. Writes up to it may be acknowledged once this returns.
    pub(crate) fn advance(&mut self, sequence: u64) -> io::Result<()> {
        kill_point("store.mark.before_write");
        let offset = self.next * SECTOR_BYTES;
        self.file.write_all_at(&line(sequence), offset as u64)?;
        kill_point("store.mark.after_write");
        self.next = (self.next + 1) % COPIES;
        Ok(())
    }
}

/// Encodes one copy.
fn line(sequence: u64) -> [u8; LINE_BYTES] {
    let mut line = [0; LINE_BYTES];
    let mut rest = &mut line[..];
    write!(rest, "muster-acknowledged 1 sequence {sequence:020}")
        .expect("the text is shorter than the line");
    let written = LINE_BYTES - rest.len();
    let checksum = crc32c::crc32c(&line[..written]);
    writeln!(&mut line[written..], " checksum {checksum:08x}")
        .expect("the checksum fills the line");
    line
}

/// The highest number of the intact copies, and the index of its copy.
fn latest(bytes: &[u8]) -> Option<(u64, usize)> {
    let copies = bytes.chunks(SECTOR_BYTES).take(COPIES).enumerate();
    let intact = copies.filter_map(|(index, copy)| {
        let copy = copy.get(..LINE_BYTES)?;
        let digits = std::str::from_utf8(copy.get(31..51)?).ok()?;
        let sequence = digits.parse().ok()?;
        // A copy is intact only if it equals the encoding of its number, including the checksum.
        (copy == line(sequence)).then_some((sequence, index))
    });
    intact.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_of_a_copy_is_stable() {
        let text = "muster-acknowledged 1 sequence 00000000000000000042 checksum ";
        let line = line(42);
        assert!(line.starts_with(text.as_bytes()));
        assert_eq!(line.last(), Some(&b'\n'));
        assert_eq!(&line[61..69], b"dfbadc6d");
    }

    #[test]
    fn the_highest_intact_copy_wins_and_any_flipped_bit_invalidates_a_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        assert_eq!(read(directory.path()).unwrap(), Found::Missing);
        let mut mark = AcknowledgedMark::begin(directory.path(), Found::Missing, 6).unwrap();
        mark.advance(7).unwrap();
        mark.advance(8).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Found::Sequence(8));
        let intact = fs::read(&path).unwrap();
        let newest = latest(&intact).unwrap().1;
        for byte in 0..LINE_BYTES {
            for bit in 0..8 {
                let mut bytes = intact.clone();
                bytes[newest * SECTOR_BYTES + byte] ^= 1 << bit;
                assert_eq!(
                    latest(&bytes),
                    Some((7, 1 - newest)),
                    "byte {byte}, bit {bit}"
                );
            }
        }
        for length in 0..LINE_BYTES {
            assert_eq!(latest(&intact[..length]), None, "{length} bytes");
        }
        fs::write(&path, "").unwrap();
        assert_eq!(read(directory.path()).unwrap(), Found::Damaged);
        drop(AcknowledgedMark::begin(directory.path(), Found::Damaged, 9).unwrap());
        assert_eq!(read(directory.path()).unwrap(), Found::Sequence(9));
    }

    #[test]
    fn a_reopened_mark_overwrites_the_older_copy() {
        let directory = tempfile::tempdir().unwrap();
        drop(AcknowledgedMark::begin(directory.path(), Found::Missing, 3).unwrap());
        let found = read(directory.path()).unwrap();
        let mut mark = AcknowledgedMark::begin(directory.path(), found, 4).unwrap();
        mark.advance(5).unwrap();
        let bytes = fs::read(directory.path().join(NAME)).unwrap();
        let copies = [
            &bytes[..LINE_BYTES],
            &bytes[SECTOR_BYTES..SECTOR_BYTES + LINE_BYTES],
        ];
        assert!(copies.contains(&&line(4)[..]) && copies.contains(&&line(5)[..]));
    }
}
