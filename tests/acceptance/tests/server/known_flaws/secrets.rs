//! Secrets do not leak: keys stay in their files, and personal data is shown only by the request for its device.

use std::fs;

use muster_wire::encode_inventory;

use crate::harness::*;

/// A canary in an inventory, shown only by the request for its device.
const PERSON: &str = "canary-person@contoso.example";

/// The Base64 lines of the private keys in a PEM text.
fn key_lines(pem: &str) -> Vec<String> {
    let mut in_key = false;
    let mut lines = Vec::new();
    for line in pem.lines() {
        match line {
            _ if line.contains("BEGIN") => in_key = line.contains("PRIVATE KEY"),
            _ if line.contains("END") => in_key = false,
            _ if in_key => lines.push(line.to_owned()),
            _ => (),
        }
    }
    assert!(!lines.is_empty(), "the text has a private key");
    lines
}

/// Fleet #41321, Elastic ESA-2023-25, Search Guard CVE-2026-4819: everything that the server writes or sends is
/// searched for canaries.
#[test]
fn keys_stay_in_their_files_and_personal_data_is_shown_only_with_its_device() {
    let victim = Victim::new(&Settings::default());
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let mut session = victim.server.session(&victim.place.pki, &credentials);
    let mut inventory = random_inventory(&mut Random::new(1, 0), device(0), 1);
    inventory.user_principal_name = PERSON.to_owned();
    let mut bytes = Vec::new();
    encode_inventory(&mut bytes, &inventory.to_bytes().unwrap()).unwrap();
    session.write(&bytes);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    victim.oracle.borrow_mut().inventory("contoso", &inventory);

    let mut secrets = key_lines(&fs::read_to_string(victim.place.path("pki/server.key")).unwrap());
    secrets.extend(key_lines(&credentials.0));
    let absent = |place: &str, bytes: &[u8], secrets: &[String]| {
        for secret in secrets {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{place} contains {secret}");
        }
    };
    let with_person = [&secrets[..], &[PERSON.to_owned()]].concat();
    for path in [
        "/",
        "/live",
        "/ready",
        "/counts",
        "/cells",
        "/policy?tenant=contoso",
        "/sessions",
        "/metrics",
    ] {
        absent(path, victim.server.ops.get(path).1.as_bytes(), &with_person);
    }
    let (_, shown) = victim
        .server
        .ops
        .get(&format!("/devices/contoso/{}", device(0)));
    assert!(shown.contains(PERSON), "the device shows it: {shown}");
    absent("the device", shown.as_bytes(), &secrets);
    let (_, report) = victim.server.ops.recount();
    absent("the recount", report.to_string().as_bytes(), &with_person);
    session.goodbye();
    absent("the log", victim.server.raw_log().as_bytes(), &with_person);
    for (name, content) in Installation::files(&victim.place.data()) {
        absent(&name, &content, &secrets);
    }
    let file = victim.place.path("muster.toml");
    let shown = muster(&["config", "check", "--config", text(&file)]);
    absent(
        "the checked configuration",
        format!("{}{}", shown.out, shown.err).as_bytes(),
        &secrets,
    );
    victim.finish();
}

/// Wazuh #15230, wazuh-qa#3742: an empty, truncated or far too long credential is an error at start, and its content is
/// not shown.
#[test]
fn empty_truncated_and_oversized_credentials_are_refused_without_being_shown() {
    for name in ["server.pem", "server.key", "ca.pem"] {
        let place = Installation::new();
        let file = place.path("pki").join(name);
        let good = fs::read_to_string(&file).unwrap();
        let half = &good[..good.len() / 2];
        for content in ["", "\n", half, &"A".repeat(4 << 20)] {
            fs::write(&file, content).unwrap();
            let ended = place.refused(&Settings::default());
            let line = ended.one_fault(4);
            assert!(line.contains(name) && line.len() < 1000, "{line}");
            for secret in content.lines().filter(|line| line.len() > 20) {
                assert!(!ended.err.contains(secret), "{name} is shown");
            }
        }
        assert!(!place.data().exists());
    }
}

/// A recursive parser without a depth limit overflows its stack.
#[test]
fn a_deeply_nested_configuration_is_an_error() {
    let place = Installation::new();
    for nested in [
        "[".repeat(100_000),
        "{a=".repeat(100_000),
        "a.".repeat(100_000),
    ] {
        let file = place.path("nested.toml");
        fs::write(&file, format!("x = {nested}")).unwrap();
        let ended = muster(&["config", "check", "--config", text(&file)]);
        assert!(ended.code > 0 && ended.code < 10, "{ended:?}");
        assert!(
            ended.err.len() < 100_000 && ended.err.contains("nested.toml:1"),
            "{}",
            ended.err.len()
        );
    }
}
