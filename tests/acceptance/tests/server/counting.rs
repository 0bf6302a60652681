//! The counts equal those of a model with the same input, cell by cell.

use muster_client::Client;
use muster_wire::CheckInRecord;

use crate::harness::*;

/// Closes the client and compares its totals with those of the model.
#[track_caller]
fn finish(client: Client, oracle_answers: [u64; 3]) {
    let progress = wait(client.close()).expect("a graceful close");
    assert_eq!(
        [progress.accepted, progress.duplicate, progress.stale],
        oracle_answers
    );
    assert_eq!(progress.rejected, 0);
}

#[test]
fn the_counts_of_one_gateway_equal_those_of_the_model() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let (mut random, mut oracle) = (Random::new(1, 0), Oracle::with_medium());
    for round in 1..=5 {
        let fleet: Vec<CheckInRecord> = (0..1000)
            .map(|number| random_check_in(&mut random, device(number), round))
            .collect();
        wait(client.send(&fleet)).unwrap();
        oracle.check_ins("contoso", &fleet);
    }
    wait(client.flush()).unwrap();
    assert_eq!(server.ops.cells(), oracle.cells());
    assert_eq!(oracle.devices(), 1000);
    assert_eq!(server.ops.total()["devices"], 1000);
    finish(client, oracle.answers);
    server.ops.recount_is_verified();
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let counts = graph.muster(&["counts", "-o", "ndjson"]);
    assert_eq!(counts.code, 0, "{}", counts.err);
    let devices = r#"{"group":"devices","value":null,"count":1000}"#;
    assert!(
        counts.out.lines().any(|line| line == devices),
        "{}",
        counts.out
    );
}

#[test]
fn repeated_and_reordered_check_ins_have_the_outcomes_and_counts_of_the_model() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let (mut random, mut oracle) = (Random::new(2, 0), Oracle::with_medium());
    let mut sent: Vec<CheckInRecord> = Vec::new();
    for seq in 1..=2000_u64 {
        let number = random.below(100);
        // A third are new; the rest repeat an earlier check-in unchanged.
        let check_in = match random.below(3) {
            0 if !sent.is_empty() => sent[random.below(sent.len() as u64) as usize],
            1 if !sent.is_empty() => sent[sent.len() - 1],
            _ => random_check_in(&mut random, device(number), seq),
        };
        sent.push(check_in);
    }
    for records in sent.chunks(7) {
        wait(client.send(records)).unwrap();
        oracle.check_ins("contoso", records);
    }
    wait(client.flush()).unwrap();
    assert!(
        oracle.answers.iter().all(|answers| *answers > 0),
        "{:?}",
        oracle.answers
    );
    assert_eq!(server.ops.cells(), oracle.cells());
    finish(client, oracle.answers);
}

#[test]
fn tenants_with_the_same_device_ids_are_counted_separately() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let mut oracle = Oracle::with_medium();
    let clients = ["contoso", "fabrikam"].map(|tenant| {
        let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
        (tenant, client, Random::new(tenant.len() as u64, 0))
    });
    let [mut first, mut second] = clients;
    for seq in 1..=20 {
        for (tenant, client, random) in [&mut first, &mut second] {
            let fleet: Vec<CheckInRecord> = (0..50)
                .map(|number| random_check_in(random, device(number), seq))
                .collect();
            wait(client.send(&fleet)).unwrap();
            oracle.check_ins(tenant, &fleet);
        }
    }
    for (_, client, _) in [first, second] {
        wait(client.close()).unwrap();
    }
    assert_eq!(oracle.devices(), 100);
    assert_eq!(server.ops.cells(), oracle.cells());
}

#[test]
fn many_concurrent_connections_lose_and_duplicate_nothing() {
    const CLIENTS: u64 = 8;
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let mut oracle = Oracle::with_medium();
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let credentials = place.pki.gateway("contoso", &format!("gw-{number}"));
            let client = server.client(&place.pki, &credentials);
            let mut random = Random::new(100 + number, 0);
            let sent: Vec<CheckInRecord> = (1..=3000)
                .map(|seq| {
                    let own = device(number * 1000 + random.below(200));
                    random_check_in(&mut random, own, 1 + seq / 2)
                })
                .collect();
            oracle.check_ins("contoso", &sent);
            spawn(async move {
                for records in sent.chunks(50) {
                    client.send(records).await.unwrap();
                }
                client.close().await.unwrap()
            })
        })
        .collect();
    let mut answers = [0; 3];
    for task in tasks {
        let progress = wait(task).unwrap();
        for (sum, part) in
            answers
                .iter_mut()
                .zip([progress.accepted, progress.duplicate, progress.stale])
        {
            *sum += part;
        }
    }
    assert_eq!(answers, oracle.answers);
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
}

