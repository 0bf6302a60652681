//! The disk that hangs when it is told to, as a script drives it.
//!
//! Where nothing can be mounted these tests say so and check nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use muster_crash::disk::{DiskSettings, ForgetfulDisk};

/// A look is a line there and back, so these take a minute.
const LOOKS_MAX: u32 = 2_000_000;

struct Disk {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    at: tempfile::TempDir,
}

impl Disk {
    /// None, and a loud word, where no disk can be mounted.
    fn mounted() -> Option<Self> {
        let at = tempfile::tempdir().expect("a temporary directory");
        if let Err(error) = ForgetfulDisk::mount(at.path(), DiskSettings::default()) {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            return None;
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_muster-crash"))
            .args(["disk", "--at"])
            .arg(at.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut disk = Self {
            orders: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().expect("it is a pipe")),
            process,
            at,
        };
        assert_eq!(disk.answer(), "mounted");
        Some(disk)
    }

    fn order(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("it was not ended");
        writeln!(orders, "{order}").expect("it reads");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("Linux has it");
        mounts.contains(&*self.at.path().to_string_lossy())
    }
}

#[test]
fn syncs_of_the_log_wait_from_hang_to_go_on_and_others_do_not() {
    let Some(mut disk) = Disk::mounted() else {
        return;
    };
    let file = |name: &str| {
        let mut file = File::create(disk.at.path().join(name)).expect("it is a file system");
        file.write_all(b"bytes").expect("it has room");
        file
    };
    let (log, other) = (file("000001.log"), file("other"));
    log.sync_all().expect("nothing hangs yet");
    assert_eq!(disk.order("hang"), "hangs");
    let waiter = std::thread::spawn(move || log.sync_all());
    other.sync_all().expect("only logs hang");
    let came = (0..LOOKS_MAX).any(|_| disk.order("waiting") != "0");
    assert!(came, "the sync never came to the disk");
    assert!(!waiter.is_finished());
    assert_eq!(disk.order("go on"), "goes on, 1 waited");
    let synced = waiter.join().expect("it only syncs");
    synced.expect("what waited succeeds");
    drop(other);
    assert_eq!(
        disk.order("jump"),
        "not an order: hang, waiting, go on, end"
    );
    assert_eq!(disk.order("end"), "ended");
    assert!(disk.process.wait().expect("it ends").success());
    assert!(!disk.is_mounted());
}

#[test]
fn the_end_of_the_orders_unmounts() {
    let Some(mut disk) = Disk::mounted() else {
        return;
    };
    assert!(disk.is_mounted());
    disk.orders = None;
    assert!(disk.process.wait().expect("it ends").success());
    assert!(!disk.is_mounted());
}
