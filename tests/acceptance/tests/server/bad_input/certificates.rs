//! Clients with invalid or unauthorized certificates.

use muster_wire::DeviceId;

use crate::harness::*;

const GATEWAY: &str = "muster://contoso/gateway/gw-1";

/// How a connection attempt ends, during the handshake or right after it.
fn end_of(dialled: Result<Raw, Closed>) -> Closed {
    dialled.map_or_else(|closed| closed, |raw| raw.closed())
}

#[test]
fn handshakes_without_a_valid_certificate_fail_with_the_right_alert() {
    let victim = Victim::new(&Settings::default());
    let (pki, server) = (&victim.place.pki, victim.server.quic);
    let refused = |cause, alert: u64, credentials: Option<&Credentials>| {
        victim.refuses(HANDSHAKES, cause, || {
            let closed = end_of(Raw::dial(server, pki, credentials));
            assert_eq!(closed, Closed::Transport(0x100 + alert), "{cause}");
        });
    };
    refused("certificateMissing", 116, None);
    refused(
        "certificateUntrusted",
        48,
        Some(&Pki::new().gateway("contoso", "gw-1")),
    );
    refused("certificateExpired", 45, Some(&pki.expired(GATEWAY)));
    refused("certificateExpired", 45, Some(&pki.not_yet_valid(GATEWAY)));
    refused("certificateInvalid", 43, Some(&pki.for_servers(GATEWAY)));
    victim.finish();
}

#[test]
fn clients_of_another_protocol_are_refused() {
    let victim = Victim::new(&Settings::default());
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    victim.refuses(HANDSHAKES, "protocolUnknown", || {
        let dialled = Raw::dial_with_alpn(
            victim.server.quic,
            &victim.place.pki,
            Some(&credentials),
            b"h3",
        );
        assert_eq!(end_of(dialled), Closed::Transport(0x100 + 120));
    });
    victim.finish();
}

#[test]
fn certificates_with_no_or_several_identities_are_refused() {
    let victim = Victim::new(&Settings::default());
    let pki = &victim.place.pki;
    let refused = |cause, code, credentials: &Credentials| {
        victim.refuses(CLOSED, cause, || {
            let closed = end_of(Raw::dial(victim.server.quic, pki, Some(credentials)));
            assert_eq!(closed, Closed::Application(code), "{cause}");
        });
    };
    refused("identityMissing", 0x20, &pki.with_uris(&[]));
    refused(
        "identityMissing",
        0x20,
        &pki.with_uris(&["https://contoso.example/gateway/gw-1"]),
    );
    refused(
        "identityInvalid",
        0x21,
        &pki.with_uris(&[GATEWAY, "muster://contoso/gateway/gw-2"]),
    );
    for malformed in [
        "muster://contoso/printer/1",
        "muster://Contoso/gateway/gw-1",
        "muster://contoso/gateway/",
        "muster://contoso/device/1",
    ] {
        refused("identityInvalid", 0x21, &pki.with_uris(&[malformed]));
    }
    let zero = format!("muster://contoso/device/{}", DeviceId::ZERO);
    refused("identityInvalid", 0x21, &pki.with_uris(&[&zero]));
    victim.finish();
}

#[test]
fn a_tenant_that_is_not_served_is_refused() {
    let victim = Victim::new(&Settings::default());
    let credentials = victim.place.pki.gateway("northwind", "gw-1");
    victim.refuses(CLOSED, "unknownTenant", || {
        let dialled = Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
        assert_eq!(end_of(dialled), Closed::Application(0x22));
    });
    // The SDK does not retry and returns the code.
    let config = victim.server.client_config(&victim.place.pki, &credentials);
    let error = wait(muster_client::Client::connect(config)).unwrap_err();
    assert!(error.to_string().contains("unknownTenant"), "{error}");
    victim.finish();
}

#[test]
fn a_gateway_of_another_tenant_cannot_touch_a_device() {
    let victim = Victim::new(&Settings::default());
    let before = victim
        .server
        .ops
        .device("contoso", device(3))
        .expect("the device has checked in");
    let other = victim.place.pki.gateway("fabrikam", "gw-1");
    let mut session = victim.server.session(&victim.place.pki, &other);
    // The same id is another device, because the tenant comes from the certificate.

    let check_in = random_check_in(&mut Random::new(77, 0), device(3), 50);
    session.check_ins(&[check_in]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    victim.oracle.borrow_mut().check_in("fabrikam", &check_in);
    assert_eq!(victim.server.ops.device("contoso", device(3)), Some(before));
    assert_eq!(victim.server.ops.seq("fabrikam", device(3)), 50);
    victim.finish();
}
