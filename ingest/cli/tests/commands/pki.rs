//! `muster pki`: files, modes, refusals.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use muster_ingest::pki::identity_of;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::{muster, text};

const DEVICE: &str = "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";

fn init(directory: &Path) {
    muster(&[
        "pki",
        "init",
        "--out",
        text(directory),
        "--server-name",
        "muster.example",
    ])
    .done();
}

fn identity(file: &Path) -> String {
    let der = CertificateDer::from_pem_file(file).expect("the file holds a certificate");
    identity_of(&der)
        .expect("the certificate names somebody")
        .to_string()
}

#[test]
fn an_authority_is_made_and_issues_certificates() {
    let scratch = tempfile::tempdir().unwrap();
    let (pki, out) = (scratch.path().join("pki"), scratch.path().join("out"));
    init(&pki);
    for name in ["ca.key", "server.key"] {
        let mode = fs::metadata(pki.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let issue = [
        "pki",
        "issue",
        "--pki",
        text(&pki),
        "--out",
        text(&out),
        "--tenant",
        "contoso",
    ];
    let printed = muster(&[&issue[..], &["--gateway", "west"]].concat());
    assert_eq!(
        printed.done(),
        format!("{}\n", out.join("west.pem").display())
    );
    assert_eq!(
        identity(&out.join("west.pem")),
        "muster://contoso/gateway/west"
    );

    muster(&[&issue[..], &["--device", DEVICE, "--days", "1"]].concat()).done();
    let file = out.join(format!("{DEVICE}.pem"));
    assert_eq!(identity(&file), format!("muster://contoso/device/{DEVICE}"));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn random_devices_with_a_seed_are_the_same_again() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    init(&pki);
    let names = |out: &str, seed: &[&str]| -> BTreeSet<String> {
        let out = scratch.path().join(out);
        let issue = [
            "pki",
            "issue",
            "--pki",
            text(&pki),
            "--out",
            text(&out),
            "--tenant",
            "contoso",
        ];
        muster(&[&issue[..], &["--random-devices", "5"], seed].concat()).done();
        fs::read_dir(out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let seeded = names("one", &["--seed", "7"]);
    assert_eq!(seeded.len(), 5);
    assert_eq!(seeded, names("two", &["--seed", "7"]));
    assert!(seeded.is_disjoint(&names("three", &["--seed", "8"])));
    assert!(seeded.is_disjoint(&names("four", &[])));
}

#[test]
fn nothing_is_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    init(&pki);
    let before = fs::read(pki.join("ca.key")).unwrap();
    let again = muster(&["pki", "init", "--out", text(&pki)]);
    assert!(
        again
            .one_line(4)
            .contains("ca.pem exists and is not overwritten")
    );
    assert_eq!(fs::read(pki.join("ca.key")).unwrap(), before);

    let issue = [
        "pki",
        "issue",
        "--pki",
        text(&pki),
        "--out",
        text(&pki),
        "--tenant",
        "contoso",
    ];
    let clash = muster(&[&issue[..], &["--gateway", "server"]].concat());
    assert!(
        clash.one_line(4).contains("server.pem exists"),
        "a gateway cannot replace the server"
    );
}

#[test]
fn what_cannot_be_issued_is_refused_in_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let pki = scratch.path().join("pki");
    let issue = [
        "pki",
        "issue",
        "--pki",
        text(&pki),
        "--out",
        text(&pki),
        "--tenant",
        "contoso",
    ];
    let missing = muster(&[&issue[..], &["--gateway", "west"]].concat());
    assert!(missing.one_line(4).contains("ca.pem"));

    init(&pki);
    let zero = "00000000-0000-0000-0000-000000000000";
    muster(&[&issue[..], &["--device", zero]].concat()).one_line(2);
    muster(&[&issue[..], &["--device", DEVICE, "--device", DEVICE]].concat()).one_line(2);
    let name = muster(&[
        "pki",
        "init",
        "--out",
        text(&scratch.path().join("b")),
        "--server-name",
        "a b",
    ]);
    assert_eq!(
        name.one_line(2),
        "\"a b\" is neither a host name nor an IP address"
    );
}
