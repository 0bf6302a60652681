//! The clock record: written beside other values, rarely alone, and found by the next server.

use muster_engine::Timestamp;
use muster_store::{ClockRecord, CommitPart, Store, Writer};
use tempfile::tempdir;

use crate::support::*;

const HOUR_MS: u64 = 60 * 60 * 1_000;

fn at(time_ms: u64) -> ClockRecord {
    ClockRecord {
        time: Timestamp::from_millis(time_ms),
    }
}

#[test]
fn the_service_time_is_kept_at_most_once_a_second() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, "a")]);
    assert_eq!(store.clock().unwrap(), None, "the time was not set");
    let mut sequence = 1;
    let mut kept_after = |writer: &mut Writer, time| {
        writer.set_clock(time);
        sequence += 1;
        write(writer, vec![journal(0, sequence, "b")]);
        store.clock().unwrap()
    };
    let first = at(5_000);
    assert_eq!(kept_after(&mut writer, first), Some(first));
    assert_eq!(kept_after(&mut writer, at(5_999)), Some(first));
    let next = at(6_000);
    assert_eq!(kept_after(&mut writer, next), Some(next));
    let back = at(1_000);
    assert_eq!(kept_after(&mut writer, back), Some(back));
    drop((writer, store));

    let store = Store::open(&config).unwrap();
    assert_eq!(store.clock().unwrap(), Some(back));
}

#[test]
fn an_idle_server_keeps_the_time_once_an_hour() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let idle = || vec![CommitPart::default()];
    let (mut writer, _) = recover(&store);
    writer.set_clock(at(HOUR_MS));
    write(&mut writer, idle());
    assert_eq!(store.clock().unwrap(), None, "nothing was ever written");
    write(&mut writer, vec![journal(0, 1, "a")]);
    let syncs = writer.metrics().syncs;
    for (hours, kept) in [(1, 1), (2, 2)] {
        writer.set_clock(at(hours * HOUR_MS + 5));
        write(&mut writer, idle());
        let time = store.clock().unwrap().unwrap().time.as_millis();
        assert_eq!(time / HOUR_MS, kept);
    }
    assert_eq!(writer.metrics().syncs, syncs + 1);
    drop((writer, store));

    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    writer.set_clock(at(3 * HOUR_MS + 5));
    write(&mut writer, idle());
    let time = store.clock().unwrap().unwrap().time.as_millis();
    assert_eq!(time, 3 * HOUR_MS + 5, "also before the first commit");
}
