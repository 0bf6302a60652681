//! A backup made under load has everything that was acknowledged before it, and a restored one can be served.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_wire::DeviceId;
use serde_json::Value;

use crate::harness::*;

/// Number of backups, each after further checkpoints and trims.
const ROUNDS: u64 = 4;

fn settings() -> Settings {
    Settings {
        store: "backup_directory = \"backups\"\ncheckpoint_journal_bytes = \"64KiB\"\n\
                group_bytes_max = \"64KiB\""
            .to_owned(),
        ..Settings::default()
    }
}

/// Runs `muster backup` with a name or path.
fn back_up(server: &Server, directory: &str) -> CommandOutput {
    muster(&["backup", "--json", "--server", &server.ops.base, directory])
}

fn restore(backup: &Path, data: &Path) -> CommandOutput {
    let (backup, data) = (text(backup), text(data));
    muster(&["restore", "--json", backup, "--data-dir", data])
}

/// Asserts that a data directory has every device with the acknowledged seq or a higher one.
#[track_caller]
fn has_acknowledged(data: &Path, tenants: &[&str], acknowledged: &[BTreeMap<DeviceId, u64>]) {
    let ended = muster(&["devices", "--data-dir", text(data)]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    let mut found = BTreeMap::new();
    for line in ended.out.lines() {
        let device: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = |key: &str| device[key].as_str().expect("a string").to_owned();
        found.insert((name("tenant"), name("id")), device["seq"].as_u64());
    }
    for (tenant, devices) in tenants.iter().zip(acknowledged) {
        assert!(!devices.is_empty());
        for (device, seq) in devices {
            let key = ((*tenant).to_owned(), device.to_string());
            let stored = found.get(&key).copied().flatten();
            assert!(
                stored >= Some(*seq),
                "{key:?}: {seq} was acknowledged, but {stored:?} is stored"
            );
        }
    }
}

/// The report of a backup or restore that verified its result.
#[track_caller]
fn verified(ended: &CommandOutput) -> Value {
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    let report: Value = serde_json::from_str(&ended.out).expect("the report is JSON");
    assert_eq!(report["verified"], true, "{report:#}");
    report
}

#[test]
fn a_backup_under_load_has_everything_acknowledged_and_can_be_served_once_restored() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let senders: Vec<Sender> = (1..)
        .zip(["contoso", "fabrikam"])
        .map(|(number, tenant)| Sender::start(&server, &place.pki, tenant, number))
        .collect();
    let tenants: Vec<&str> = senders.iter().map(|sender| sender.tenant).collect();
    let mut acknowledged: Vec<BTreeMap<DeviceId, u64>> = Vec::new();
    let [mut checkpoints, mut trims] = [0.0; 2];
    for round in 1..=ROUNDS {
        eventually("acks, checkpoints and trims since the last backup", || {
            let mut all = senders.iter();
            let metrics = server.ops.metrics();
            let done = ["checkpoints", "trims"]
                .map(|what| metrics.get(&format!("muster_writer_{what}_total")));
            let is_due = all.all(|sender| sender.frames_acked() >= round * 200)
                && done[0] > checkpoints
                && done[1] > trims;
            is_due.then(|| [checkpoints, trims] = done)
        });
        acknowledged = senders.iter().map(Sender::acknowledged).collect();
        let before: u64 = senders.iter().map(Sender::frames_acked).sum();
        let report = verified(&back_up(&server, &format!("backup-{round}")));
        assert!(report["devices"].as_u64() > Some(0), "{report:#}");
        // Each backup is restored and recounted while the server continues.
        let (backup, copy) = (format!("backups/backup-{round}"), format!("copy-{round}"));
        verified(&restore(&place.path(&backup), &place.path(&copy)));
        has_acknowledged(&place.path(&copy), &tenants, &acknowledged);
        eventually("the senders continue", || {
            let now: u64 = senders.iter().map(Sender::frames_acked).sum();
            (now > before).then_some(())
        });
    }
    let backup = place.path("backups").join(format!("backup-{ROUNDS}"));
    let mut oracle = Oracle::new();
    for sender in senders {
        sender.finish(&mut oracle);
    }
    // The backups have not changed the state of the server.
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
    drop(server.stop());

    fs::rename(place.data(), place.path("lost")).unwrap();
    let files = Installation::files(&backup);
    verified(&restore(&backup, &place.data()));
    assert_eq!(
        Installation::files(&backup),
        files,
        "the backup is only read"
    );
    let server = place.start_with(&settings());
    for (tenant, devices) in tenants.iter().zip(&acknowledged) {
        assert!(!devices.is_empty());
        for (device, seq) in devices {
            let stored = server.ops.seq(tenant, *device);
            assert!(
                stored >= *seq,
                "{device}: {seq} was acknowledged, but {stored} is stored"
            );
        }
    }
    server.ops.recount_is_verified();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-9"));
    wait(client.send(&[random_check_in(&mut Random::new(1, 0), device(9_999), 1)])).unwrap();
    wait(client.flush()).unwrap();
    assert_eq!(server.ops.seq("contoso", device(9_999)), 1);
    // A restored store can be backed up, and later writes do not change the first backup.
    verified(&back_up(&server, "again"));
    drop(server.stop());
    verified(&restore(&backup, &place.path("second")));
}

