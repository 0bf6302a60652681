//! A data directory as two servers in a row leave it, and what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_cli::offline::tenant_names;
use muster_engine::ShardLimits;
use muster_ingest::recount::counters;
use muster_ingest::recovery::{RecoverOptions, recover_view};
use muster_store::{Store, StoreConfig};
use muster_wire::Flags;
use serde_json::{Value, json};

use crate::harness::*;

/// Rules of the second server, so that a directory holds two revisions.
const STRICT: &str = r#"
[[tenants]]
name = "contoso"
secure_by_default = true
threat_threshold = { windows = "clear", iOS = "low" }
[[tenants]]
name = "fabrikam"
"#;

const DEVICES: u64 = 40;

/// Check-ins and inventories of one start, acknowledged. Every device says the same twice, but for a flag.
fn send(server: &Server, place: &Installation, random: &mut Random, start: u64) {
    for tenant in ["contoso", "fabrikam"] {
        let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
        // Each start brings some devices that are new.
        let known = DEVICES + start;
        let fleet: Vec<_> = (0..known)
            .map(|number| random_check_in(random, device(number), 2 * start - 1))
            .collect();
        let again = fleet.iter().map(|said| {
            let signed_in = said.flags().contains(Flags::USER_SIGNED_IN);
            let flags = said.flags().with(Flags::USER_SIGNED_IN, !signed_in);
            let says = said.with_seq(2 * start).expect("no seq is zero");
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

/// How the second server of a fixture ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// By SIGKILL: the end of its journal is in RocksDB's log.
    Killed,
    /// By SIGTERM: everything is in tables.
    Stopped,
}

/// Two starts: the first ends with a checkpoint of everything, the second has other rules and ends as told.
pub(crate) fn make(ending: Ending, to: &Path) {
    let place = Installation::new();
    let mut random = Random::new(1, 0);
    let server = place.start_with(&Settings::default());
    send(&server, &place, &mut random, 1);
    server.stop();
    let server = place.start_with(&Settings {
        tenants: STRICT.to_owned(),
        ..Settings::default()
    });
    send(&server, &place, &mut random, 2);
    match ending {
        Ending::Killed => server.kill(),
        Ending::Stopped => drop(server.stop()),
    }
    copy(&place.data(), to);
}

/// All files save for RocksDB's diary and lock, which are no data.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is writable");
    for (name, bytes) in Installation::files(from) {
        fs::write(to.join(name), bytes).expect("the folder is writable");
    }
}

/// The cells as they are on disk. A server that runs moves devices that have been silent for long, so that
/// its cells depend on the day.
pub(crate) fn stored_cells(directory: &Path) -> Value {
    let store = Store::open_read_only(&StoreConfig::new(directory)).expect("it opens");
    let view = store.view();
    let names = tenant_names(&view).expect("tenants can be read");
    let options = RecoverOptions {
        limits: ShardLimits {
            devices_max: u32::MAX,
            cells_max: usize::MAX,
            cohorts_max: usize::MAX,
        },
        hash_seed: 0,
    };
    let shards = recover_view(&view, options).expect("it can be rebuilt");
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
