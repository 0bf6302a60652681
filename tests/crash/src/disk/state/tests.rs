//! Faults, losses of power, and the end of space.

use super::*;

const LOG: &str = "000004.log";

fn disk() -> (Disk, Inode) {
    let mut disk = Disk::new(DiskSettings::default());
    let log = disk.create(ROOT, OsStr::new(LOG), false).unwrap().inode;
    disk.sync(ROOT).unwrap();
    (disk, log)
}

fn rule(operation: Operation, passing: u64, action: Action) -> Rule {
    Rule {
        operation,
        file: Some(FileKind::Log),
        thread: None,
        passing,
        lasting: false,
        action,
    }
}

const fn power(moment: Moment, seed: u64) -> Action {
    Action::LosePower { moment, seed }
}

fn found(disk: &mut Disk) -> Vec<u8> {
    let log = disk.lookup(ROOT, OsStr::new(LOG)).unwrap().inode;
    disk.read(log, 0, 1 << 20).unwrap().to_vec()
}

#[test]
fn without_power_nothing_succeeds_until_it_is_back() {
    let (mut disk, log) = disk();
    disk.write(log, 0, b"synced").unwrap();
    assert_eq!(disk.sync(log), Ok(Synced::Done));
    disk.lose_power(7);
    let refused = Some(Refusal::InputOutput);
    assert_eq!(disk.write(log, 0, b"x").err(), refused);
    assert_eq!(disk.sync(log).err(), refused);
    assert_eq!(disk.sync(ROOT).err(), refused);
    assert_eq!(disk.finish_sync(log).err(), refused);
    assert_eq!(disk.read(log, 0, 1).err(), refused);
    assert_eq!(disk.open(log).err(), refused);
    assert_eq!(disk.create(ROOT, OsStr::new("x"), false).err(), refused);
    assert_eq!(disk.lookup(ROOT, OsStr::new(LOG)).err(), refused);
    assert!(disk.names(ROOT).is_err());
    assert_eq!(disk.resize(log, 0).err(), refused);
    disk.power_on();
    assert_eq!(found(&mut disk), b"synced");
}

#[test]
fn power_lost_after_a_sync_has_kept_it_and_told_nobody() {
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Sync, 0, power(Moment::After, seed)));
        disk.write(log, 0, b"in time").unwrap();
        assert_eq!(disk.sync(log), Err(Refusal::InputOutput));
        let at = disk.loss().unwrap().at;
        assert_eq!(at, Some((Operation::Sync, FileKind::Log, Moment::After)));
        disk.power_on();
        assert_eq!(found(&mut disk), b"in time");
    }
}

#[test]
fn power_lost_before_a_sync_may_lose_what_it_would_have_kept() {
    let mut kept = 0;
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Sync, 0, power(Moment::Before, seed)));
        disk.write(log, 0, b"too late").unwrap();
        assert_eq!(disk.sync(log), Err(Refusal::InputOutput));
        disk.power_on();
        kept += u32::from(found(&mut disk) == b"too late");
    }
    assert!((1..50).contains(&kept), "{kept}");
}

#[test]
fn power_lost_during_a_write_tears_it() {
    let mut torn = 0;
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Write, 1, power(Moment::During, seed)));
        disk.write(log, 0, &[1; 1000]).unwrap();
        disk.sync(log).unwrap();
        let refused = disk.write(log, 1000, &[2; 3000]);
        assert_eq!(refused, Err(Refusal::InputOutput));
        disk.power_on();
        let left = found(&mut disk);
        assert!(left.starts_with(&[1; 1000]));
        torn += u32::from((1001..4000).contains(&left.len()));
    }
    assert!(torn > 30, "{torn}");
}

#[test]
fn power_lost_before_an_unlink_keeps_the_file() {
    let (mut disk, _) = disk();
    disk.arm(rule(Operation::Unlink, 0, power(Moment::Before, 1)));
    let refused = disk.remove(ROOT, OsStr::new(LOG), false);
    assert_eq!(refused, Err(Refusal::InputOutput));
    disk.power_on();
    assert!(disk.lookup(ROOT, OsStr::new(LOG)).is_ok());
}

#[test]
fn a_failed_write_changes_nothing_and_a_failed_sync_can_not_be_made_good() {
    let (mut disk, log) = disk();
    disk.write(log, 0, b"one").unwrap();
    disk.arm(rule(Operation::Write, 0, Action::Fail));
    assert_eq!(disk.write(log, 3, b"two"), Err(Refusal::InputOutput));
    disk.arm(rule(Operation::Write, 0, Action::Full));
    assert_eq!(disk.write(log, 3, b"two"), Err(Refusal::NoSpace));
    disk.arm(rule(Operation::Sync, 0, Action::Fail));
    assert_eq!(disk.sync(log), Err(Refusal::InputOutput));
    assert_eq!(found(&mut disk), b"one");
    disk.write(log, 3, b"two").unwrap();
    assert_eq!(disk.sync(log), Ok(Synced::Done));
    disk.lose_power(1);
    disk.power_on();
    assert_eq!(found(&mut disk), b"\0\0\0two");
}

#[test]
fn a_full_disk_takes_what_fits_and_refuses_the_rest() {
    let (mut disk, log) = disk();
    disk.set_capacity(10);
    assert_eq!(disk.write(log, 0, b"12345678"), Ok(8));
    assert_eq!(disk.write(log, 8, b"90abc"), Ok(2));
    assert_eq!(disk.write(log, 10, b"x"), Err(Refusal::NoSpace));
    assert_eq!(disk.resize(log, 11), Err(Refusal::NoSpace));
    assert_eq!(disk.write(log, 0, b"over old"), Ok(8));
    disk.set_capacity(20);
    assert_eq!(disk.write(log, 10, b"there is space"), Ok(10));
}

#[test]
fn a_hanging_sync_ends_when_it_is_let_go() {
    let (mut disk, log) = disk();
    disk.arm(rule(Operation::Sync, 0, Action::Hang));
    disk.write(log, 0, b"later").unwrap();
    assert_eq!(disk.sync(log), Ok(Synced::Hanging));
    assert_eq!(disk.finish_sync(log), Ok(()));
    disk.lose_power(1);
    disk.power_on();
    assert_eq!(found(&mut disk), b"later");
}

#[test]
fn a_disk_that_lies_loses_what_it_called_durable() {
    let mut disk = Disk::new(DiskSettings {
        syncs_lie: true,
        ..DiskSettings::default()
    });
    let mut lost = 0;
    for seed in 0..100 {
        let log = disk.create(ROOT, OsStr::new(LOG), false).unwrap().inode;
        disk.write(log, 0, b"promised").unwrap();
        assert_eq!(disk.sync(log), Ok(Synced::Done));
        assert_eq!(disk.sync(ROOT), Ok(Synced::Done));
        disk.lose_power(seed);
        disk.power_on();
        if disk.lookup(ROOT, OsStr::new(LOG)).is_ok() {
            disk.remove(ROOT, OsStr::new(LOG), false).unwrap();
        } else {
            lost += 1;
        }
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn operations_are_counted_by_kind() {
    let (mut disk, log) = disk();
    disk.write(log, 0, b"1").unwrap();
    disk.write(log, 1, b"2").unwrap();
    disk.sync(log).unwrap();
    let counts = disk.counts();
    assert_eq!(counts.of(Operation::Write, FileKind::Log), 2);
    assert_eq!(counts.of(Operation::Sync, FileKind::Log), 1);
    assert_eq!(counts.of(Operation::SyncDirectory, FileKind::Other), 1);
    assert_eq!(counts.of(Operation::Read, FileKind::Log), 0);
}
