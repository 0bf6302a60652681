//! Sequence numbers that are behind, or too far ahead.

use muster_client::{Client, ClientError, Connector, Endpoint};
use muster_testkit::clock::millis;
use muster_wire::{CheckIn, CheckInRecord, Inventory, RejectReason, Rejection, Risk, Stored};
use serde_json::{Value, json};

use crate::harness::*;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// A check-in of device 1.
fn check_in(seq: u64, risk: Risk) -> CheckInRecord {
    record(CheckIn {
        risk,
        ..healthy(device(1), seq)
    })
}

fn inventory(revision: u32) -> Vec<u8> {
    let inventory = Inventory {
        revision,
        ..inventory_of(device(1), &[])
    };
    inventory_frame(&inventory.to_bytes().expect("a valid inventory"))
}

#[track_caller]
fn property(server: &Server, name: &str) -> Value {
    let device = server.ops.device("contoso", device(1));
    device.expect("the device is known")[name].clone()
}

#[track_caller]
fn stale_devices(server: &Server) -> Value {
    server.ops.get_json("/tenants/contoso/staleDevices")["devices"].clone()
}

/// Sends one check-in and waits for its ack.
fn send(client: &Client, seq: u64, risk: Risk) -> Result<(), ClientError> {
    wait(async {
        client.send(&[check_in(seq, risk)]).await?;
        client.flush().await
    })
}

/// X3: `seq` 2^64-1 once (or a clock in 2100), then now with risk high; inventory revision 2^32-1, then 1; a re-imaged
/// device from 1 -> the ack (or a rejection) tells the stored seq; device detail and a list show *stuck* devices with
/// stale check-ins since; an order resets; a bound on how far ahead of the clock a seq may jump; the client heals itself
/// where it may. Here: the numbers of a device that are far ahead change nothing, and the next ones count.
#[test]
fn x3_a_number_far_ahead_is_rejected_and_the_next_one_counts() {
    let place = Installation::new();
    let server = place.start();
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    session.check_ins(&[check_in(5, Risk::Low)]);
    let in_2100 = 4_102_444_800_000;
    session.check_ins(&[check_in(u64::MAX, Risk::Low), check_in(in_2100, Risk::Low)]);
    session.check_ins(&[check_in(millis(), Risk::High)]);
    let (totals, rejections) = session.acknowledged(3);
    assert_eq!((totals.accepted, totals.rejected, totals.stale), (2, 2, 0));
    let ahead = |seq| Rejection::ahead(device(1), seq, Stored::Seq(5));
    assert_eq!(rejections, [ahead(u64::MAX), ahead(in_2100)]);
    assert_eq!(property(&server, "risk"), "high");
    assert_eq!(property(&server, "stale_since"), Value::Null);

    session.write(&inventory(u32::MAX));
    session.write(&inventory(1));
    let (totals, rejections) = session.acknowledged(5);
    assert_eq!((totals.accepted, totals.rejected), (3, 3));
    let ahead = Rejection::ahead(device(1), u32::MAX.into(), Stored::Revision(0));
    assert_eq!(rejections, [ahead]);
    assert_eq!(property(&server, "inventory_revision"), 1);
    session.goodbye();
    let rejected = server
        .ops
        .metrics()
        .by_label("muster_session_records_rejected_total");
    assert_eq!(rejected[RejectReason::SeqAhead.name()], 3);
    server.kill();
    let server = place.start();
    assert_eq!(property(&server, "risk"), "high");
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

/// X3: `seq` 2^64-1 once (or a clock in 2100), then now with risk high; inventory revision 2^32-1, then 1; a re-imaged
/// device from 1 -> the ack (or a rejection) tells the stored seq; device detail and a list show *stuck* devices with
/// stale check-ins since; an order resets; a bound on how far ahead of the clock a seq may jump; the client heals itself
/// where it may. Here: a device that begins again is told once in a session where it stands, and so is its operator.
#[test]
fn x3_a_device_that_begins_again_is_told_its_stored_seq() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.device("contoso", device(1));
    let stored = millis();
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in(stored, Risk::Low)]);
    session.write(&inventory(9));
    session.acknowledged(2);
    session.goodbye();
    for _ in 0..2 {
        let mut session = server.session(&place.pki, &credentials);
        session.check_ins(&[1, 2, 3].map(|seq| check_in(seq, Risk::High)));
        session.write(&inventory(1));
        session.write(&inventory(2));
        let (totals, listed) = session.acknowledged(3);
        assert_eq!((totals.stale, totals.rejected), (5, 0));
        let expected = [
            Rejection::stale(device(1), 1, Stored::Seq(stored)),
            Rejection::stale(device(1), 1, Stored::Revision(9)),
        ];
        assert_eq!(listed, expected);
        session.goodbye();
    }
    let since = property(&server, "stale_since");
    assert!(since.is_string(), "{since}");
    let row = json!({ "id": device(1).to_string(), "seq": stored, "stale_since": since });
    assert_eq!(stale_devices(&server), json!([row]));
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in(stored + 1, Risk::High)]);
    session.acknowledged(1);
    assert_eq!(property(&server, "stale_since"), Value::Null);
    assert_eq!(stale_devices(&server), json!([]));
    assert_eq!(property(&server, "risk"), "high");
    session.goodbye();
    server.stop();
}

