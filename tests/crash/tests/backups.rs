//! Backups of a server onto a disk of their own that is full or stuck.
//!
//! Where nothing can be mounted these tests say so and check nothing.

use std::fs;
use std::path::{Path, PathBuf};

use muster_crash::configuration;
use muster_crash::disk::{Action, DiskSettings, ForgetfulDisk, Operation, Rule};
use muster_crash::observe::{back_up, get};
use muster_crash::options::Options;
use muster_crash::policy::Policy;
use muster_crash::process::{Ended, Server};
use muster_crash::site::Site;

/// A server whose backups go to a disk that can be made bad.
struct Source {
    // Dropped in this order: nobody works on the disk any more when it goes.
    server: Server,
    disk: ForgetfulDisk,
    ops: String,
    site: Site,
    folder: PathBuf,
    _scratch: tempfile::TempDir,
}

fn source() -> Option<Source> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let binary = Path::new(env!("CARGO_BIN_EXE_muster-crash")).with_file_name("muster");
    let site = Site::make(&binary, scratch.path()).expect("cargo build --release --bin muster");
    let folder = site.folder("servers").expect("it is new");
    let data = folder.join("data");
    let backups = configuration::backups(&data);
    fs::create_dir(&backups).expect("it is new");
    let disk = match ForgetfulDisk::mount(&backups, DiskSettings::default()) {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            return None;
        }
    };
    let (settings, policy) = (Options::draw(1).settings, Policy::default_for(1));
    let file = folder.join("muster.toml");
    let text = configuration::to_toml(&settings, &policy, &data, &site.pki());
    fs::write(&file, text).expect("it is writable");
    let command = site
        .muster
        .command(["serve", "--config", &*file.to_string_lossy()]);
    let mut server = Server::start(command, &folder.join("server.log")).expect("it starts");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime starts");
    let (addresses, _) = runtime.block_on(server.ready()).expect("it is ready");
    Some(Source {
        server,
        disk,
        ops: addresses.ops,
        site,
        folder,
        _scratch: scratch,
    })
}

impl Source {
    /// Asserts that a backup is whole.
    fn restores(&self, name: &str) {
        let copy = self.folder.join(format!("copy-of-{name}"));
        let ended = self
            .site
            .muster
            .restore(&self.disk.path().join(name), &copy, None);
        assert_eq!(ended.expect("it runs"), Ended::Code(0), "{name}");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.disk.path()).expect("it is mounted");
        let names = entries.map(|entry| entry.expect("it is mounted").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

#[test]
fn a_backup_onto_a_full_disk_fails_and_leaves_nothing_and_the_server_goes_on() {
    let Some(source) = source() else { return };
    let (_, capacity) = source.disk.usage();
    for room in [0, 1_000, 5_000] {
        source.disk.set_capacity(source.disk.usage().0 + room);
        let (status, body) = back_up(&source.ops, "a").expect("it answers");
        assert_eq!(status, 500, "{body}");
        assert!(
            body.contains("backupFailed") && body.contains("No space left"),
            "{body}"
        );
        assert_eq!(source.names(), [""; 0], "{room} bytes of room");
        assert_eq!(get(&source.ops, "/ready").expect("it answers").0, 200);
        source.disk.set_capacity(capacity);
    }
    assert_eq!(back_up(&source.ops, "a").expect("it answers").0, 200);
    source.restores("a");
}

#[test]
fn a_second_backup_is_refused_while_the_first_is_made() {
    let Some(source) = source() else { return };
    source.disk.arm(Rule {
        operation: Operation::Sync,
        file: None,
        thread: None,
        passing: 0,
        lasting: true,
        action: Action::Hang,
    });
    let first = std::thread::spawn({
        let ops = source.ops.clone();
        move || back_up(&ops, "first")
    });
    while source.disk.hanging() == 0 {
        assert!(!first.is_finished(), "it syncs what it has copied");
        std::thread::yield_now();
    }
    let (status, body) = back_up(&source.ops, "second").expect("it answers");
    assert!(
        status == 409 && body.contains("backupRunning"),
        "{status}: {body}"
    );
    source.disk.disarm();
    source.disk.let_go();
    let (status, body) = first.join().expect("no panic there").expect("it answers");
    assert_eq!(status, 200, "{body}");
    assert_eq!(source.names(), ["first"]);
    assert_eq!(back_up(&source.ops, "second").expect("it answers").0, 200);
    for name in ["first", "second"] {
        source.restores(name);
    }
    drop(source.server);
}
