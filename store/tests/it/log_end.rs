//! The end of the log: a torn tail that was not acknowledged is dropped, a lost one that was acknowledged is refused.

use std::fs;
use std::path::{Path, PathBuf};

use muster_engine::Revision;
use muster_store::{OpenError, Store};
use tempfile::{TempDir, tempdir};

use crate::support::*;

const MARK: &str = "ACKNOWLEDGED";

/// A directory as a kill leaves it after two writes, and its mark after each of them.
struct Killed {
    directory: TempDir,
    marks: [Vec<u8>; 2],
}

const FIRST: [u8; 5_000] = [1; 5_000];
/// Several blocks of the log.
static SECOND: [u8; 100_000] = [2; 100_000];

impl Killed {
    fn new() -> Self {
        let (running, directory) = (tempdir().unwrap(), tempdir().unwrap());
        let store = Store::open(&config(running.path())).unwrap();
        let (mut writer, _) = recover(&store);
        let mark = || fs::read(running.path().join(MARK)).unwrap();
        write(&mut writer, vec![journal(0, 1, FIRST)]);
        let first = mark();
        write(&mut writer, vec![journal(0, 2, SECOND)]);
        copy(running.path(), directory.path());
        let marks = [first, mark()];
        Self { directory, marks }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn log(&self) -> PathBuf {
        let logs = with_extension(self.path(), "log");
        logs.into_iter()
            .max_by_key(|log| log.metadata().unwrap().len())
            .unwrap()
    }

    /// As after a power loss during the second write: the mark has not reached the disk either.
    fn with_first_mark(self) -> Self {
        fs::write(self.path().join(MARK), &self.marks[0]).unwrap();
        self
    }

    fn change_log(self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let log = self.log();
        let mut bytes = fs::read(&log).unwrap();
        change(&mut bytes);
        fs::write(log, bytes).unwrap();
        self
    }
}

#[track_caller]
fn is_refused_and_unchanged(killed: &Killed) {
    let before = files(killed.path());
    let config = config(killed.path());
    for error in [
        Store::open(&config).unwrap_err(),
        Store::open_read_only(&config).unwrap_err(),
    ] {
        let OpenError::AcknowledgedMissing {
            reached,
            acknowledged,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert!(reached < acknowledged);
        assert!(
            error.to_string().contains("restore it from a backup"),
            "{error}"
        );
    }
    assert_eq!(files(killed.path()), before);
}

/// Opens it, recovers only the first write, writes again and reopens it.
#[track_caller]
fn continues_after_the_first_write(killed: &Killed) {
    let config = config(killed.path());
    let read_only = Store::open_read_only(&config).unwrap();
    assert_eq!(entries(&read_only.view()).unwrap().len(), 1);
    drop(read_only);
    let store = Store::open(&config).unwrap();
    let notices = store.notices().join("\n");
    assert!(
        notices.contains(".log: dropping ") && notices.contains(" bytes: "),
        "{notices}"
    );
    assert!(
        !notices.contains('/'),
        "the notice has a file name, not a path: {notices}"
    );
    let (mut writer, entries) = recover(&store);
    assert_eq!(entries, [(1, 0, 1, FIRST.to_vec())]);
    write(&mut writer, vec![journal(0, 2, "again")]);
    drop((writer, store));
    let store = Store::open(&config).unwrap();
    assert_eq!(store.notices(), [] as [&str; 0]);
    assert_eq!(recover(&store).1[1..], [(2, 0, 2, b"again".to_vec())]);
}

#[test]
fn a_log_truncated_below_the_mark_is_refused_and_nothing_changes() {
    for missing in [1, 1_000, 40_000, 99_000, 104_000] {
        is_refused_and_unchanged(
            &Killed::new().change_log(|log| log.truncate(log.len() - missing)),
        );
    }
    is_refused_and_unchanged(&Killed::new().change_log(Vec::clear));
}

#[test]
fn a_log_damaged_below_the_mark_is_refused_and_nothing_changes() {
    for from_end in [10, 50_000, 99_000, 103_000] {
        is_refused_and_unchanged(&Killed::new().change_log(|log| {
            let at = log.len() - from_end;
            log[at] ^= 4;
        }));
    }
    // The first write is damaged, the second is intact.
    let early = Killed::new().with_first_mark().change_log(|log| {
        let at = log
            .windows(100)
            .position(|bytes| bytes == &FIRST[..100])
            .unwrap();
        log[at] ^= 1;
    });
    is_refused_and_unchanged(&early);
}

#[test]
fn a_torn_write_above_the_mark_is_dropped_and_reported() {
    // Truncated, and of full length with blocks that never reached the disk.
    for missing in [1, 1_000, 40_000, 99_000] {
        let cut = |log: &mut Vec<u8>| log.truncate(log.len() - missing);
        continues_after_the_first_write(&Killed::new().with_first_mark().change_log(cut));
        let zeroed = |log: &mut Vec<u8>| {
            let at = log.len() - missing;
            log[at..].fill(0);
        };
        continues_after_the_first_write(&Killed::new().with_first_mark().change_log(zeroed));
    }
    let middle = |log: &mut Vec<u8>| {
        let at = log.len() - 60_000;
        log[at..at + 4_096].fill(0);
    };
    continues_after_the_first_write(&Killed::new().with_first_mark().change_log(middle));
}

#[test]
fn a_mark_older_than_the_log_drops_nothing() {
    let killed = Killed::new().with_first_mark();
    let store = Store::open(&config(killed.path())).unwrap();
    assert_eq!(store.notices(), [] as [&str; 0]);
    assert_eq!(recover(&store).1.len(), 2);
}

#[test]
fn a_missing_or_damaged_mark_is_reported_and_recreated() {
    for bytes in [None, Some(&b""[..]), Some(b"muster"), Some(&[0; 1024])] {
        let killed = Killed::new();
        let mark = killed.path().join(MARK);
        match bytes {
            Some(bytes) => fs::write(mark, bytes).unwrap(),
            None => fs::remove_file(mark).unwrap(),
        }
        let state = bytes.map_or("missing", |_| "damaged");
        let read_only = Store::open_read_only(&config(killed.path())).unwrap();
        let without = "; the log was read without it";
        let found = format!("file ACKNOWLEDGED is {state}");
        assert_eq!(read_only.notices(), [format!("{found}{without}")]);
        drop(read_only);
        let store = Store::open(&config(killed.path())).unwrap();
        let recreated = format!("{found} and was recreated{without}");
        assert_eq!(store.notices(), [recreated]);
        assert_eq!(recover(&store).1.len(), 2);
        drop(store);
        // The recreated mark detects a lost log again.
        is_refused_and_unchanged_after_loss(&killed);
    }
}

#[track_caller]
fn is_refused_and_unchanged_after_loss(killed: &Killed) {
    let store = Store::open(&config(killed.path())).unwrap();
    assert_eq!(store.notices(), [] as [&str; 0]);
    write(&mut recover(&store).0, vec![journal(0, 3, "third")]);
    drop(store);
    for log in with_extension(killed.path(), "log") {
        fs::write(log, "").unwrap();
    }
    is_refused_and_unchanged(killed);
}

#[test]
fn the_mark_covers_control_objects() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    store.put_policy_set(Revision(1), b"rules").unwrap();
    drop(store);
    for log in with_extension(directory.path(), "log") {
        fs::write(log, "").unwrap();
    }
    let error = Store::open(&config(directory.path())).unwrap_err();
    assert!(
        matches!(error, OpenError::AcknowledgedMissing { .. }),
        "{error}"
    );
}