#[test]
fn backups_go_only_into_the_configured_directory() {
    let place = Installation::new();
    let server = place.start();
    let ended = back_up(&server, "a");
    assert!(
        ended.one_fault(11).contains("store.backup_directory"),
        "{}",
        ended.err
    );
    drop(server.stop());

    let server = place.start_with(&settings());
    let outside = place.path("outside");
    for elsewhere in ["../outside", "in/outside", text(&outside), ".", "a.partial"] {
        let ended = back_up(&server, elsewhere);
        assert!(
            ended.one_fault(11).contains("answered 403"),
            "{}",
            ended.err
        );
    }
    assert!(!outside.exists() && !place.path("backups").exists());

    // Files left by an interrupted backup do not prevent the next one.
    fs::create_dir_all(place.path("backups/a.partial")).unwrap();
    fs::write(place.path("backups/a.partial/000001.sst"), "half").unwrap();
    // RocksDB's name of an incomplete checkpoint.
    fs::create_dir_all(place.path("backups/a.partial.tmp")).unwrap();
    fs::write(place.path("backups/a.partial.tmp/000001.sst"), "half").unwrap();
    verified(&back_up(&server, text(&place.path("backups/a"))));
    let files = Installation::files(&place.path("backups/a"));
    std::os::unix::fs::symlink(&outside, place.path("backups/link")).unwrap();
    for existing in ["a", "link"] {
        let ended = back_up(&server, existing);
        assert!(
            ended.one_fault(11).contains("answered 409"),
            "{}",
            ended.err
        );
    }
    assert_eq!(Installation::files(&place.path("backups/a")), files);
    assert!(!outside.exists());
    for left in ["a.partial", "a.partial.tmp"] {
        assert!(!place.path("backups").join(left).exists(), "{left}");
    }
    drop(server.stop());
}

