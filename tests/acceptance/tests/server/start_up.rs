//! Servers that must not start: each reports the cause in one line, exits with its code, and changes no file.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use crate::harness::*;

/// A stopped or killed server with some devices on disk.
fn used(is_stopped: bool) -> Installation {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut random = Random::new(21, 0);
    let fleet: Vec<_> = (0..2000)
        .map(|number| random_check_in(&mut random, device(number), 1))
        .collect();
    wait(client.send(&fleet)).expect("the server accepts the check-ins");
    wait(client.close()).expect("the server acknowledges the check-ins");
    if is_stopped {
        drop(server.stop());
    } else {
        server.kill();
    }
    place
}

/// Asserts that a server exits with this code and one line that contains these words, and changes no file.
#[track_caller]
fn refused(place: &Installation, settings: &Settings, code: i32, words: &[&str]) {
    let before = Installation::files(&place.data());
    let ended = place.refused(settings);
    let line = ended.one_fault(code);
    for word in words {
        assert!(line.contains(word), "{word} is not in: {line}");
    }
    assert_eq!(
        names(&Installation::files(&place.data())),
        names(&before),
        "{line}"
    );
    assert!(
        Installation::files(&place.data()) == before,
        "a file has changed: {line}"
    );
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

fn overwrite(place: &Installation, name: &str, content: &str) {
    fs::write(place.data().join(name), content).expect("the data directory is writable");
}

/// The first file that is not empty and whose name begins or ends with `part`.
#[track_caller]
fn file_named(place: &Installation, part: &str) -> String {
    let files = Installation::files(&place.data());
    let mut found = files
        .into_iter()
        .filter(|(_, bytes)| !bytes.is_empty())
        .map(|(name, _)| name);
    let found = found.find(|name| name.starts_with(part) || name.ends_with(part));
    found.unwrap_or_else(|| panic!("no file {part}"))
}

/// Flips the bits of one byte.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file exists");
    bytes[at] ^= 0xff;
    fs::write(path, bytes).expect("the data directory is writable");
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_server_continues() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let (mut random, mut oracle) = (Random::new(22, 0), Oracle::new());
    for seq in 1..=3 {
        let fleet: Vec<_> = (0..100)
            .map(|number| random_check_in(&mut random, device(number), seq))
            .collect();
        wait(client.send(&fleet)).unwrap();
        oracle.check_ins("contoso", &fleet);
        let ended = place.refused(&Settings::default());
        let line = ended.one_fault(6);
        assert!(
            line.contains("in use") && line.contains(text(&place.data())),
            "{line}"
        );
        // The directory cannot be recounted offline either.
        let recount = muster(&["recount", "--data-dir", text(&place.data())]);
        assert!(recount.one_fault(6).contains("in use"), "{}", recount.err);
    }
    wait(client.close()).unwrap();
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
}

#[test]
fn a_directory_of_another_version_shard_count_or_program_is_not_changed() {
    let place = used(true);
    let settings = Settings::default();
    let data = place.data();
    let own = text(&data);
    let format = fs::read_to_string(data.join("FORMAT")).unwrap();
    overwrite(&place, "FORMAT", "muster-store 1\nshards 6\n");
    refused(
        &place,
        &settings,
        6,
        &[own, "6 shards", "run the version that wrote it"],
    );
    overwrite(
        &place,
        "FORMAT",
        "muster-store 2\nshards 48\nand something new\n",
    );
    refused(
        &place,
        &settings,
        6,
        &[own, "format 2", "run the version of Muster that wrote it"],
    );
    overwrite(&place, "FORMAT", "muster-store 1\n");
    refused(
        &place,
        &settings,
        6,
        &[own, "FORMAT", "has no number of shards"],
    );
    overwrite(&place, "FORMAT", "\u{0}\u{1}\u{2}");
    refused(
        &place,
        &settings,
        6,
        &[own, "not a data directory", "FORMAT"],
    );
    fs::remove_file(data.join("FORMAT")).unwrap();
    refused(
        &place,
        &settings,
        6,
        &[own, "not a data directory", "not empty"],
    );
    overwrite(&place, "FORMAT", &format);
    let server = place.start();
    assert_eq!(
        server.ops.total()["devices"],
        2000,
        "the refused starts lost nothing"
    );

    let other = Installation::new();
    fs::create_dir(other.data()).unwrap();
    overwrite(&other, "thesis.txt", "years of work");
    refused(
        &other,
        &settings,
        6,
        &[text(&other.data()), "not a data directory"],
    );
}

#[test]
fn a_damaged_manifest_is_refused_and_nothing_is_repaired() {
    let settings = Settings::default();
    for content in ["", "MANIFEST-999999\n", "garbage"] {
        let place = used(true);
        overwrite(&place, "CURRENT", content);
        refused(&place, &settings, 6, &["corrupt", text(&place.data())]);
    }
    let place = used(true);
    let manifest = place.data().join(file_named(&place, "MANIFEST"));
    let length = fs::metadata(&manifest).unwrap().len() as usize;
    flip(&manifest, length / 2);
    refused(&place, &settings, 6, &["corrupt", text(&place.data())]);
    fs::remove_file(&manifest).unwrap();
    refused(&place, &settings, 6, &["corrupt", text(&place.data())]);
}

