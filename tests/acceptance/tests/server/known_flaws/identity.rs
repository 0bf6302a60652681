//! The identity of a client comes from its verified certificate and from nothing else.

use muster_wire::encode_inventory;
use rcgen::SanType;

use crate::harness::*;

const GATEWAY: &str = "muster://contoso/gateway/gw-1";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII text"))
}

/// How a connection attempt ends, during the handshake or right after it.
#[track_caller]
fn end_of(victim: &Victim, credentials: &Credentials) -> Closed {
    let dialled = Raw::dial(victim.server.quic, &victim.place.pki, Some(credentials));
    dialled.map_or_else(|closed| closed, |raw| raw.closed())
}

/// Fleet GHSA-2rc4-7jc6-qffh: an identity requires a chain to the authority. Missing certificates, other authorities,
/// expired, not yet valid and server certificates are in `bad_input/certificates.rs`.
#[test]
fn an_identity_without_a_verified_chain_is_refused() {
    let victim = Victim::new(&Settings::default());
    let pki = &victim.place.pki;
    let untrusted = |what: &str, credentials: &Credentials| {
        let closed = end_of(&victim, credentials);
        let Closed::Transport(code) = closed else {
            panic!("{what}: {closed:?}");
        };
        assert!(code >= 0x100, "{what}: refused by TLS, not {code:#x}");
    };
    untrusted("a self-signed certificate", &Pki::self_signed(GATEWAY));
    // RFC 5280: only the signature distinguishes an authority from another one with the same name.
    untrusted(
        "an authority with the same name",
        &pki.namesake().gateway("contoso", "gw-1"),
    );
    assert_eq!(victim.server.ops.sessions(), 0);
    let failed = victim.server.ops.metrics().by_label(HANDSHAKES);
    assert_eq!(failed.values().sum::<u64>(), 2, "{failed:?}");
    victim.finish();
}

/// step-ca GHSA-h8cp-697h-8c8p: only the authority can issue certificates.
#[test]
fn a_client_certificate_cannot_issue_certificates() {
    let victim = Victim::new(&Settings::default());
    let own = victim.place.pki.gateway("contoso", "gw-1");
    // A gateway's key signs a certificate for another tenant's gateway and presents its own as the authority.
    let forged = Pki::signed_by_client(&own, "muster://fabrikam/gateway/gw-1");
    let closed = end_of(&victim, &forged);
    assert!(
        matches!(closed, Closed::Transport(code) if code >= 0x100),
        "{closed:?}"
    );
    // The session of an earlier client may still be ending.
    eventually("no session is left", || {
        (victim.server.ops.sessions() == 0).then_some(())
    });
    victim.finish();
}