#[test]
fn a_restore_overwrites_nothing_and_refuses_a_damaged_backup() {
    let place = with_backup();
    let backup = place.path("backups/a");

    let before = Installation::files(&place.data());
    restore(&backup, &place.data()).one_fault(6);
    assert_eq!(Installation::files(&place.data()), before);

    fs::create_dir(place.path("empty")).unwrap();
    assert_eq!(
        verified(&restore(&backup, &place.path("empty")))["devices"],
        50
    );

    let fresh = place.path("fresh");
    let mut damaged = 0;
    for (name, bytes) in Installation::files(&backup) {
        if !(name.ends_with(".sst") || name == "CURRENT" || name == "FORMAT") {
            continue;
        }
        // A new file, because those of the backup may be hard links.
        let path = backup.join(&name);
        fs::remove_file(&path).unwrap();
        let mut other = bytes.clone();
        other[bytes.len() / 3] ^= 0x10;
        fs::write(&path, other).unwrap();
        restore(&backup, &fresh).one_fault(6);
        assert!(
            !fresh.exists() && !place.path("fresh.partial").exists(),
            "{name}"
        );
        fs::write(&path, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged >= 3, "{damaged} files were damaged");
    assert_eq!(verified(&restore(&backup, &fresh))["devices"], 50);
}

/// A stopped server with 50 devices, and a backup `a` of it.
fn with_backup() -> Installation {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    for number in 0..50 {
        let check_in = random_check_in(&mut Random::new(number, 0), device(number), 1);
        wait(client.send(&[check_in])).expect("the server accepts the check-in");
    }
    wait(client.flush()).expect("the server acknowledges the check-ins");
    assert_eq!(verified(&back_up(&server, "a"))["devices"], 50);
    drop(server.stop());
    place
}

/// Leaves the files of a restore that was killed while it copied.
fn leave_interrupted_restore(place: &Installation, directory: &Path) {
    fs::create_dir_all(directory).expect("a scratch directory is writable");
    let files = Installation::files(&place.path("backups/a"));
    let names: String = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    let mark = format!("muster-restoring 1\n{names}");
    fs::write(directory.join("RESTORING"), mark).expect("a scratch directory is writable");
    for (name, bytes) in files.iter().take(files.len() / 2) {
        fs::write(directory.join(name), bytes).expect("a scratch directory is writable");
    }
    let (last, bytes) = &files[files.len() / 2];
    fs::write(directory.join(last), &bytes[..bytes.len() / 2])
        .expect("a scratch directory is writable");
}

#[test]
fn an_interrupted_restore_is_never_served_and_can_be_repeated() {
    let place = with_backup();
    let (backup, partial) = (place.path("backups/a"), place.path("data.partial"));
    fs::remove_dir_all(place.data()).unwrap();
    leave_interrupted_restore(&place, &partial);
    let half = Installation::files(&partial);

    // Under both names, because a new store under the final name would be mistaken for the restored one.
    let refused = place.refused(&settings());
    assert!(
        refused.one_fault(6).contains("RESTORING"),
        "{}",
        refused.err
    );
    assert!(!place.data().exists());
    let partial_settings = Settings {
        directory: "data.partial",
        ..settings()
    };
    let refused = place.refused(&partial_settings);
    assert!(
        refused.one_fault(6).contains("muster restore again"),
        "{}",
        refused.err
    );
    let ended = restore(&partial, &place.path("other"));
    assert!(ended.one_fault(6).contains("unfinished"), "{}", ended.err);

    // If the directory has a file that no restore created, nothing in it is removed.
    for foreign in ["notes.txt", "folder"] {
        let path = partial.join(foreign);
        match foreign {
            "folder" => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, "mine").unwrap(),
        }
        let ended = restore(&backup, &place.data());
        assert!(ended.one_fault(6).contains("data.partial"), "{}", ended.err);
        assert!(path.exists() && !place.data().exists());
        match foreign {
            "folder" => fs::remove_dir(&path).unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
    }
    assert_eq!(Installation::files(&partial), half);

    // A path with a trailing slash names the same directory.
    let data = format!("{}/", text(&place.data()));
    assert_eq!(verified(&restore(&backup, Path::new(&data)))["devices"], 50);
    assert!(!partial.exists());

    // Interrupted after the copy was renamed.
    leave_interrupted_restore(&place, &place.path("renamed"));
    let report = verified(&restore(&backup, &place.path("renamed")));
    assert_eq!(report["devices"], 50);
    drop(place.start_with(&settings()).stop());
}

#[test]
fn concurrent_restores_to_one_directory_are_refused() {
    let place = with_backup();
    let (backup, partial) = (place.path("backups/a"), place.path("fresh.partial"));
    leave_interrupted_restore(&place, &partial);
    let half = Installation::files(&partial);
    let running = fs::File::open(partial.join("RESTORING")).unwrap();
    running.lock().unwrap();
    let ended = restore(&backup, &place.path("fresh"));
    assert!(
        ended.one_fault(6).contains("by another process"),
        "{}",
        ended.err
    );
    assert_eq!(Installation::files(&partial), half);
    // As the kernel does when the process ends.
    drop(running);
    let report = verified(&restore(&backup, &place.path("fresh")));
    assert_eq!(report["devices"], 50);
}

#[test]
fn an_incomplete_backup_is_not_restored() {
    let place = with_backup();
    let (backup, fresh) = (place.path("backups/a"), place.path("fresh"));
    // Complete, but not renamed.
    fs::rename(&backup, place.path("backups/a.partial")).unwrap();
    let ended = restore(&place.path("backups/a.partial"), &fresh);
    assert!(ended.one_fault(6).contains("unfinished"), "{}", ended.err);
    // Incomplete: FORMAT is written last.
    fs::rename(place.path("backups/a.partial"), &backup).unwrap();
    fs::remove_file(backup.join("FORMAT")).unwrap();
    let ended = restore(&backup, &fresh);
    assert!(ended.one_fault(6).contains("FORMAT"), "{}", ended.err);
    assert!(!fresh.exists() && !place.path("fresh.partial").exists());
}

#[test]
fn a_poisoned_store_is_not_backed_up() {
    let place = Installation::new();
    let server = place.start_on_small_disk(&settings(), 1 << 20);
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    FilledDisk::fill(&mut session);
    let ended = back_up(&server, "a");
    let line = ended.one_fault(12);
    assert!(
        line.contains("answered 503") && line.contains("poisoned"),
        "{line}"
    );
    assert!(!place.path("backups").exists(), "nothing was created");

    assert_eq!(server.ops.get("/counts").0, 200);
}
