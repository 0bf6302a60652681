//! Backups of a server onto a separate disk that is full or hangs.
//!
//! Where no disk can be mounted these tests print that they are skipped.

use std::fs;
use std::path::PathBuf;

use muster_crash::configuration;
use muster_crash::disk::{Action, DiskSettings, FaultDisk, Operation, Rule};
use muster_crash::environment::TestEnvironment;
use muster_crash::muster::restore;
use muster_crash::observe::{back_up, get};
use muster_crash::options::DirectoryOptions;
use muster_testkit::muster::Muster;
use muster_testkit::server::{Ended, Server};

/// A server whose backups go to a fault-injection disk.
struct Source {
    // Dropped first, so that it no longer uses the disk when that is unmounted.
    server: Server,
    disk: FaultDisk,
    ops: String,
    environment: TestEnvironment,
    directory: PathBuf,
    _scratch: tempfile::TempDir,
}

fn source() -> Option<Source> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let muster = Muster::beside_this_test();
    let environment =
        TestEnvironment::make(muster.path(), scratch.path()).expect("certificates can be made");
    let directory = environment.folder("servers").expect("the directory is new");
    let data = directory.join("data");
    let backups = configuration::backups(&data);
    fs::create_dir(&backups).expect("the directory is new");
    let disk = match FaultDisk::mount(&backups, DiskSettings::default()) {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            return None;
        }
    };
    let settings = DirectoryOptions::sample(1).settings;
    let file = directory.join("muster.toml");
    let text = configuration::to_toml(&settings, 2, &data, &environment.pki());
    fs::write(&file, text).expect("the file is written");
    let command = environment
        .muster
        .command(["serve", "--config", &*file.to_string_lossy()]);
    let mut server =
        Server::start_logged(command, &directory.join("server.log")).expect("the server starts");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("the runtime starts");
    let (addresses, _) = runtime
        .block_on(server.ready())
        .expect("the server becomes ready");
    Some(Source {
        server,
        disk,
        ops: addresses.ops,
        environment,
        directory,
        _scratch: scratch,
    })
}

impl Source {
    /// Asserts that a backup can be restored.
    fn assert_restores(&self, name: &str) {
        let restored = self.directory.join(format!("restored-{name}"));
        let ended = restore(
            &self.environment.muster,
            &self.disk.path().join(name),
            &restored,
            None,
        );
        assert_eq!(ended.expect("the command runs"), Ended::Code(0), "{name}");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.disk.path()).expect("the disk is mounted");
        let names = entries.map(|entry| entry.expect("the disk is mounted").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

#[test]
fn a_backup_onto_a_full_disk_fails_and_leaves_no_files() {
    let Some(source) = source() else { return };
    let (_, capacity) = source.disk.usage();
    for room in [0, 1_000, 5_000] {
        source.disk.set_capacity(source.disk.usage().0 + room);
        let (status, body) = back_up(&source.ops, "a").expect("the server answers");
        assert_eq!(status, 500, "{body}");
        assert!(
            body.contains("backupFailed") && body.contains("No space left"),
            "{body}"
        );
        assert_eq!(source.names(), [""; 0], "{room} bytes of room");
        assert_eq!(
            get(&source.ops, "/ready").expect("the server answers").0,
            200
        );
        source.disk.set_capacity(capacity);
    }
    assert_eq!(
        back_up(&source.ops, "a").expect("the server answers").0,
        200
    );
    source.assert_restores("a");
}

#[test]
fn a_backup_is_refused_while_another_one_runs() {
    let Some(source) = source() else { return };
    source.disk.arm(Rule {
        operation: Operation::Sync,
        file: None,
        thread: None,
        skip: 0,
        persistent: true,
        action: Action::Hang,
    });
    let first = std::thread::spawn({
        let ops = source.ops.clone();
        move || back_up(&ops, "first")
    });
    while source.disk.hanging_syncs() == 0 {
        assert!(!first.is_finished(), "a backup syncs its files");
        std::thread::yield_now();
    }
    let (status, body) = back_up(&source.ops, "second").expect("the server answers");
    assert!(
        status == 409 && body.contains("backupRunning"),
        "{status}: {body}"
    );
    source.disk.disarm();
    source.disk.resume_syncs();
    let (status, body) = first
        .join()
        .expect("the thread does not panic")
        .expect("the server answers");
    assert_eq!(status, 200, "{body}");
    assert_eq!(source.names(), ["first"]);
    assert_eq!(
        back_up(&source.ops, "second")
            .expect("the server answers")
            .0,
        200
    );
    for name in ["first", "second"] {
        source.assert_restores(name);
    }
    drop(source.server);
}