/// The order of arrival is random, but the check-in with the highest seq of each device counts.
#[test]
fn a_device_behind_several_gateways_is_counted_by_its_newest_check_in() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let mut random = Random::new(4, 0);
    // Never onboarded, because whether a device ever was onboarded depends on the order of arrival.
    let mut not_onboarded = |seq: u64, number: u64| loop {
        let check_in = random_check_in(&mut random, device(number), seq);
        if check_in.onboarding() == muster_wire::Onboarding::NotOnboarded {
            return check_in;
        }
    };
    let fleet: Vec<CheckInRecord> = (0..4000)
        .map(|index| not_onboarded(1 + index / 100, index % 100))
        .collect();
    let tasks: Vec<_> = (0..4_usize)
        .map(|number| {
            let credentials = place.pki.gateway("contoso", &format!("gw-{number}"));
            let client = server.client(&place.pki, &credentials);
            let mut own = fleet.clone();
            own.rotate_left(number * 1000);
            spawn(async move {
                for records in own.chunks(33) {
                    client.send(records).await.unwrap();
                }
                client.close().await.unwrap()
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        let progress = wait(task).unwrap();
        answered += progress.accepted + progress.duplicate + progress.stale;
    }
    assert_eq!(answered, 16_000);
    let mut oracle = Oracle::with_medium();
    oracle.check_ins("contoso", &fleet);
    assert_eq!(server.ops.cells(), oracle.cells());
}

#[test]
fn a_device_and_a_gateway_work_side_by_side_with_inventories() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    let own = device(7_000_000);
    let gateway = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let single = server.client(&place.pki, &place.pki.device("contoso", own));
    let (mut random, mut oracle) = (Random::new(5, 0), Oracle::with_medium());
    for seq in 1..=20 {
        let fleet: Vec<CheckInRecord> = (0..100)
            .map(|number| random_check_in(&mut random, device(number), seq))
            .collect();
        let inventory = random_inventory(&mut random, device(seq), 1 + seq as u32 % 3);
        let alone = random_check_in(&mut random, own, seq);
        wait(gateway.send(&fleet)).unwrap();
        wait(gateway.send_inventory(&inventory)).unwrap();
        wait(single.send(&[alone])).unwrap();
        oracle.check_ins("contoso", &fleet);
        oracle.inventory("contoso", &inventory);
        oracle.check_in("contoso", &alone);
    }
    let mut inventory = random_inventory(&mut random, own, 9);
    inventory.tags = vec!["pilot".to_owned(), "lab".to_owned()];
    inventory.owner = muster_wire::Owner::Company;
    wait(single.send_inventory(&inventory)).unwrap();
    oracle.inventory("contoso", &inventory);
    wait(single.flush()).unwrap();
    wait(gateway.flush()).unwrap();
    assert_eq!(server.ops.sessions(), 2);
    assert_eq!(server.ops.cells(), oracle.cells());

    let shown = server
        .ops
        .device("contoso", own)
        .expect("the device is known");
    assert_eq!(shown["seq"], 20);
    assert_eq!(shown["owner"], "company");
    assert_eq!(shown["tags"], serde_json::json!(["lab", "pilot"]));
    assert_eq!(shown["inventory"]["model"], "Notebook 14");
    assert_eq!(
        server.ops.device("fabrikam", own),
        None,
        "another tenant has no such device"
    );
    wait(single.close()).unwrap();
    wait(gateway.close()).unwrap();
    eventually("the sessions end", || {
        (server.ops.sessions() == 0).then_some(())
    });

    // Inventories and counts are recovered from disk.

    server.stop();
    let server = place.start();
    server.ops.require_medium();
    assert_eq!(server.ops.cells(), oracle.cells());
    assert_eq!(server.ops.device("contoso", own), Some(shown));
}
