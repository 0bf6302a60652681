//! Helpers: commits, a sink, and the files of a directory. Ids are plain numbers here; parameter names distinguish
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Instant;

use muster_engine::{PageNumber, Sequence, ShardId};
use muster_store::{
    CheckpointMark, Commit, CommitPart, JournalEntry, PageWrite, PoisonReason, ReadError, Sink,
    Store, StoreConfig, StoreView, Writer,
};

pub(crate) const MIB: usize = 1024 * 1024;

/// Small memtables, so that files are flushed early.
pub(crate) fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        journal_memtable_bytes: MIB,
        pages_memtable_bytes: MIB,
        wal_bytes_max: 8 * MIB as u64,
        ..StoreConfig::new(directory).with_shards(4)
    }
}

/// Collects the outcome of each commit.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) committed: Vec<(u16, u64)>,
    pub(crate) failed: Vec<(u16, u64, String)>,
    pub(crate) returned: Vec<Commit<()>>,
    pub(crate) durable_at: Vec<Instant>,
}

impl Sink<()> for Outcomes {
    fn committed(&mut self, commit: Commit<()>, durable_at: Instant) {
        let parts = commit.parts.iter();
        self.committed
            .extend(parts.map(|part| (part.shard.0, part.sequence.0)));
        self.durable_at.push(durable_at);
        self.returned.push(commit);
    }

    fn failed(&mut self, commit: Commit<()>, reason: &PoisonReason) {
        let parts = commit.parts.iter();
        let failed = parts.map(|part| (part.shard.0, part.sequence.0, reason.to_string()));
        self.failed.extend(failed);
    }
}

/// A part of one journal value only.
pub(crate) fn journal(shard: u16, sequence: u64, bytes: impl Into<Vec<u8>>) -> CommitPart {
    CommitPart {
        shard: ShardId(shard),
        sequence: Sequence(sequence),
        journal: bytes.into(),
        ..CommitPart::default()
    }
}

pub(crate) fn page(page: u32, bytes: &[u8]) -> PageWrite {
    PageWrite {
        page: PageNumber(page),
        bytes: bytes.to_vec(),
    }
}

/// Begins and completes a checkpoint in two commits without journal value.
pub(crate) fn checkpoint(writer: &mut Writer, shard: u16, pages: Vec<PageWrite>) {
    let mark = |mark, pages| CommitPart {
        shard: ShardId(shard),
        checkpoint: Some(mark),
        pages,
        ..CommitPart::default()
    };
    let begin = mark(CheckpointMark::Begin, Vec::new());
    write(writer, vec![begin, mark(CheckpointMark::Complete, pages)]);
}

/// A group in which each part is a commit.
pub(crate) fn commits(parts: impl IntoIterator<Item = CommitPart>) -> Vec<Commit<()>> {
    parts.into_iter().map(Commit::from).collect()
}

/// Writes a group in which each part is a commit, and asserts success.
pub(crate) fn write(writer: &mut Writer, parts: Vec<CommitPart>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    writer.write(&mut commits(parts), &mut outcomes);
    assert_eq!(outcomes.failed, []);
    outcomes
}

/// `(log sequence number, shard, sequence, bytes)` of a journal value.
pub(crate) type Entry = (u64, u16, u64, Vec<u8>);

fn to_tuple(entry: JournalEntry<'_>) -> Entry {
    let JournalEntry {
        lsn,
        shard,
        sequence,
        bytes,
    } = entry;
    (lsn.0, shard.0, sequence.0, bytes.to_vec())
}

pub(crate) fn recover(store: &Store) -> (Writer, Vec<Entry>) {
    try_recover(store).unwrap()
}

pub(crate) fn try_recover(store: &Store) -> Result<(Writer, Vec<Entry>), ReadError> {
    let mut entries = Vec::new();
    let writer = store.recover(|entry| {
        entries.push(to_tuple(entry));
        Ok::<(), ReadError>(())
    })?;
    Ok((writer, entries))
}

pub(crate) fn entries(view: &StoreView<'_>) -> Result<Vec<Entry>, ReadError> {
    let mut entries = Vec::new();
    view.journal(|entry| {
        entries.push(to_tuple(entry));
        Ok::<(), ReadError>(())
    })?;
    Ok(entries)
}

pub(crate) fn pages(view: &StoreView<'_>, shard: u16) -> Result<Vec<(u32, Vec<u8>)>, ReadError> {
    let mut pages = Vec::new();
    view.pages(ShardId(shard), |page, bytes| {
        pages.push((page.0, bytes.to_vec()));
        Ok::<(), ReadError>(())
    })?;
    Ok(pages)
}

/// Name, size and checksum of every file of a directory.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, (usize, u32)> {
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        (
            entry.file_name().into_string().unwrap(),
            (bytes.len(), crc32c::crc32c(&bytes)),
        )
    };
    fs::read_dir(directory).unwrap().map(file).collect()
}

/// Copies the directory as a kill -9 at this time would leave it. If RocksDB changes the set of files meanwhile, the
/// copy is not consistent with one point in time and is repeated.
pub(crate) fn copy(from: &Path, to: &Path) {
    let names = |directory| -> BTreeSet<OsString> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    loop {
        let _ = fs::remove_dir_all(to);
        fs::create_dir_all(to).unwrap();
        let before = names(from);
        let copied = before
            .iter()
            .all(|name| fs::copy(from.join(name), to.join(name)).is_ok());
        if copied && names(from) == before {
            return;
        }
    }
}

pub(crate) fn with_extension(directory: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

/// Flips one bit in the middle of the first occurrence of `needle` in a file with that extension.
pub(crate) fn flip(directory: &Path, extension: &str, needle: &[u8]) -> std::path::PathBuf {
    for path in with_extension(directory, extension) {
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes
            .windows(needle.len())
            .position(|window| window == needle)
        {
            bytes[at + needle.len() / 2] ^= 1;
            fs::write(&path, bytes).unwrap();
            return path;
        }
    }
    panic!("no .{extension} file contains the bytes");
}
