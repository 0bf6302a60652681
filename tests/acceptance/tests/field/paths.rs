//! Directories that must not overlap, given by paths with symbolic links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::*;

fn with_backups(path: &str) -> Settings {
    Settings {
        store: format!("backup_directory = \"{path}\""),
        ..Settings::default()
    }
}

fn back_up(server: &Server, name: &str) -> CommandOutput {
    muster(&["backup", "--json", "--server", &server.ops.base, name])
}

fn restore(backup: &Path, data: &str) -> CommandOutput {
    muster(&["restore", "--json", text(backup), "--data-dir", data])
}

/// Sends check-ins of 50 devices, which are acknowledged when this returns.
#[track_caller]
fn fill(place: &Installation, server: &Server) {
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut random = Random::new(10, 0);
    let fleet: Vec<_> = (0..50)
        .map(|number| random_check_in(&mut random, device(number), 1))
        .collect();
    wait(client.send(&fleet)).expect("the server accepts the check-ins");
    wait(client.close()).expect("the server acknowledges the check-ins");
}

/// Every entry of a directory, recursively.
fn entries(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory can be listed") {
        let entry = entry.expect("the directory can be listed");
        names.push(entry.file_name().to_string_lossy().into_owned());
        if entry
            .file_type()
            .expect("the type of the entry can be read")
            .is_dir()
        {
            names.extend(entries(&entry.path()));
        }
    }
    names.sort();
    names
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: `backup_directory` as a link into the store, below such
/// a link, `x/../data/b` -> refused at the start, by `serve` and `config check` in the same words; nothing is made.
#[test]
fn x10_a_backup_directory_inside_the_store_is_refused_at_the_start() {
    let place = Installation::new();
    symlink("data", place.path("link")).unwrap();
    symlink("data/backups", place.path("deep")).unwrap();
    let elsewhere = with_backups("link/../backups");
    for is_new in [true, false] {
        for path in ["link", "link/b", "x/../data/b", "deep", "data", "./data/b"] {
            let settings = with_backups(path);
            let refused = place.refused(&settings);
            let line = refused.one_fault(3).to_owned();
            assert!(
                line.contains("store.backup_directory") && line.contains("outside"),
                "{path}: {line}"
            );
            let file = place.configure(&settings);
            let checked = muster(&["config", "check", "--config", text(&file)]);
            assert_eq!(checked.one_fault(3), line, "{path}");
            assert_eq!(place.data().exists(), !is_new, "{path}");
        }
        // A path that only looks like one inside the store is allowed. From now on the data directory exists.
        let server = place.start_with(&elsewhere);
        fill(&place, &server);
        let backup = back_up(&server, if is_new { "a" } else { "b" });
        assert_eq!(backup.code, 0, "{}", backup.err);
        drop(server.stop());
    }
    assert!(place.path("backups/a").exists() && place.path("backups/b").exists());
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: a certificate, its key or an authority in the data
/// directory -> refused: a restore replaces that directory.
#[test]
fn x10_keys_in_the_data_directory_are_refused_at_the_start() {
    let place = Installation::new();
    symlink("pki", place.path("link")).unwrap();
    let settings = Settings {
        directory: "link",
        ..Settings::default()
    };
    let refused = place.refused(&settings);
    let faults = refused.faults();
    assert_eq!((refused.code, faults.len()), (3, 3), "{}", refused.err);
    for key in ["listen.certificate", "listen.key", "listen.client_ca"] {
        let named = faults.iter().filter(|line| line.contains(key)).count();
        assert_eq!(named, 1, "{key}: {}", refused.err);
    }
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: a link that leads elsewhere at the start, and into the
/// store before the backup -> refused, the data directory stays as it is; led back, the backup is made.
#[test]
fn x10_a_link_that_changes_while_the_server_runs_cannot_put_a_backup_into_the_store() {
    let place = Installation::new();
    fs::create_dir(place.path("disk")).unwrap();
    let link = place.path("link");
    let point_link_to = |to: &str| {
        let _ = fs::remove_file(&link);
        symlink(to, &link).unwrap();
    };
    point_link_to("disk");
    let server = place.start_with(&with_backups("link/backups"));
    fill(&place, &server);
    for into in ["data", "data/missing"] {
        point_link_to(into);
        let refused = back_up(&server, "a");
        assert_ne!(refused.code, 0, "{into}: {}", refused.out);
        let line = refused.faults().join("\n");
        assert!(
            line.contains("403") && line.contains("outside it"),
            "{into}: {line}"
        );
        let found = entries(&place.data());
        let foreign = |name: &&String| ["a", "backups", "missing"].contains(&name.as_str());
        assert_eq!(found.iter().find(foreign), None, "{into}: {found:?}");
    }
    point_link_to("disk");
    let backup = back_up(&server, "a");
    assert_eq!(backup.code, 0, "{}", backup.err);
    assert!(place.path("disk/backups/a/FORMAT").exists());
    server.ops.recount_is_verified();
    drop(server.stop());
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: a data directory at the name under which a backup is
/// begun, which is emptied first -> refused, nothing is lost.
#[test]
fn x10_a_backup_whose_temporary_path_is_the_data_directory_is_refused() {
    for directory in ["a.partial", "a.partial.tmp"] {
        let place = Installation::new();
        let settings = Settings {
            directory,
            ..with_backups(".")
        };
        let server = place.start_with(&settings);
        fill(&place, &server);
        let before = entries(&place.path(directory));
        let refused = back_up(&server, "a");
        assert_ne!(refused.code, 0, "{directory}: {}", refused.out);
        let line = refused.faults().join("\n");
        assert!(line.contains("another name"), "{directory}: {line}");
        assert_eq!(entries(&place.path(directory)), before);
        let backup = back_up(&server, "b");
        assert_eq!(backup.code, 0, "{}", backup.err);
        drop(server.stop());
        let server = place.start_with(&settings);
        assert_eq!(server.ops.total()["devices"], 50);
    }
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: a restore into its backup, or around it, by whatever
/// path -> refused, the backup stays as it is.
#[test]
fn x10_a_restore_into_or_around_its_backup_is_refused() {
    let place = Installation::new();
    let server = place.start_with(&with_backups("backups"));
    fill(&place, &server);
    assert_eq!(back_up(&server, "a").code, 0);
    drop(server.stop());
    let backup = place.path("backups/a");
    symlink("backups", place.path("link")).unwrap();
    // The temporary name of the restored directory `new`.
    fs::create_dir(place.path("new.partial")).unwrap();
    fs::rename(&backup, place.path("new.partial/a")).unwrap();
    symlink("../new.partial/a", &backup).unwrap();
    let before = Installation::files(&backup);
    for data in [
        "backups/a/data",
        "link/a/data",
        "x/../new.partial/a/data",
        "backups/a",
        "new.partial",
        "new",
        "new/.",
        "x/../new",
    ] {
        let refused = restore(&backup, text(&place.path(data)));
        let line = refused.one_fault(6);
        assert!(
            line.contains("overlap") && line.contains("nothing was copied"),
            "{data}: {line}"
        );
        assert!(Installation::files(&backup) == before, "{data}");
        assert!(!place.path("new").exists(), "{data}");
    }
    for data in ["fresh", "x/../fresh-2", "fresh-3/x/.."] {
        if let Some((empty, _)) = data.split_once("/x") {
            fs::create_dir(place.path(empty)).unwrap();
        }
        let restored = restore(&backup, text(&place.path(data)));
        assert_eq!(restored.code, 0, "{data}: {}", restored.err);
    }
    for restored in ["fresh", "fresh-2", "fresh-3"] {
        assert!(place.path(restored).join("FORMAT").exists(), "{restored}");
    }
}

/// X10: `backup_directory` as a link into the store, below such a link, `x/../data/b` -> canonical paths, at start and
/// again before the backup. Kind: paths compared as text. Here: a data directory behind a link, and a restore under way
/// beside what the link leads to -> `serve` sees it, whatever the path.
#[test]
fn x10_an_interrupted_restore_is_detected_through_every_path() {
    let place = Installation::new();
    fs::create_dir_all(place.path("disk/data.partial")).unwrap();
    fs::write(
        place.path("disk/data.partial/RESTORING"),
        "muster-restoring 1\n",
    )
    .unwrap();
    symlink("disk/data", place.path("link")).unwrap();
    for directory in ["disk/data", "link", "disk/x/../data"] {
        let settings = Settings {
            directory,
            ..Settings::default()
        };
        let refused = place.refused(&settings);
        let line = refused.one_fault(6);
        assert!(line.contains("RESTORING"), "{directory}: {line}");
        assert!(!place.path("disk/data").exists(), "{directory}");
    }
}
