//! Data directories of every format there ever was open for ever: each one stored below `tests/fixtures` is
//! copied, counted again, served, and holds what its `expected.json` says.
//!
//! The same steps make a directory of today and check it in the same way. That is how the stored ones came
//! about: with `MUSTER_STORE_FIXTURE=DIR` in the environment, what was made is left there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use muster_engine::ShardLimits;
use muster_ingest::recount::counters;
use muster_ingest::recovery::{RecoverOptions, recover_view};
use muster_store::{FORMAT_VERSION, ReadError, Store, StoreConfig};
use muster_wire::Flags;
use serde_json::{Value, json};

use crate::harness::*;

/// How the two servers of a fixture ended: one by SIGKILL, with the end of its journal in RocksDB's log, and
/// one by SIGTERM, with everything in tables.
const ENDINGS: [&str; 2] = ["killed", "stopped"];

/// Rules of the second start, so that a directory holds two revisions.
const STRICT: &str = r#"
[[tenants]]
name = "contoso"
secure_by_default = true
threat_threshold = { windows = "clear", iOS = "low" }
[[tenants]]
name = "fabrikam"
"#;

const DEVICES: u64 = 40;

fn settings(tenants: Option<&str>) -> Settings {
    let defaults = Settings::default();
    Settings {
        tenants: tenants.map_or(defaults.tenants.clone(), str::to_owned),
        ..defaults
    }
}

/// The last check-in of every device that has heard of a start.
const fn last_seq(start: u64) -> u64 {
    2 * start
}

/// Check-ins and inventories of one start, acknowledged. Every device says the same twice, but for a flag.
fn send(server: &Server, place: &Installation, random: &mut Random, start: u64) {
    for tenant in ["contoso", "fabrikam"] {
        let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
        // Each start brings some devices that are new.
        let known = DEVICES + start;
        let fleet: Vec<_> = (0..known)
            .map(|number| random_check_in(random, device(number), last_seq(start) - 1))
            .collect();
        let again = fleet.iter().map(|said| {
            let signed_in = said.flags().contains(Flags::USER_SIGNED_IN);
            let flags = said.flags().with(Flags::USER_SIGNED_IN, !signed_in);
            let says = said.with_seq(last_seq(start)).expect("no seq is zero");
            says.with_flags(flags)
        });
        let again: Vec<_> = again.collect();
        wait(client.send(&fleet)).expect("it is sent");
        wait(client.send(&again)).expect("it is sent");
        for number in 0..5 {
            let inventory = random_inventory(random, device(number), start as u32);
            wait(client.send_inventory(&inventory)).expect("it is sent");
        }
        wait(client.close()).expect("everything is acknowledged");
    }
}

/// Two starts: the first ends with a checkpoint of everything, the second has other rules and ends as told.
pub(crate) fn make(ending: &str, to: &Path) {
    let place = Installation::new();
    let mut random = Random(1);
    let server = place.start_with(&settings(None));
    send(&server, &place, &mut random, 1);
    server.stop();
    let server = place.start_with(&settings(Some(STRICT)));
    send(&server, &place, &mut random, 2);
    let expected = describe(&server);
    match ending {
        "killed" => server.kill(),
        _ => drop(server.stop()),
    }
    copy(&place.data(), &to.join(ending));
    let text = serde_json::to_string_pretty(&expected).expect("it is JSON");
    fs::write(to.join(format!("{ending}.json")), text + "\n").expect("the folder is writable");
}

/// What a server of a fixture holds, as its operator sees it.
fn describe(server: &Server) -> Value {
    let cells: Vec<Value> = server
        .ops
        .cells()
        .into_iter()
        .map(|((tenant, owner, tags, facets), count)| json!([tenant, owner, tags, facets, count]))
        .collect();
    let devices: u64 = (1..=2).map(|_| DEVICES + 2).sum();
    assert_eq!(server.ops.total()["devices"], devices);
    let inventory = server
        .ops
        .device("contoso", device(0))
        .expect("it is known")["inventory"]
        .clone();
    assert!(inventory.is_object(), "{inventory}");
    json!({
        "devices": devices,
        "policy_revision": server.ops.policy("contoso")["revision"],
        "first_device": { "id": device(0).to_string(), "seq": last_seq(2), "inventory": inventory },
        "cells": cells,
    })
}

/// All files save for RocksDB's diary and lock, which are no data.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is writable");
    for (name, bytes) in Installation::files(from) {
        fs::write(to.join(name), bytes).expect("the folder is writable");
    }
}

