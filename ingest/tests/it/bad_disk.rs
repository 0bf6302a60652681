//! Flipped bits, truncated and missing files in a data directory: a clear refusal that does not change the data, or a
//! correct recovery; never a wrong count, a panic or a hang.
//!
//! `MUSTER_DAMAGE_CASES` overrides the number of damaged places per file.

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_cli::offline::recount::recount;
use muster_engine::{ShardLimits, TenantIndex};
use muster_ingest::recovery::{RecoverOptions, recover};
use muster_ingest::server::objects;
use muster_store::{Store, StoreConfig};
use muster_wire::DeviceId;
use serde_json::Value;

use crate::harness::*;
use fixture::{Ending, copy, make, stored_cells};

const CASES_PER_FILE: u64 = 8;

/// An intact directory and its content.
struct Intact {
    folder: tempfile::TempDir,
    devices: u64,
    cells: Value,
    /// The inventories of tenant 0.
    inventories: BTreeMap<DeviceId, Vec<u8>>,
}

impl Intact {
    fn new(ending: Ending) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be created");
        make(ending, folder.path());
        let directory = folder.path();
        let report = recount(directory).expect("the directory is intact");
        assert!(report.verified);
        let store =
            Store::open_read_only(&StoreConfig::new(directory)).expect("the directory is intact");
        let inventories: BTreeMap<_, _> = (0..5)
            .map(device)
            .map(|id| {
                (
                    id,
                    store
                        .view()
                        .inventory(TenantIndex(0), &id)
                        .expect("the directory is intact"),
                )
            })
            .map(|(id, inventory)| (id, inventory.expect("the inventory was sent")))
            .collect();
        drop(store);
        Self {
            devices: report.devices,
            cells: stored_cells(directory),
            folder,
            inventories,
        }
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        Installation::files(self.folder.path())
    }

    /// Opens a damaged copy as a reader and as a server. Returns the refusal, if it was refused.
    fn check(&self, directory: &Path, what: &str) -> Option<String> {
        let before = Installation::files(directory);
        let counted = self.counted(directory, what);
        let after = Installation::files(directory);
        assert!(before == after, "{what}: a reader changed the directory");
        let served = self.served(directory, what);
        match &served {
            // A recovered directory stays intact.
            Ok(()) => {
                let again = self.counted(directory, what);
                assert!(again.is_ok(), "{what}: served once, then {again:?}");
            }
            // Damage to a table is found after RocksDB has flushed its log to new tables, so files differ: see below.
            Err(Refusal::AtOpening(reason)) if !what.contains(".sst") => {
                names_the_location(reason, what);
                let after: BTreeMap<_, _> = Installation::files(directory).into_iter().collect();
                for (name, bytes) in &before {
                    assert!(
                        after.get(name) == Some(bytes),
                        "{what}: refused, but {name} was changed"
                    );
                }
            }
            // Files may have changed, but the directory stays refused.
            Err(Refusal::AtOpening(reason) | Refusal::ByReading(reason)) => {
                names_the_location(reason, what);
                let again = self.counted(directory, what);
                assert!(again.is_err(), "{what}: refused once, then accepted");
            }
        }
        if let Err(reason) = &counted {
            names_the_location(reason, what);
        }
        match served {
            Ok(()) => counted.err(),
            Err(Refusal::AtOpening(reason) | Refusal::ByReading(reason)) => Some(reason),
        }
    }

    fn counted(&self, directory: &Path, what: &str) -> Result<(), String> {
        let report = recount(directory).map_err(|error| error.to_string())?;
        assert!(report.verified, "{what}: {report:?}");
        assert_eq!(report.devices, self.devices, "{what}");
        assert_eq!(stored_cells(directory), self.cells, "{what}");
        Ok(())
    }

    /// Opens the directory as a server does at its start, and reads every inventory.
    fn served(&self, directory: &Path, what: &str) -> Result<(), Refusal> {
        let store = Store::open(&StoreConfig::new(directory))
            .map_err(|error| Refusal::AtOpening(error.to_string()))?;
        let options = RecoverOptions {
            limits: ShardLimits {
                devices_max: u32::MAX,
            },
            hash_seed: 0,
        };
        let objects = objects(&store.snapshot());
        objects.map_err(|error| Refusal::ByReading(error.to_string()))?;
        let (shards, writer) =
            recover(&store, options).map_err(|error| Refusal::ByReading(error.to_string()))?;
        let devices: u64 = shards.iter().map(|shard| u64::from(shard.devices())).sum();
        assert_eq!(self.devices, devices, "{what}");
        // Inventories are read only when requested: a damaged one gives an error and is never returned.
        for (id, expected) in &self.inventories {
            match store.inventory(TenantIndex(0), id) {
                Ok(found) => assert_eq!(found.as_ref(), Some(expected), "{what}"),
                Err(error) => assert!(error.to_string().contains("inventory"), "{what}: {error}"),
            }
        }
        drop((shards, writer));
        Ok(())
    }
}

