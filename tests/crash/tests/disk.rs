//! The fault-injection disk as ordinary programs see it, through the kernel.
//!
//! Where no disk can be mounted these tests print that they are skipped.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_crash::disk::{
    Action, DiskSettings, EntryDurability, FaultDisk, FileKind, Operation, Rule, Timing,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// A mounted disk and its mount point; none if no disk can be mounted.
fn disk(settings: DiskSettings) -> Option<(FaultDisk, tempfile::TempDir)> {
    let below = tempfile::tempdir().expect("a temporary directory");
    match FaultDisk::mount(below.path(), settings) {
        Ok(disk) => Some((disk, below)),
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            None
        }
    }
}

fn on_log(operation: Operation, skip: u64, action: Action) -> Rule {
    Rule {
        operation,
        file: Some(FileKind::Log),
        thread: None,
        skip,
        persistent: false,
        action,
    }
}

fn power_cycle(disk: &FaultDisk, seed: u64) {
    disk.lose_power(seed);
    disk.power_on();
}

#[test]
fn it_supports_the_usual_file_operations() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    let root = disk.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    let path = root.join("a/b/file");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    file.write_all_at(b"middle", 1_000_000).unwrap();
    let mut middle = [0; 6];
    file.read_exact_at(&mut middle, 1_000_000).unwrap();
    assert_eq!(&middle, b"middle");
    file.set_len(10).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10);
    fs::hard_link(&path, root.join("linked")).unwrap();
    fs::rename(&path, root.join("moved")).unwrap();
    let listed = |path: &std::path::Path| {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let mut names: Vec<_> = listed(root);
    names.sort();
    assert_eq!(names, ["a", "linked", "moved"]);
    assert_eq!(listed(&root.join("a/b")), Vec::<std::ffi::OsString>::new());
    // The kernel implements file locks, which a data directory needs.
    file.try_lock().unwrap();
    let other = File::open(root.join("moved")).unwrap();
    assert!(other.try_lock().is_err());
    // An open file outlives its last name.
    fs::remove_file(root.join("moved")).unwrap();
    fs::remove_file(root.join("linked")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10);
    fs::remove_dir(root.join("a/b")).unwrap();
    let gone = File::open(&path).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[test]
fn a_large_directory_is_listed_completely() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    // More entries than one reply to the kernel has room for.
    for number in 0..500 {
        let name = format!("a-long-name-so-that-a-page-is-soon-full-{number}");
        File::create(disk.path().join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 500);
}

#[test]
fn a_power_loss_loses_unsynced_bytes_only() {
    let mut lost = 0;
    for seed in 0..20 {
        let Some((disk, _below)) = disk(DiskSettings::default()) else {
            return;
        };
        let path = disk.path().join("000001.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"synced").unwrap();
        file.sync_data().unwrap();
        File::open(disk.path()).unwrap().sync_all().unwrap();
        file.write_all(b" and not synced").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"synced and not synced");
        disk.lose_power(seed);
        let refused = file.write_all(b"more").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(5), "EIO without power");
        disk.power_on();
        assert!(
            file.sync_all().is_err(),
            "handles from before a power loss are invalid"
        );
        let left = fs::read(&path).unwrap();
        assert!(left.starts_with(b"synced"), "seed {seed}");
        lost += u32::from(left != b"synced and not synced");
    }
    assert!(lost > 10, "{lost} of 20");
}

#[test]
fn with_ordered_entries_syncing_a_file_keeps_its_name() {
    for entries in [EntryDurability::Ordered, EntryDurability::Strict] {
        let mut kept = 0;
        for seed in 0..10 {
            let settings = DiskSettings {
                entries,
                ..DiskSettings::default()
            };
            let Some((disk, _below)) = disk(settings) else {
                return;
            };
            let path = disk.path().join("file");
            let mut file = File::create(&path).unwrap();
            file.write_all(b"bytes").unwrap();
            file.sync_all().unwrap();
            power_cycle(&disk, seed);
            kept += u32::from(fs::read(&path).is_ok_and(|bytes| bytes == b"bytes"));
        }
        match entries {
            EntryDurability::Ordered => assert_eq!(kept, 10),
            EntryDurability::Strict => assert!(kept < 10),
        }
    }
}

#[test]
fn a_sync_during_which_power_is_lost_fails() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    let timing = Timing::After;
    disk.arm(on_log(
        Operation::Sync,
        2,
        Action::LosePower { timing, seed: 1 },
    ));
    // Writes ten lines, syncs each and then prints it, until a sync fails.
    let script = "for n in 0 1 2 3 4 5 6 7 8 9; do \
         printf '%s\\n' $n | dd of=1.log oflag=append conv=notrunc,fsync status=none || exit 9; \
         [ $n = 0 ] && sync .; echo $n; done";
    let mut program = Command::new("sh")
        .args(["-c", script])
        .current_dir(disk.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(disk.wait_for_power_loss(DEADLINE));
    let mut printed = String::new();
    let mut out = program.stdout.take().unwrap();
    out.read_to_string(&mut printed).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(9));
    assert_eq!(
        printed, "0\n1\n",
        "the third line was synced but not printed"
    );
    let at = disk.loss().unwrap().at;
    assert_eq!(at, Some((Operation::Sync, FileKind::Log, timing)));
    disk.power_on();
    assert_eq!(fs::read(disk.path().join("1.log")).unwrap(), b"0\n1\n2\n");
}

#[test]
fn a_hanging_sync_does_not_block_other_operations() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    disk.arm(on_log(Operation::Sync, 0, Action::Hang));
    let mut log = File::create(disk.path().join("1.log")).unwrap();
    log.write_all(b"x").unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let waiting = std::thread::spawn(move || sender.send(log.sync_data()));
    // Other operations give the hanging sync time to complete by mistake.
    let mut number = 0;
    while disk.hanging_syncs() == 0 {
        fs::write(disk.path().join("other"), format!("{number}")).unwrap();
        number += 1;
    }
    fs::write(disk.path().join("other"), b"unblocked").unwrap();
    File::open(disk.path()).unwrap().sync_all().unwrap();
    assert!(receiver.try_recv().is_err());
    assert_eq!(disk.resume_syncs(), 1);
    receiver.recv_timeout(DEADLINE).unwrap().unwrap();
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_full_disk_returns_an_error_until_there_is_room() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    disk.set_capacity(10_000);
    let mut file = File::create(disk.path().join("file")).unwrap();
    let full = file.write_all(&[1; 20_000]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.usage(), (10_000, 10_000));
    disk.set_capacity(1 << 20);
    file.write_all(&[1; 20_000]).unwrap();
}

#[test]
fn it_is_unmounted_with_open_files() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    let at = disk.path().to_owned();
    let _open = File::create(at.join("file")).unwrap();
    let mounted = || {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.contains(&*at.to_string_lossy())
    };
    assert!(mounted());
    drop(disk);
    assert!(!mounted());
    assert_eq!(fs::read_dir(&at).unwrap().count(), 0);
}
