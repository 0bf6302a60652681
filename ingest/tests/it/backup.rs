//! A backup made in mid-stream has everything that was acknowledged before, and a restored one serves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_wire::DeviceId;
use serde_json::Value;

use crate::harness::*;

fn settings() -> Settings {
    Settings {
        store: "backup_directory = \"backups\"\ncheckpoint_journal_bytes = \"64KiB\"\n\
                group_bytes_max = \"64KiB\""
            .to_owned(),
        ..Settings::default()
    }
}

/// Orders a backup by its name or path; how `muster backup` ended.
fn back_up(server: &Server, directory: &str) -> Ended {
    muster(&["backup", "--json", "--server", &server.ops.base, directory])
}

fn restore(backup: &Path, data: &Path) -> Ended {
    let (backup, data) = (text(backup), text(data));
    muster(&["restore", "--json", backup, "--data-dir", data])
}

/// The report of a command that has verified what it made.
#[track_caller]
fn verified(ended: &Ended) -> Value {
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    let report: Value = serde_json::from_str(&ended.out).expect("the report is JSON");
    assert_eq!(report["verified"], true, "{report:#}");
    report
}

#[test]
fn a_backup_in_mid_stream_has_what_was_acknowledged_and_serves_once_restored() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let senders: Vec<Sender> = (1..)
        .zip(["contoso", "fabrikam"])
        .map(|(number, tenant)| Sender::begin(&server, &place.pki, tenant, number))
        .collect();
    let mut acknowledged: Vec<BTreeMap<DeviceId, u64>> = Vec::new();
    for round in 1..=3 {
        eventually("every sender gets acks", || {
            let mut all = senders.iter();
            all.all(|sender| sender.frames_acked() >= round * 200)
                .then_some(())
        });
        acknowledged = senders.iter().map(Sender::acknowledged).collect();
        let before: u64 = senders.iter().map(Sender::frames_acked).sum();
        let report = verified(&back_up(&server, &format!("backup-{round}")));
        assert!(report["devices"].as_u64() > Some(0), "{report:#}");
        eventually("the senders go on", || {
            let now: u64 = senders.iter().map(Sender::frames_acked).sum();
            (now > before).then_some(())
        });
    }
    let backup = place.path("backups").join("backup-3");
    let mut oracle = Oracle::new();
    let tenants: Vec<&str> = senders.iter().map(|sender| sender.tenant).collect();
    for sender in senders {
        sender.finish(&mut oracle);
    }
    // The server went on by itself: the backup has changed nothing of it.
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
    drop(server.stop());

    fs::rename(place.data(), place.path("lost")).unwrap();
    let files = Installation::files(&backup);
    verified(&restore(&backup, &place.data()));
    assert_eq!(Installation::files(&backup), files, "it is only read");
    let server = place.start_with(&settings());
    for (tenant, devices) in tenants.iter().zip(&acknowledged) {
        assert!(!devices.is_empty());
        for (device, seq) in devices {
            let stored = server.ops.seq(tenant, *device);
            assert!(
                stored >= *seq,
                "{device}: {seq} was acknowledged, {stored} is there"
            );
        }
    }
    server.ops.recount_is_verified();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-9"));
    wait(client.send(&[random_check_in(&mut Random(1), device(9_999), 1)])).unwrap();
    wait(client.flush()).unwrap();
    assert_eq!(server.ops.seq("contoso", device(9_999)), 1);
    // A restored store is backed up like any other, and a backup is not undone by what comes later.
    verified(&back_up(&server, "again"));
    drop(server.stop());
    verified(&restore(&backup, &place.path("second")));
}

#[test]
fn a_backup_goes_nowhere_but_where_the_configuration_says() {
    let place = Installation::new();
    let server = place.start();
    let ended = back_up(&server, "a");
    assert!(
        ended.one_fault(1).contains("store.backup_directory"),
        "{}",
        ended.err
    );
    drop(server.stop());

    let server = place.start_with(&settings());
    let outside = place.path("outside");
    for elsewhere in ["../outside", "in/outside", text(&outside), ".", "a.partial"] {
        let ended = back_up(&server, elsewhere);
        assert!(ended.one_fault(1).contains("answered 403"), "{}", ended.err);
    }
    assert!(!outside.exists() && !place.path("backups").exists());

    // What an earlier call left is in nobody's way.
    fs::create_dir_all(place.path("backups/a.partial")).unwrap();
    fs::write(place.path("backups/a.partial/000001.sst"), "half").unwrap();
    verified(&back_up(&server, text(&place.path("backups/a"))));
    let made = Installation::files(&place.path("backups/a"));
    std::os::unix::fs::symlink(&outside, place.path("backups/link")).unwrap();
    for taken in ["a", "link"] {
        let ended = back_up(&server, taken);
        assert!(ended.one_fault(1).contains("answered 409"), "{}", ended.err);
    }
    assert_eq!(Installation::files(&place.path("backups/a")), made);
    assert!(!outside.exists() && !place.path("backups/a.partial").exists());
    drop(server.stop());
}

#[test]
fn a_restore_overwrites_nothing_and_takes_no_damaged_backup() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    for number in 0..50 {
        let check_in = random_check_in(&mut Random(number), device(number), 1);
        wait(client.send(&[check_in])).unwrap();
    }
    wait(client.flush()).unwrap();
    assert_eq!(verified(&back_up(&server, "a"))["devices"], 50);
    drop(server.stop());
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
        // A file of its own: those of the backup may be links.
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
