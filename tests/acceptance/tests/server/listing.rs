//! The listing of a data directory has every device with its newest check-in.

use std::collections::BTreeMap;

use muster_wire::Digest;
use serde_json::{Value, json};

use crate::harness::*;

/// The lines of `muster devices`, by tenant and device.
#[track_caller]
fn listed(place: &Installation) -> BTreeMap<(String, String), Value> {
    let ended = muster(&["devices", "--data-dir", text(&place.data())]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
    let mut devices = BTreeMap::new();
    for line in ended.out.lines() {
        let device: Value = serde_json::from_str(line).expect("a line is JSON");
        let name = |key: &str| device[key].as_str().expect("a string").to_owned();
        let twice = devices.insert((name("tenant"), name("id")), device);
        assert_eq!(twice, None, "a device is listed once");
    }
    devices
}

#[test]
fn a_listing_shows_the_newest_check_in_of_each_device_from_pages_and_journal() {
    let place = Installation::new();
    let mut random = Random::new(7, 0);
    let mut expected = BTreeMap::new();
    // The first server leaves pages; the second one is killed and leaves a journal.

    for (round, numbers) in [(1, 0..300), (2, 200..400)] {
        let server = place.start();
        for tenant in ["contoso", "fabrikam"] {
            let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
            for number in numbers.clone() {
                let check_in = random_check_in(&mut random, device(number), round);
                wait(client.send(&[check_in])).unwrap();
                let key = (tenant.to_owned(), device(number).to_string());
                expected.insert(key, (round, check_in.digest().to_string()));
            }
            wait(client.flush()).unwrap();
        }
        match round {
            1 => drop(server.stop()),
            _ => server.kill(),
        }
    }
    let listed = listed(&place);
    assert_eq!(listed.len(), 800);
    for (key, device) in &listed {
        let found = (
            device["seq"].as_u64().expect("a number"),
            device["digest"].as_str().expect("a string").to_owned(),
        );
        assert_eq!(Some(&found), expected.get(key), "{device}");
        assert_eq!(device["inventory_digest"], Value::Null);
    }
}

#[test]
fn a_listing_includes_inventories_of_devices_that_have_not_checked_in() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let inventory = random_inventory(&mut Random::new(3, 0), device(1), 4);
    wait(client.send_inventory(&inventory)).unwrap();
    wait(client.flush()).unwrap();
    server.kill();

    let listed = listed(&place);
    let (_, found) = listed.first_key_value().expect("one device");
    let bytes = inventory.to_bytes().expect("a valid inventory");
    assert_eq!(found["inventory_revision"], 4);
    assert_eq!(found["inventory_digest"], Digest::of(&bytes).to_string());
    assert_eq!((&found["seq"], &found["digest"]), (&json!(0), &Value::Null));
    assert_eq!(found["owner"], inventory.owner.name());
    assert_eq!(found["tags"], json!(inventory.tags));
}

#[test]
fn a_directory_that_a_server_uses_is_not_listed() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let check_in = random_check_in(&mut Random::new(9, 0), device(1), 1);
    wait(client.send(&[check_in])).unwrap();
    wait(client.flush()).unwrap();
    let ended = muster(&["devices", "--data-dir", text(&place.data())]);
    assert!(ended.one_fault(6).contains("in use"), "{}", ended.err);
    drop(server);
}
