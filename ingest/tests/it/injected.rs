//! Inconsistent data with valid checksums in a data directory is refused with its location.

use muster_engine::TenantIndex;
use muster_store::{CommitPart, InventoryWrite};
use muster_wire::Inventory;

use crate::behind::write_behind;
use crate::harness::*;

/// Overwrites the stored inventory, with a valid checksum, as no server does.
fn inject(place: &Installation, inventory: &Inventory) {
    let injected = InventoryWrite {
        tenant: TenantIndex(0),
        device_id: inventory.device_id,
        bytes: inventory.to_bytes().expect("a valid inventory"),
    };
    write_behind(&place.data(), |_| CommitPart {
        inventories: vec![injected],
        ..CommitPart::default()
    });
}

#[test]
fn an_inventory_that_does_not_match_its_record_is_refused() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let sent = random_inventory(&mut Random::new(3, 0), device(1), 2);
    wait(client.send_inventory(&sent)).unwrap();
    wait(client.close()).unwrap();
    server.stop();
    let later = Inventory {
        revision: sent.revision + 1,
        ..sent.clone()
    };
    inject(&place, &later);
    let ended = muster(&["devices", "--data-dir", text(&place.data())]);
    let line = ended.one_fault(6);
    let named = format!("inventory of device {}", device(1));
    assert!(line.contains("shard") && line.contains(&named), "{line}");
    inject(&place, &sent);
    let ended = muster(&["devices", "--data-dir", text(&place.data())]);
    assert_eq!((ended.code, ended.out.lines().count()), (0, 1), "{ended:?}");
}
