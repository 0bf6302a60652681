//! The disk that forgets, through the kernel: what ordinary programs see of it.
//!
//! Where nothing can be mounted these tests say so and check nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_crash::disk::{
    Action, DiskSettings, Entries, FileKind, ForgetfulDisk, Moment, Operation, Rule,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// A mounted disk and the directory below it, or a loud word that there is none.
fn disk(settings: DiskSettings) -> Option<(ForgetfulDisk, tempfile::TempDir)> {
    let below = tempfile::tempdir().expect("a temporary directory");
    match ForgetfulDisk::mount(below.path(), settings) {
        Ok(disk) => Some((disk, below)),
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            None
        }
    }
}

fn on_log(operation: Operation, passing: u64, action: Action) -> Rule {
    Rule {
        operation,
        file: Some(FileKind::Log),
        thread: None,
        passing,
        lasting: false,
        action,
    }
}

fn cycle(disk: &ForgetfulDisk, seed: u64) {
    disk.lose_power(seed);
    disk.power_on();
}

#[test]
fn it_is_a_file_system() {
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
    // Locks are the kernel's own, as a data directory needs them.
    file.try_lock().unwrap();
    let other = File::open(root.join("moved")).unwrap();
    assert!(other.try_lock().is_err());
    // Open after its last name is gone.
    fs::remove_file(root.join("moved")).unwrap();
    fs::remove_file(root.join("linked")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 10);
    fs::remove_dir(root.join("a/b")).unwrap();
    let gone = File::open(&path).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[test]
fn many_names_are_all_listed() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    // More than one answer to the kernel holds.
    for number in 0..500 {
        let name = format!("a-long-name-so-that-a-page-is-soon-full-{number}");
        File::create(disk.path().join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 500);
}

#[test]
fn power_takes_what_was_not_synced_and_leaves_what_was() {
    let mut forgotten = 0;
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
        assert!(file.sync_all().is_err(), "a handle of before");
        let left = fs::read(&path).unwrap();
        assert!(left.starts_with(b"synced"), "seed {seed}");
        forgotten += u32::from(left != b"synced and not synced");
    }
    assert!(forgotten > 10, "{forgotten} of 20");
}

#[test]
fn an_ordered_disk_keeps_a_name_with_the_file() {
    for entries in [Entries::Ordered, Entries::Strict] {
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
            cycle(&disk, seed);
            kept += u32::from(fs::read(&path).is_ok_and(|bytes| bytes == b"bytes"));
        }
        match entries {
            Entries::Ordered => assert_eq!(kept, 10),
            Entries::Strict => assert!(kept < 10),
        }
    }
}

#[test]
fn a_program_that_is_struck_in_a_sync_is_told_nothing_and_can_be_killed() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    let moment = Moment::After;
    disk.arm(on_log(
        Operation::Sync,
        2,
        Action::LosePower { moment, seed: 1 },
    ));
    // Ten lines, each synced, each told to us afterwards, until one sync fails.
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
    assert!(disk.wait_for_loss(DEADLINE));
    let mut told = String::new();
    let mut out = program.stdout.take().unwrap();
    out.read_to_string(&mut told).unwrap();
    assert_eq!(program.wait().unwrap().code(), Some(9));
    assert_eq!(told, "0\n1\n", "the third was synced, and nobody knows");
    let at = disk.loss().unwrap().at;
    assert_eq!(at, Some((Operation::Sync, FileKind::Log, moment)));
    disk.power_on();
    assert_eq!(fs::read(disk.path().join("1.log")).unwrap(), b"0\n1\n2\n");
}

#[test]
fn a_sync_that_hangs_holds_up_nobody_else() {
    let Some((disk, _below)) = disk(DiskSettings::default()) else {
        return;
    };
    disk.arm(on_log(Operation::Sync, 0, Action::Hang));
    let mut log = File::create(disk.path().join("1.log")).unwrap();
    log.write_all(b"x").unwrap();
    let (done, told) = std::sync::mpsc::sync_channel(1);
    let waiting = std::thread::spawn(move || done.send(log.sync_data()));
    // Whatever else happens meanwhile gives the hanging sync time to end by mistake.
    let mut number = 0;
    while disk.hanging() == 0 {
        fs::write(disk.path().join("other"), format!("{number}")).unwrap();
        number += 1;
    }
    fs::write(disk.path().join("other"), b"goes on").unwrap();
    File::open(disk.path()).unwrap().sync_all().unwrap();
    assert!(told.try_recv().is_err());
    assert_eq!(disk.let_go(), 1);
    told.recv_timeout(DEADLINE).unwrap().unwrap();
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_full_disk_says_so_and_takes_bytes_again_when_there_is_room() {
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
fn it_is_unmounted_even_with_open_files() {
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