/// X3: `seq` 2^64-1 once (or a clock in 2100), then now with risk high; inventory revision 2^32-1, then 1; a re-imaged
/// device from 1 -> the ack (or a rejection) tells the stored seq; device detail and a list show *stuck* devices with
/// stale check-ins since; an order resets; a bound on how far ahead of the clock a seq may jump; the client heals itself
/// where it may. Here: an agent with the client library repairs itself, with and without early data.
#[test]
fn x3_a_client_continues_after_the_stored_seq() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.device("contoso", device(1));
    let client = server.client(&place.pki, &credentials);
    let stored = millis() + DAY_MS / 2;
    send(&client, client.next_seq(device(1), stored), Risk::Low).unwrap();
    // The device is restored from a backup, and its first check-in is lost.
    send(&client, client.next_seq(device(1), 1), Risk::Medium).unwrap();
    let seq = client.next_seq(device(1), 2);
    assert_eq!(seq, stored + 1);
    send(&client, seq, Risk::High).unwrap();
    assert_eq!(property(&server, "risk"), "high");
    // The clock of the device is far ahead.
    send(&client, client.next_seq(device(1), u64::MAX), Risk::Low).unwrap();
    let seq = client.next_seq(device(1), u64::MAX);
    assert_eq!(seq, stored + 2);
    send(&client, seq, Risk::Medium).unwrap();
    assert_eq!(property(&server, "risk"), "medium");
    wait(client.close()).unwrap();

    let config = server.client_config(&place.pki, &credentials);
    let endpoint = wait(async { Endpoint::for_server(config.server) }).unwrap();
    let connector = Connector::new(&endpoint, config).unwrap();
    let visit = |own, risk| {
        let seq = connector.next_seq(device(1), own);
        let progress = wait(connector.check_in_once(&[check_in(seq, risk)])).unwrap();
        (seq, progress.accepted, progress.stale)
    };
    assert_eq!(visit(stored + 3, Risk::Low), (stored + 3, 1, 0));
    // The first of these may be early data; then its ack lists nothing.
    let mut visits = vec![visit(1, Risk::High), visit(2, Risk::High)];
    if visits[1].1 == 0 {
        visits.push(visit(3, Risk::High));
    }
    assert_eq!(visits.last(), Some(&(stored + 4, 1, 0)), "{visits:?}");
    assert_eq!(property(&server, "risk"), "high");
    server.stop();
}

/// X3: `seq` 2^64-1 once (or a clock in 2100), then now with risk high; inventory revision 2^32-1, then 1; a re-imaged
/// device from 1 -> the ack (or a rejection) tells the stored seq; device detail and a list show *stuck* devices with
/// stale check-ins since; an order resets; a bound on how far ahead of the clock a seq may jump; the client heals itself
/// where it may. Here: an operator resets the numbers of a device, which survives a kill.
#[test]
fn x3_an_operator_resets_the_numbers_of_a_device() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.device("contoso", device(1));
    let mut session = server.session(&place.pki, &credentials);
    let ahead = millis() + DAY_MS / 2;
    session.check_ins(&[check_in(ahead, Risk::Low)]);
    session.write(&inventory((ahead / 1000) as u32));
    session.acknowledged(2);
    session.goodbye();
    let path = format!("/tenants/contoso/devices/{}/resetSequence", device(1));
    let before = millis();
    let (status, answer) = server.ops.post(&path);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["seq_before"], ahead);
    let seq = answer["seq"].as_u64().unwrap();
    // The service time follows the wall clock closely.
    assert!((before - 3000..millis() + 3000).contains(&seq), "{seq}");
    assert_eq!(property(&server, "risk"), "low", "its state stays");
    server.kill();
    let server = place.start();
    assert_eq!(server.ops.seq("contoso", device(1)), seq);
    let history = format!("/tenants/contoso/devices/{}/history", device(1));
    let history = server.ops.get_json(&history);
    let modified = &history["value"][0]["resources"][0]["modifiedProperties"][0];
    let expected = json!({
        "displayName": "seq", "oldValue": ahead.to_string(), "newValue": seq.to_string(),
    });
    assert_eq!(modified, &expected, "{history}");
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in(seq + 1, Risk::High)]);
    session.write(&inventory((seq / 1000) as u32 + 1));
    assert_eq!(session.acknowledged(2).0.accepted, 2);
    assert_eq!(property(&server, "risk"), "high");
    session.goodbye();
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);

    let server = place.start_with(&Settings {
        ops: "allow_changes = false".to_owned(),
        ..Settings::default()
    });
    let (status, answer) = server.ops.post(&path);
    let code = serde_json::from_str::<Value>(&answer).unwrap()["code"].clone();
    assert_eq!((status, code), (403, json!("changesOff")));
    server.stop();
}