/// The same vulnerability within a certificate: the identity is the only URI of the first certificate of the chain.
#[test]
fn only_the_one_uri_of_the_first_certificate_counts() {
    let victim = Victim::new(&Settings::default());
    let pki = &victim.place.pki;
    let refused = |cause, code, credentials: &Credentials| {
        victim.refuses(CLOSED, cause, || {
            assert_eq!(
                end_of(&victim, credentials),
                Closed::Application(code),
                "{cause}"
            );
        });
    };
    // Names other than a URI are not an identity.
    let email = SanType::Rfc822Name(GATEWAY.try_into().expect("ASCII text"));
    let elsewhere = pki.with_names(
        GATEWAY,
        &[email, SanType::DnsName("contoso".try_into().unwrap())],
    );
    refused("identityMissing", 0x20, &elsewhere);
    refused("identityMissing", 0x20, &pki.with_names(GATEWAY, &[]));
    // Another spelling of the scheme is a second identity, not a name to be ignored.
    let twice = pki.with_names("gw", &[uri(GATEWAY), uri("MUSTER://fabrikam/gateway/gw-1")]);
    refused("identityInvalid", 0x21, &twice);
    // A common name that looks like another tenant's URI has no meaning.
    let good = pki.with_names("muster://fabrikam/gateway/gw-1", &[uri(GATEWAY)]);
    let mut session = victim.server.session(pki, &good);
    let check_in = random_check_in(&mut Random::new(1, 0), device(700), 1);
    session.check_ins(&[check_in]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    victim.oracle.borrow_mut().check_in("contoso", &check_in);
    assert_eq!(victim.server.ops.device("fabrikam", device(700)), None);
    victim.finish();
}

/// Wazuh CVE-2026-30893, and names in logs and labels: a name in a certificate is a plain word or refused.
#[test]
fn names_that_are_paths_commands_or_log_lines_are_refused_and_not_logged() {
    let victim = Victim::new(&Settings::default());
    let pki = &victim.place.pki;
    let names = [
        "muster://contoso/gateway/../../etc/passwd",
        "muster://contoso/gateway/%2e%2e%2fcanary",
        "muster://../gateway/canary",
        "muster://contoso/gateway/canary\n{\"level\":\"ERROR\"}",
        "muster://contoso/gateway/canary\u{1b}[2J",
        "muster://contoso/gateway/$(canary)",
        "muster://contoso/gateway/canary;reboot",
        "muster://contoso/gateway/canary?tenant=fabrikam",
        "muster://contoso@fabrikam/gateway/canary",
        "muster://contoso:7443/gateway/canary",
        "muster://contoso/gateway/canary#",
        "muster://contoso/gateway/canary\0",
    ];
    for name in names {
        victim.refuses(CLOSED, "identityInvalid", || {
            let closed = end_of(&victim, &pki.with_uris(&[name]));
            assert_eq!(closed, Closed::Application(0x21), "{name:?}");
        });
    }
    let log = victim.server.raw_log();
    assert!(!log.contains("canary") && !log.contains('\u{1b}'), "{log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    victim.finish();
}

/// A label for every name that an unknown client invents would exhaust the memory of the monitoring system.
#[test]
fn names_of_unknown_tenants_become_neither_labels_nor_log_lines() {
    let victim = Victim::new(&Settings::default());
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let (_, before) = victim.server.ops.get("/metrics");
    for number in 0..40 {
        let credentials = victim
            .place
            .pki
            .gateway(&format!("stranger-{number}"), "gw-1");
        assert_eq!(end_of(&victim, &credentials), Closed::Application(0x22));
    }
    let (_, after) = victim.server.ops.get("/metrics");
    assert_eq!(series(&after), series(&before));
    assert!(!after.contains("stranger"), "{after}");
    assert_eq!(victim.server.logged("unknownTenant"), 1);
    assert!(!victim.server.raw_log().contains("stranger"));
    let (_, counts) = victim.server.ops.get("/counts");
    assert!(!counts.contains("stranger"), "{counts}");
    victim.causes.borrow_mut().insert("unknownTenant");
    victim.finish();
}

/// Fleet CVE-2022-24841: two sessions with certificates of the same device. A check-in counts once, whichever session
/// sends it, and the same id in another tenant is another device.
#[test]
fn two_sessions_of_one_device_count_it_once_and_only_for_their_tenant() {
    let victim = Victim::new(&Settings::default());
    let own = device(701);
    let open = |tenant| {
        let credentials = victim.place.pki.device(tenant, own);
        victim.server.session(&victim.place.pki, &credentials)
    };
    let (mut one, mut other, mut foreign) = (open("contoso"), open("contoso"), open("fabrikam"));
    let check_ins = |seq| random_check_in(&mut Random::new(seq, 0), own, seq);
    for seq in 1..=20 {
        one.check_ins(&[check_ins(seq)]);
        assert_eq!(one.acknowledged(seq).0.accepted, seq);
        other.check_ins(&[check_ins(seq)]);
        let totals = other.acknowledged(seq).0;
        assert_eq!((totals.accepted, totals.duplicate), (0, seq));
        victim
            .oracle
            .borrow_mut()
            .check_in("contoso", &check_ins(seq));
    }
    foreign.check_ins(&[check_ins(500)]);
    assert_eq!(foreign.acknowledged(1).0.accepted, 1);
    victim
        .oracle
        .borrow_mut()
        .check_in("fabrikam", &check_ins(500));
    assert_eq!(victim.server.ops.seq("contoso", own), 20);
    assert_eq!(victim.server.ops.seq("fabrikam", own), 500);
    [one, other, foreign].into_iter().for_each(Session::goodbye);
    victim.finish();
}

/// Wazuh CVE-2026-25771: an endless series of failing credentials delays no other client.
#[test]
fn failing_credentials_delay_no_other_client() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    let stranger = Pki::new().gateway("contoso", "gw-1");
    let before = victim.server.ops.metrics().by_label(HANDSHAKES)["certificateUntrusted"];
    for seq in 1..=100 {
        assert_eq!(end_of(&victim, &stranger), Closed::Transport(0x100 + 48));
        let check_in = random_check_in(&mut Random::new(seq, 0), device(702), seq);
        session.check_ins(&[check_in]);
        assert_eq!(session.acknowledged(seq).0.accepted, seq);
        victim.oracle.borrow_mut().check_in("contoso", &check_in);
    }
    eventually("every failure is counted", || {
        let failed = victim.server.ops.metrics().by_label(HANDSHAKES);
        (failed["certificateUntrusted"] == before + 100).then_some(())
    });
    session.goodbye();
    victim.causes.borrow_mut().insert("certificateUntrusted");
    victim.finish();
}

/// Wazuh CVE-2025-24016: sizes in an archive are not trusted.
#[test]
fn claimed_sizes_of_an_archive_are_not_allocated() {
    let victim = Victim::new(&Settings::default());
    let ops = &victim.server.ops;
    let good = random_inventory(&mut Random::new(1, 0), device(3), 7)
        .to_bytes()
        .unwrap();
    let root = good.len() - 88;
    let before = ops.metrics().get("muster_process_resident_memory_bytes");
    let mut session = victim.session();
    let mut frames = 0;
    for field in (32..88).step_by(8) {
        for length in [u32::MAX, i32::MAX as u32, 1 << 30, 1 << 24, 0x8000_0000] {
            let mut archive = good.clone();
            archive[root + field + 4..root + field + 8].copy_from_slice(&length.to_le_bytes());
            archive[root + field..root + field + 4].copy_from_slice(&length.to_le_bytes());
            let mut bytes = Vec::new();
            encode_inventory(&mut bytes, &archive).expect("the archive fits into a frame");

            session.write(&bytes);
            frames += 1;
            let rejected = !session.acknowledged(frames).1.is_empty();
            let read = muster_wire::Inventory::from_bytes(&archive);
            assert_eq!(rejected, read.is_err(), "{read:?}");
            if let Ok(inventory) = read {
                victim.oracle.borrow_mut().inventory("contoso", &inventory);
            }
        }
    }
    session.goodbye();
    let after = ops.metrics().get("muster_process_resident_memory_bytes");
    assert!(
        after < before + f64::from(128 << 20),
        "{before} bytes, then {after}"
    );
    victim.causes.borrow_mut().insert("invalidInventory");
    victim.finish();
}
