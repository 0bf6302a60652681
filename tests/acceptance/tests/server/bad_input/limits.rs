//! Limits of the configuration: beyond them records and connections are refused with their reason, and existing ones
//! still work.

use muster_wire::{RejectReason, encode_inventory};

use crate::harness::*;

/// Sends one check-in and returns whether it was accepted, or the reason of its rejection.
#[track_caller]
fn answer(session: &mut Session, frames: u64, number: u64, seq: u64) -> Result<(), RejectReason> {
    session.check_ins(&[random_check_in(
        &mut Random::new(number, 0),
        device(number),
        seq,
    )]);
    let (_, rejections) = session.acknowledged(frames);
    rejections.first().map_or(Ok(()), |rejection| {
        Err(rejection.reason().expect("a known reason"))
    })
}

#[test]
fn devices_that_the_tenant_does_not_create_are_rejected() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    assert_eq!(answer(&mut session, 1, 1, 1), Ok(()));
    session.goodbye();
    server.ops.put_in_force("contoso", &no_creation());
    let mut session = server.session(&place.pki, &credentials);
    assert_eq!(answer(&mut session, 1, 1, 2), Ok(()), "a known device");
    let cells = server.ops.cells();
    assert_eq!(
        answer(&mut session, 2, 2, 1),
        Err(RejectReason::UnknownDevice)
    );
    assert_eq!(
        answer(&mut session, 3, 3, 1),
        Err(RejectReason::UnknownDevice)
    );
    let mut bytes = Vec::new();
    let inventory = random_inventory(&mut Random::new(1, 0), device(4), 1);
    encode_inventory(&mut bytes, &inventory.to_bytes().unwrap()).unwrap();
    session.write(&bytes);
    assert_eq!(
        session.acknowledged(4).1[0].reason(),
        Some(RejectReason::UnknownDevice)
    );
    assert_eq!(server.ops.cells(), cells);
    let rejected = server.ops.metrics().by_label(REJECTED);
    assert_eq!(
        (rejected["unknownDevice"], rejected.values().sum()),
        (3, 3_u64)
    );
    session.goodbye();
    assert_eq!(server.logged("unknownDevice"), 1);
    server.ops.recount_is_verified();
}

#[test]
fn devices_beyond_the_limit_are_rejected() {
    let place = Installation::new();
    let shards = "threads = 1\ndevices_max = 3".to_owned();
    let server = place.start_with(&Settings {
        shards,
        ..Settings::default()
    });
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    for number in 1..=3 {
        assert_eq!(answer(&mut session, number, number, 1), Ok(()));
    }
    assert_eq!(
        answer(&mut session, 4, 4, 1),
        Err(RejectReason::DeviceLimit)
    );
    assert_eq!(
        answer(&mut session, 5, 5, 1),
        Err(RejectReason::DeviceLimit)
    );
    assert_eq!(
        answer(&mut session, 6, 2, 2),
        Ok(()),
        "known devices are accepted"
    );
    assert_eq!(server.ops.total()["devices"], 3);
    assert_eq!(server.ops.metrics().by_label(REJECTED)["deviceLimit"], 2);
    assert_eq!(server.logged("deviceLimit"), 1);
    session.goodbye();
    server.ops.recount_is_verified();
    server.stop();

    // A lower limit does not reject devices that already exist.
    let shards = "threads = 1\ndevices_max = 1".to_owned();
    let server = place.start_with(&Settings {
        shards,
        ..Settings::default()
    });
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    assert_eq!(answer(&mut session, 1, 3, 2), Ok(()));
    assert_eq!(
        answer(&mut session, 2, 4, 1),
        Err(RejectReason::DeviceLimit)
    );
    assert_eq!(server.ops.total()["devices"], 3);
}

#[test]
fn connections_beyond_the_limit_are_refused_by_name() {
    let listen = "connections_max = 3\nhandshakes_max = 3".to_owned();
    let victim = Victim::new(&Settings {
        listen,
        ..Settings::default()
    });
    eventually("the first client has disconnected", || {
        (victim.server.ops.sessions() == 0).then_some(())
    });
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    // Two connections with a Hello, and one without, which counts too.
    let (one, other, silent) = (victim.session(), victim.session(), dial().unwrap());
    victim.refuses(CLOSED, "tooManyConnections", || {
        assert_eq!(dial().unwrap().closed(), Closed::Application(0x33));
    });
    drop(silent);
    one.goodbye();
    other.goodbye();
    eventually("the sessions have ended", || {
        (victim.server.ops.sessions() == 0).then_some(())
    });
    victim.finish();
}
