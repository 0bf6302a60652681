//! Faults, power losses and a full disk.

use super::*;

const LOG: &str = "000004.log";

fn disk() -> (Disk, Inode) {
    let mut disk = Disk::new(DiskSettings::default());
    let log = disk.create(ROOT, OsStr::new(LOG), false).unwrap().inode;
    disk.sync(ROOT).unwrap();
    (disk, log)
}

fn rule(operation: Operation, skip: u64, action: Action) -> Rule {
    Rule {
        operation,
        file: Some(FileKind::Log),
        thread: None,
        skip,
        persistent: false,
        action,
    }
}

const fn lose_power(timing: Timing, seed: u64) -> Action {
    Action::LosePower { timing, seed }
}

fn log_bytes(disk: &mut Disk) -> Vec<u8> {
    let log = disk.lookup(ROOT, OsStr::new(LOG)).unwrap().inode;
    disk.read(log, 0, 1 << 20).unwrap().to_vec()
}

#[test]
fn without_power_every_operation_fails() {
    let (mut disk, log) = disk();
    disk.write(log, 0, b"synced").unwrap();
    assert_eq!(disk.sync(log), Ok(SyncStatus::Done));
    disk.lose_power(7);
    let failure = Some(DiskError::Io);
    assert_eq!(disk.write(log, 0, b"x").err(), failure);
    assert_eq!(disk.sync(log).err(), failure);
    assert_eq!(disk.sync(ROOT).err(), failure);
    assert_eq!(disk.finish_sync(log).err(), failure);
    assert_eq!(disk.read(log, 0, 1).err(), failure);
    assert_eq!(disk.open(log).err(), failure);
    assert_eq!(disk.create(ROOT, OsStr::new("x"), false).err(), failure);
    assert_eq!(disk.lookup(ROOT, OsStr::new(LOG)).err(), failure);
    assert!(disk.names(ROOT).is_err());
    assert_eq!(disk.resize(log, 0).err(), failure);
    disk.power_on();
    assert_eq!(log_bytes(&mut disk), b"synced");
}

#[test]
fn a_power_loss_after_a_sync_keeps_its_bytes_but_fails_it() {
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Sync, 0, lose_power(Timing::After, seed)));
        disk.write(log, 0, b"in time").unwrap();
        assert_eq!(disk.sync(log), Err(DiskError::Io));
        let at = disk.loss().unwrap().at;
        assert_eq!(at, Some((Operation::Sync, FileKind::Log, Timing::After)));
        disk.power_on();
        assert_eq!(log_bytes(&mut disk), b"in time");
    }
}

#[test]
fn a_power_loss_before_a_sync_may_lose_its_bytes() {
    let mut kept = 0;
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Sync, 0, lose_power(Timing::Before, seed)));
        disk.write(log, 0, b"too late").unwrap();
        assert_eq!(disk.sync(log), Err(DiskError::Io));
        disk.power_on();
        kept += u32::from(log_bytes(&mut disk) == b"too late");
    }
    assert!((1..50).contains(&kept), "{kept}");
}

#[test]
fn a_power_loss_during_a_write_tears_it() {
    let mut torn = 0;
    for seed in 0..50 {
        let (mut disk, log) = disk();
        disk.arm(rule(Operation::Write, 1, lose_power(Timing::During, seed)));
        disk.write(log, 0, &[1; 1000]).unwrap();
        disk.sync(log).unwrap();
        let failure = disk.write(log, 1000, &[2; 3000]);
        assert_eq!(failure, Err(DiskError::Io));
        disk.power_on();
        let left = log_bytes(&mut disk);
        assert!(left.starts_with(&[1; 1000]));
        torn += u32::from((1001..4000).contains(&left.len()));
    }
    assert!(torn > 30, "{torn}");
}

#[test]
fn a_power_loss_before_an_unlink_keeps_the_file() {
    let (mut disk, _) = disk();
    disk.arm(rule(Operation::Unlink, 0, lose_power(Timing::Before, 1)));
    let failure = disk.remove(ROOT, OsStr::new(LOG), false);
    assert_eq!(failure, Err(DiskError::Io));
    disk.power_on();
    assert!(disk.lookup(ROOT, OsStr::new(LOG)).is_ok());
}

#[test]
fn a_failed_write_has_no_effect_and_a_later_sync_does_not_repair_a_failed_one() {
    let (mut disk, log) = disk();
    disk.write(log, 0, b"one").unwrap();
    disk.arm(rule(Operation::Write, 0, Action::Fail));
    assert_eq!(disk.write(log, 3, b"two"), Err(DiskError::Io));
    disk.arm(rule(Operation::Write, 0, Action::Full));
    assert_eq!(disk.write(log, 3, b"two"), Err(DiskError::NoSpace));
    disk.arm(rule(Operation::Sync, 0, Action::Fail));
    assert_eq!(disk.sync(log), Err(DiskError::Io));
    assert_eq!(log_bytes(&mut disk), b"one");
    disk.write(log, 3, b"two").unwrap();
    assert_eq!(disk.sync(log), Ok(SyncStatus::Done));
    disk.lose_power(1);
    disk.power_on();
    assert_eq!(log_bytes(&mut disk), b"\0\0\0two");
}

#[test]
fn a_full_disk_writes_what_fits() {
    let (mut disk, log) = disk();
    disk.set_capacity(10);
    assert_eq!(disk.write(log, 0, b"12345678"), Ok(8));
    assert_eq!(disk.write(log, 8, b"90abc"), Ok(2));
    assert_eq!(disk.write(log, 10, b"x"), Err(DiskError::NoSpace));
    assert_eq!(disk.resize(log, 11), Err(DiskError::NoSpace));
    assert_eq!(disk.write(log, 0, b"over old"), Ok(8));
    disk.set_capacity(20);
    assert_eq!(disk.write(log, 10, b"there is space"), Ok(10));
}

#[test]
fn a_hanging_sync_can_be_completed() {
    let (mut disk, log) = disk();
    disk.arm(rule(Operation::Sync, 0, Action::Hang));
    disk.write(log, 0, b"later").unwrap();
    assert_eq!(disk.sync(log), Ok(SyncStatus::Hanging));
    assert_eq!(disk.finish_sync(log), Ok(()));
    disk.lose_power(1);
    disk.power_on();
    assert_eq!(log_bytes(&mut disk), b"later");
}

#[test]
fn a_lying_disk_loses_synced_bytes() {
    let mut disk = Disk::new(DiskSettings {
        syncs_lie: true,
        ..DiskSettings::default()
    });
    let mut lost = 0;
    for seed in 0..100 {
        let log = disk.create(ROOT, OsStr::new(LOG), false).unwrap().inode;
        disk.write(log, 0, b"synced").unwrap();
        assert_eq!(disk.sync(log), Ok(SyncStatus::Done));
        assert_eq!(disk.sync(ROOT), Ok(SyncStatus::Done));
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
    assert_eq!(counts.get(Operation::Write, FileKind::Log), 2);
    assert_eq!(counts.get(Operation::Sync, FileKind::Log), 1);
    assert_eq!(counts.get(Operation::SyncDirectory, FileKind::Other), 1);
    assert_eq!(counts.get(Operation::Read, FileKind::Log), 0);
}
