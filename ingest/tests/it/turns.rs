//! Tenants take turns at a shard: the flood of one tenant is not queued before the check-ins of another.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_cli::offline::tenant_names;
use muster_engine::journal::{Change, Event, JournalValue};
use muster_store::{ReadError, Store, StoreConfig};
use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use tokio::task::JoinHandle;

use crate::harness::*;

/// Batches in the inbox of the one shard: half of them for each of two tenants.
const INBOX_BATCHES: usize = 64;

/// A gateway of another tenant that sends full frames until `stop` is set.
fn flood(server: &Server, pki: &Pki, number: u64, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let client = server.client(pki, &pki.gateway("contoso", &format!("gw-{number}")));
    let stop = Arc::clone(stop);
    spawn(async move {
        for seq in 1.. {
            let full = (0..CHECK_INS_PER_FRAME_MAX as u64).map(|own| {
                random_check_in(
                    &mut Random::new(own % 500, 0),
                    device(number * 10_000 + own),
                    seq,
                )
            });
            client
                .send(&full.collect::<Vec<_>>())
                .await
                .expect("the server accepts the frame");
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        client.close().await.expect("everything is acknowledged");
    })
}

/// The number of check-ins of other tenants in the journal before each check-in of this one.
fn applied_before(data: &Path, tenant: &str) -> Vec<usize> {
    let store =
        Store::open_read_only(&StoreConfig::new(data)).expect("the directory can be opened");
    let view = store.view();
    let names = tenant_names(&view).expect("the directory is intact");
    let (mut before, mut others) = (Vec::new(), 0);
    let journal = view.journal(|entry| {
        let mut value = JournalValue::decode(entry.bytes).expect("the directory is intact");
        while let Some(event) = value.next_event().expect("the directory is intact") {
            let Event::Device(_, Change::CheckIn(of, _) | Change::Repeated(of, _)) = event else {
                continue;
            };
            if names[&of] == tenant {
                before.push(std::mem::take(&mut others));
            } else {
                others += 1;
            }
        }
        Ok::<(), ReadError>(())
    });
    journal.expect("the directory is intact");
    before
}

/// In a single queue, each check-in of the quiet tenant would be behind a full inbox. `scripts/overload` checks the
/// memory of a flood, and the test `allocations` that no check-in allocates.
#[test]
fn a_tenant_waits_for_its_turn_and_not_for_the_whole_flood_of_another() {
    const FRAMES: u64 = 30;
    let place = Installation::new();
    let server = place.start_with(&Settings {
        // So that the journal is not trimmed.
        store: "checkpoint_journal_bytes = \"4GiB\"".to_owned(),
        shards: format!(
            "threads = 1\ninbox_batches = {INBOX_BATCHES}\nbatch_check_ins_max = 4096\ncommits_in_flight = 1"
        ),
        ..Settings::default()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (1..=6)
        .map(|number| flood(&server, &place.pki, number, &stop))
        .collect();
    eventually("the flood has filled its lane", || {
        let batches = server.ops.metrics().get("muster_shard_inbox_batches");
        (batches >= INBOX_BATCHES as f64 / 2.0).then_some(())
    });
    let mut quiet = server.session(&place.pki, &place.pki.gateway("fabrikam", "gw-1"));
    for seq in 1..=FRAMES {
        quiet.check_ins(&[random_check_in(&mut Random::new(seq, 0), device(1), seq)]);
        assert_eq!(quiet.acknowledged(seq).0.accepted, seq);
    }
    quiet.goodbye();
    stop.store(true, Ordering::Relaxed);
    for flood in floods {
        wait(flood).expect("the task does not panic");
    }
    server.ops.accounts_add_up();
    server.kill();
    let mut before = applied_before(&place.data(), "fabrikam");
    assert_eq!(before.len() as u64, FRAMES);
    // The first check-in may come at any time. The median of the others, because a busy machine may delay some of them.
    before.remove(0);
    before.sort_unstable();
    let median = before[before.len() / 2];
    let full = INBOX_BATCHES * CHECK_INS_PER_FRAME_MAX;
    assert!(median > 0, "no flood was measured");

    assert!(median < full / 2, "{median} of {full}: {before:?}");
}