/// RocksDB has opened the directory by the time it detects the damage, so it has written new files. The tables are
/// unchanged.
#[test]
fn a_damaged_table_file_is_refused_and_the_data_is_unchanged() {
    let place = used(true);
    let tables = |place: &Installation| {
        let mut files = Installation::files(&place.data());
        files.retain(|(name, _)| name.ends_with(".sst") || name == "FORMAT");
        files
    };
    for (name, _) in tables(&place)
        .iter()
        .filter(|(name, _)| name.ends_with(".sst"))
    {
        flip(&place.data().join(name), 20);
    }
    let damaged = tables(&place);
    let ended = place.refused(&Settings::default());
    let line = ended.one_fault(6);
    assert!(
        line.contains(text(&place.data())) && line.contains(".sst"),
        "{line}"
    );
    let after = tables(&place);
    assert!(
        damaged.iter().all(|file| after.contains(file)),
        "a damaged file was changed"
    );
    let recount = muster(&["recount", "--data-dir", text(&place.data())]);
    assert!(recount.one_fault(6).contains(".sst"), "{}", recount.err);
}

#[test]
fn a_missing_table_file_is_refused() {
    let place = used(true);
    fs::remove_file(place.data().join(file_named(&place, ".sst"))).unwrap();
    let ended = place.refused(&Settings::default());
    let line = ended.one_fault(6);
    assert!(
        line.contains(text(&place.data())) && line.contains("corrupt"),
        "{line}"
    );
}

#[test]
fn a_damaged_log_is_refused_instead_of_truncated() {
    let place = used(false);
    let log = place.data().join(file_named(&place, ".log"));
    let length = fs::metadata(&log).unwrap().len() as usize;
    flip(&log, length / 2);
    refused(
        &place,
        &Settings::default(),
        6,
        &["has lost acknowledged data", text(&place.data())],
    );
}

#[test]
fn an_address_in_use_is_refused_before_the_data_directory_is_touched() {
    let place = Installation::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let quic_port = udp.local_addr().unwrap().port();
    let ended = place.refused(&Settings {
        quic_port,
        ..Settings::default()
    });
    let line = ended.one_fault(5);
    assert!(
        line.contains(&format!("127.0.0.1:{quic_port}")) && line.contains("UDP"),
        "{line}"
    );

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let ops_port = tcp.local_addr().unwrap().port();
    let ended = place.refused(&Settings {
        ops_port,
        ..Settings::default()
    });
    let line = ended.one_fault(5);
    assert!(
        line.contains(&format!("127.0.0.1:{ops_port}")) && line.contains("TCP"),
        "{line}"
    );
    assert!(!place.data().exists());
}

#[test]
fn unusable_certificates_are_refused_with_the_name_of_the_file() {
    let settings = Settings::default();
    let files = ["pki/server.pem", "pki/server.key", "pki/ca.pem"];
    for name in files {
        let place = Installation::new();
        let file = place.path(name);
        fs::write(&file, "no PEM at all").unwrap();
        let ended = place.refused(&settings);
        assert!(ended.one_fault(4).contains(text(&file)), "{}", ended.err);
        fs::remove_file(&file).unwrap();
        let ended = place.refused(&settings);
        let line = ended.one_fault(4);
        assert!(
            line.contains("cannot read") && line.contains(text(&file)),
            "{line}"
        );
        assert!(!place.data().exists());
    }
    let place = Installation::new();
    fs::write(place.path("pki/server.key"), Pki::unrelated_key()).unwrap();

    let ended = place.refused(&settings);
    let line = ended.one_fault(4);
    assert!(line.contains("do not match"), "{line}");
    assert!(!place.data().exists());
}

#[test]
fn an_invalid_configuration_is_reported_with_one_line_per_error() {
    let place = Installation::new();
    let settings = Settings {
        listen: "connections_max = 0\nport = 7440".to_owned(),
        shards: "threads = 49".to_owned(),
        store: "checkpoint_journal_bytes = \"many\"".to_owned(),
        more: "[[tenants]]\nname = \"contoso\"\n".to_owned(),
        ..Settings::default()
    };
    let ended = place.refused(&settings);
    assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{}", ended.err);
    assert_eq!(
        ended.faults().len(),
        ended.err.lines().count(),
        "{}",
        ended.err
    );
    for key in [
        "listen.connections_max",
        "listen.port",
        "shards.threads",
        "store.checkpoint_journal_bytes",
        "tenants",
    ] {
        let lines = ended
            .faults()
            .into_iter()
            .filter(|line| line.contains(key))
            .count();
        assert_eq!(lines, 1, "{key}: {}", ended.err);
    }
    assert_eq!(ended.faults().len(), 5, "{}", ended.err);
    assert!(!place.data().exists());
}
