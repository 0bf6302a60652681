//! The disk that hangs on command, driven as by a script.
//!
//! Where no disk can be mounted these tests print that they are skipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use muster_crash::disk::{DiskSettings, FaultDisk};

/// Maximum number of polls; each is a command and its reply, so all of them take a minute.
const POLLS_MAX: u32 = 2_000_000;

struct Disk {
    process: Child,
    commands: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    at: tempfile::TempDir,
}

impl Disk {
    /// None if no disk can be mounted.
    fn mounted() -> Option<Self> {
        let at = tempfile::tempdir().expect("a temporary directory");
        if let Err(error) = FaultDisk::mount(at.path(), DiskSettings::default()) {
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
            commands: process.stdin.take(),
            replies: BufReader::new(process.stdout.take().expect("stdout is a pipe")),
            process,
            at,
        };
        assert_eq!(disk.reply(), "mounted");
        Some(disk)
    }

    fn send(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("the input is open");
        writeln!(commands, "{command}").expect("the command is read");
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("it replies");
        line.trim().to_owned()
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("Linux has this file");
        mounts.contains(&*self.at.path().to_string_lossy())
    }
}

#[test]
fn syncs_of_a_log_hang_until_resumed_and_others_do_not() {
    let Some(mut disk) = Disk::mounted() else {
        return;
    };
    let file = |name: &str| {
        let mut file = File::create(disk.at.path().join(name)).expect("the file is created");
        file.write_all(b"bytes").expect("the disk has room");
        file
    };
    let (log, other) = (file("000001.log"), file("other"));
    log.sync_all().expect("no sync hangs yet");
    assert_eq!(disk.send("hang"), "hanging");
    let waiter = std::thread::spawn(move || log.sync_all());
    other.sync_all().expect("only logs hang");
    let is_waiting = (0..POLLS_MAX).any(|_| disk.send("waiting") != "0");
    assert!(is_waiting, "the sync never reached the disk");
    assert!(!waiter.is_finished());
    assert_eq!(disk.send("resume"), "resumed, 1 waited");
    let synced = waiter.join().expect("the thread does not panic");
    synced.expect("a resumed sync succeeds");
    drop(other);
    assert_eq!(
        disk.send("jump"),
        "unknown command; the commands are hang, waiting, resume and end"
    );
    assert_eq!(disk.send("end"), "ended");
    assert!(disk.process.wait().expect("the process ends").success());
    assert!(!disk.is_mounted());
}

#[test]
fn the_end_of_the_input_unmounts() {
    let Some(mut disk) = Disk::mounted() else {
        return;
    };
    assert!(disk.is_mounted());
    disk.commands = None;
    assert!(disk.process.wait().expect("the process ends").success());
    assert!(!disk.is_mounted());
}