/// Asserts that a refusal names the location: a file (or a log number), a key, a log sequence number, a page or a
/// shard.
#[track_caller]
fn names_the_location(reason: &str, what: &str) {
    // Names of RocksDB's files and of ours.
    let is_file = |word: &str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        let name = name.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        ["FORMAT", "CURRENT", "ACKNOWLEDGED"].contains(&name)
            || name.starts_with("MANIFEST-")
            || [".sst", ".log"].iter().any(|end| name.ends_with(end))
    };
    let mut words = reason.split_whitespace();
    let is_named = words.any(is_file)
        || ["key", "log sequence number", "page", "shard", "log number"]
            .iter()
            .any(|kind| reason.contains(kind));
    assert!(is_named, "{what}: refused without a location: {reason}");
}

/// Why a directory was not served.
enum Refusal {
    AtOpening(String),
    ByReading(String),
}

/// The kind of a file, by which outcomes are counted.
fn kind(name: &str) -> String {
    let stem = name.split('-').next().unwrap_or(name);
    name.rsplit_once('.')
        .map_or(stem, |(_, extension)| extension)
        .to_owned()
}

/// Refused and recovered directories, by kind of file.
type Outcomes = BTreeMap<String, (u32, u32)>;

fn damage_every_file(ending: Ending, seed: u64) -> Outcomes {
    let intact = Intact::new(ending);
    let mut random = Random::new(seed, 0);
    let cases = std::env::var("MUSTER_DAMAGE_CASES").ok();
    let cases = cases.map_or(CASES_PER_FILE, |text| text.parse().expect("a number"));
    let scratch = tempfile::tempdir().expect("a temporary directory can be created");
    let mut outcomes = Outcomes::new();
    for (name, bytes) in intact.files() {
        for case in 0..cases {
            let directory = scratch.path().join("data");
            let _ = fs::remove_dir_all(&directory);
            copy(intact.folder.path(), &directory);
            let at = random.below(bytes.len().max(1) as u64) as usize;
            let mut damaged = bytes.clone();
            let what = match case % 4 {
                _ if bytes.is_empty() => {
                    damaged.push(random.bits() as u8);
                    format!("{name}: an additional byte (seed {seed})")
                }
                3 => {
                    damaged.truncate(at);
                    format!(
                        "{name}: truncated to {at} of {} bytes (seed {seed})",
                        bytes.len()
                    )
                }
                _ => {
                    let bit = random.below(8);
                    damaged[at] ^= 1 << bit;
                    format!(
                        "{name}: bit {bit} of byte {at} of {} (seed {seed})",
                        bytes.len()
                    )
                }
            };
            fs::write(directory.join(&name), damaged).expect("the copy is writable");
            let refusal = intact.check(&directory, &what);
            let outcome = outcomes.entry(kind(&name)).or_default();
            match refusal {
                Some(_) => outcome.0 += 1,
                None => outcome.1 += 1,
            }
        }
        // A missing file.
        let directory = scratch.path().join("data");
        let _ = fs::remove_dir_all(&directory);
        copy(intact.folder.path(), &directory);
        fs::remove_file(directory.join(&name)).expect("the copy is writable");
        let refusal = intact.check(&directory, &format!("{name} is missing"));
        let outcome = outcomes
            .entry(format!("{} missing", kind(&name)))
            .or_default();
        match refusal {
            Some(_) => outcome.0 += 1,
            None => outcome.1 += 1,
        }
    }
    eprintln!("{ending:?}: (refused, recovered) by kind of file: {outcomes:#?}");
    outcomes
}

#[test]
fn damage_to_a_killed_server_is_refused_or_recovered() {
    let outcomes = damage_every_file(Ending::Killed, 0x6d75_7374);
    for data in ["FORMAT", "CURRENT", "MANIFEST", "log", "sst"] {
        assert!(outcomes[data].0 > 0, "no damage to {data} was refused");
    }
    // These files contain no data.
    for dispensable in ["ACKNOWLEDGED", "OPTIONS", "IDENTITY"] {
        assert_eq!(
            outcomes[dispensable].0, 0,
            "damage to {dispensable} was refused"
        );
    }
    for required in [
        "FORMAT missing",
        "CURRENT missing",
        "MANIFEST missing",
        "log missing",
        "sst missing",
    ] {
        assert_eq!(outcomes[required].1, 0, "{required} was not detected");
    }
}

#[test]
fn damage_to_a_stopped_server_is_refused_or_recovered() {
    let outcomes = damage_every_file(Ending::Stopped, 0x6572_2121);
    for data in ["FORMAT", "CURRENT", "MANIFEST", "sst"] {
        assert!(outcomes[data].0 > 0, "no damage to {data} was refused");
    }
}
