//! The number of shard threads: every start may have another one, on the same data directory.

use std::collections::BTreeMap;

use crate::harness::*;

/// Devices of a tenant: a frame of all of them has some for each of the 48 shards.
const DEVICES: u64 = 2000;

fn with(threads: u16) -> Settings {
    Settings {
        shards: format!("threads = {threads}"),
        ..Settings::default()
    }
}

/// The last sequence of each shard that has any.
fn sequences(server: &Server) -> BTreeMap<String, u64> {
    let mut sequences = server.ops.metrics().by_label("muster_shard_sequence");
    assert_eq!(sequences.len(), 48);
    sequences.retain(|_, sequence| *sequence > 0);
    sequences
}

/// The lines of `muster devices`, each with the shard of its device.
fn listing(place: &Installation) -> Vec<String> {
    let listed = muster(&["devices", "--data-dir", text(&place.data())]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let mut lines: Vec<_> = listed.out.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_directory_made_with_one_thread_opens_with_any_number_and_counts_the_same() {
    let place = Installation::new();
    let (mut random, mut oracle) = (Random::new(48, 0), Oracle::new());
    let mut before = BTreeMap::new();
    for (round, threads) in (1..).zip([1, 2, 16, 4, 48, 1]) {
        let server = place.start_with(&with(threads));
        assert_eq!(
            server
                .ops
                .metrics()
                .by_label("muster_shard_batches_total")
                .len(),
            usize::from(threads)
        );
        assert_eq!(server.ops.cells(), oracle.cells(), "{threads} threads");
        if round > 1 {
            assert_eq!(sequences(&server), before, "{threads} threads");
        }
        // Frames of all shards, and of one.
        for tenant in ["contoso", "fabrikam"] {
            let mut session = server.session(&place.pki, &place.pki.gateway(tenant, "gw-1"));
            let all: Vec<_> = (0..DEVICES)
                .map(|number| random_check_in(&mut random, device(number), 2 * round))
                .collect();
            let one = [random_check_in(&mut random, device(round), 2 * round + 1)];
            for frame in [&all[..], &one] {
                session.check_ins(frame);
                oracle.check_ins(tenant, frame);
            }
            assert_eq!(session.acknowledged(2).0.accepted, DEVICES + 1);
            session.goodbye();
        }
        assert_eq!(server.ops.cells(), oracle.cells());
        server.ops.recount_is_verified();
        let after = sequences(&server);
        assert_eq!(after.len(), 48, "each shard has a journal value");
        assert!(
            after
                .iter()
                .all(|(shard, sequence)| *sequence > before.get(shard).copied().unwrap_or(0))
        );
        before = after;
        if round % 3 == 0 {
            server.stop();
        } else {
            server.kill();
        }
        assert_eq!(place.recount()["verified"], true);
        assert_eq!(listing(&place).len() as u64, 2 * DEVICES);
    }
}
