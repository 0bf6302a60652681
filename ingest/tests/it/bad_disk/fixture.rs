//! A data directory left by two consecutive servers, and its content.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_cli::offline::tenant_names;
use muster_engine::{ShardLimits, TenantPolicy, Threshold};
use muster_ingest::recount::counters;
use muster_ingest::recovery::{RecoverOptions, recover_view};
use muster_store::{Store, StoreConfig};
use muster_wire::{Flags, Platform};
use serde_json::{Value, json};

use crate::harness::*;

/// Rules of a tenant under the second server, so that a directory contains several revisions.
fn strict() -> TenantPolicy {
    let mut strict = medium();
    strict.secure_by_default = true;
    strict.change_platform(Platform::Windows, |rules| {
        rules.threshold = Threshold::Clear
    });
    strict.change_platform(Platform::Ios, |rules| rules.threshold = Threshold::Low);
    strict
}

const DEVICES: u64 = 40;

/// Sends the check-ins and inventories of one start, and waits for the acks. Every device repeats its check-in with one
/// flag changed.
fn send(server: &Server, place: &Installation, random: &mut Random, start: u64) {
    for tenant in ["contoso", "fabrikam"] {
        let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
        // Each start adds a device.
        let known = DEVICES + start;
        let fleet: Vec<_> = (0..known)
            .map(|number| random_check_in(random, device(number), 2 * start - 1))
            .collect();
        let again = fleet.iter().map(|check_in| {
            let signed_in = check_in.flags().contains(Flags::USER_SIGNED_IN);
            let flags = check_in.flags().with(Flags::USER_SIGNED_IN, !signed_in);
            let repeated = check_in.with_seq(2 * start).expect("no seq is zero");
            repeated.with_flags(flags)
        });
        let again: Vec<_> = again.collect();
        wait(client.send(&fleet)).expect("the server accepts the frame");
        wait(client.send(&again)).expect("the server accepts the frame");
        for number in 0..5 {
            let inventory = random_inventory(random, device(number), start as u32);
            wait(client.send_inventory(&inventory)).expect("the server accepts the frame");
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

/// Two starts: the first ends with a complete checkpoint; the second has other rules and ends by `ending`.
pub(crate) fn make(ending: Ending, to: &Path) {
    let place = Installation::new();
    let mut random = Random::new(1, 0);
    let server = place.start();
    server.ops.require_medium();
    send(&server, &place, &mut random, 1);
    server.stop();
    let server = place.start();
    server.ops.put_in_force("contoso", &strict());
    send(&server, &place, &mut random, 2);
    match ending {
        Ending::Killed => server.kill(),
        Ending::Stopped => drop(server.stop()),
    }
    copy(&place.data(), to);
}

/// Copies all files except RocksDB's info log and lock, which contain no data.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is writable");
    for (name, bytes) in Installation::files(from) {
        fs::write(to.join(name), bytes).expect("the folder is writable");
    }
}

/// The cells on disk. The cells of a running server depend on the date, because it re-evaluates devices that have been
/// silent for long.
pub(crate) fn stored_cells(directory: &Path) -> Value {
    let store =
        Store::open_read_only(&StoreConfig::new(directory)).expect("the directory can be opened");
    let view = store.view();
    let names = tenant_names(&view).expect("tenants can be read");
    let options = RecoverOptions {
        limits: ShardLimits {
            devices_max: u32::MAX,
        },
        hash_seed: 0,
    };
    let shards = recover_view(&view, options).expect("the shards can be recovered");

    let mut cells = BTreeMap::new();
    for shard in &shards {
        for ((tenant, facets), count) in counters(shard) {
            let key = (names[&tenant].clone(), facets.word().0);
            *cells.entry(key).or_insert(0) += count;
        }
    }
    let rows = cells
        .into_iter()
        .map(|((tenant, facets), count)| json!([tenant, facets, count]));
    rows.collect()
}