/// Opens a copy of a stored directory in every way there is.
fn opens(folder: &Path, ending: &str) {
    let text =
        fs::read_to_string(folder.join(format!("{ending}.json"))).expect("it says what is in it");
    let expected: Value = serde_json::from_str(&text).expect("it is JSON");
    let place = Installation::new();
    copy(&folder.join(ending), &place.data());

    let report = place.recount();
    assert_eq!(report["verified"], true, "{report:#}");
    assert_eq!(report["devices"], expected["devices"]);
    assert_eq!(stored_cells(&place.data()), expected["cells"]);

    let server = place.start_with(&settings(Some(STRICT)));
    assert_eq!(format_of(&place.data()), FORMAT_VERSION);
    assert_eq!(server.ops.total()["devices"], expected["devices"]);
    // The stored rules are those of the configuration: no further revision was made.
    assert_eq!(
        server.ops.policy("contoso")["revision"],
        expected["policy_revision"]
    );
    let first = server
        .ops
        .device("contoso", device(0))
        .expect("it is known");
    for field in ["id", "seq", "inventory"] {
        assert_eq!(first[field], expected["first_device"][field], "{field}");
    }
    server.ops.recount_is_verified();
    // It goes on from there: new check-ins, a kill, and all of it again.
    send(&server, &place, &mut Random(7), 3);
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start_with(&settings(Some(STRICT)));
    assert_eq!(server.ops.seq("fabrikam", device(DEVICES + 2)), last_seq(3));
    server.stop();
}

fn format_of(data: &Path) -> u32 {
    let text = fs::read_to_string(data.join("FORMAT")).expect("it is a data directory");
    let version = text.lines().next().and_then(|line| line.rsplit(' ').next());
    version
        .and_then(|version| version.parse().ok())
        .expect("it names a format")
}

/// The cells as they are on disk. A server that runs moves devices that have been silent for long, so that
/// its cells depend on the day.
pub(crate) fn stored_cells(directory: &Path) -> Value {
    let store = Store::open_read_only(&StoreConfig::new(directory)).expect("it opens");
    let view = store.view();
    let mut names = BTreeMap::new();
    let collected: Result<(), ReadError> = view.tenants(|name, index| {
        names.insert(index, name.to_owned());
        Ok(())
    });
    collected.expect("tenants can be read");
    let options = RecoverOptions {
        limits: ShardLimits {
            devices_max: u32::MAX,
            cells_max: usize::MAX,
            cohorts_max: usize::MAX,
        },
        hash_seed: 0,
    };
    let (shards, _) = recover_view(&view, options).expect("it can be rebuilt");
    let mut cells = BTreeMap::new();
    for shard in &shards {
        for ((tenant, cohort, facets), count) in counters(shard) {
            let key = (
                names[&tenant].clone(),
                cohort.owner().name().to_owned(),
                cohort.tags().to_vec(),
                facets.word().0,
            );
            *cells.entry(key).or_insert(0) += count;
        }
    }
    let rows = cells
        .into_iter()
        .map(|((tenant, owner, tags, facets), count)| json!([tenant, owner, tags, facets, count]));
    rows.collect()
}

fn stored() -> Vec<PathBuf> {
    let root = clone_folder().join("ingest/tests/fixtures");
    let mut folders: Vec<_> = fs::read_dir(root)
        .expect("fixtures are in the clone")
        .map(|entry| entry.expect("they can be listed").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_stored_directory_opens_and_holds_what_it_held() {
    let folders = stored();
    let kept = (1..=FORMAT_VERSION).map(|version| format!("format-{version}"));
    for name in kept {
        assert!(
            folders.iter().any(|folder| folder.ends_with(&name)),
            "{name}"
        );
    }
    for folder in folders {
        for ending in ENDINGS {
            opens(&folder, ending);
        }
    }
}

/// The file is raised before the database, so a crash in between leaves the two apart.
#[test]
fn an_upgrade_that_was_cut_short_is_ended_by_the_next_start() {
    let place = Installation::new();
    let folder = stored().remove(0);
    copy(&folder.join("stopped"), &place.data());
    assert_eq!(format_of(&place.data()), 1);
    let raised = format!("muster-store {FORMAT_VERSION}\nshards 2\n");
    fs::write(place.data().join("FORMAT"), raised).expect("the folder is writable");
    assert_eq!(place.recount()["verified"], true);
    place.start_with(&settings(Some(STRICT))).stop();
    // With the file alone going back, the two would now disagree if the database had not been raised.
    fs::write(place.data().join("FORMAT"), "muster-store 1\nshards 2\n").expect("it is writable");
    let error = Store::open_read_only(&StoreConfig::new(place.data())).expect_err("they disagree");
    assert!(
        error.to_string().contains("its format is not that of"),
        "{error}"
    );
}

#[test]
fn a_directory_made_today_opens_like_the_stored_ones() {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let wanted = std::env::var_os("MUSTER_STORE_FIXTURE").map(PathBuf::from);
    let folder = wanted.unwrap_or_else(|| scratch.path().to_owned());
    for ending in ENDINGS {
        make(ending, &folder);
        opens(&folder, ending);
    }
}
